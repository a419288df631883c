//! The proxy for clients on this host, whose packets never pass a NIC: one thread for all published ports, started with
//! the first and ended with the last. It connects to the address behind which the switch is, which translates.
//! Invariant: bounded connections, sessions and buffers; no port waits for another's flood; nothing here blocks.

mod pump;
mod session;
mod slots;
mod stream;
#[cfg(test)]
mod tests;
mod turn;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Sender, unbounded};
use mio::Waker;
use tokio::sync::oneshot;

use super::Protocol;
pub(super) use turn::CONNECTIONS;
use turn::Turn;
use upstream::Upstream;

/// Where the first port of a service leads; the others follow in order. A family without is not served by that family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// For clients of IPv4 first.
    pub v4: Option<SocketAddr>,
    /// For clients of IPv6 first.
    pub v6: Option<SocketAddr>,
}

impl Target {
    /// Where a client of that family is led for the port `offset` behind the first.
    fn of(&self, v4: bool, offset: u16) -> Option<SocketAddr> {
        let (own, other) = if v4 { (self.v4, self.v6) } else { (self.v6, self.v4) };
        let mut address = own.or(other)?;
        address.set_port(address.port().checked_add(offset)?);
        Some(address)
    }
}

/// The sockets of a publication, and where they lead.
#[derive(Debug)]
pub struct Service {
    /// The publication's number.
    pub id: u32,
    /// What the sockets are.
    pub protocol: Protocol,
    /// Bound and listening, for consecutive ports.
    pub sockets: Vec<OwnedFd>,
    /// `Target::default()`: nowhere; clients are refused.
    pub target: Target,
}

enum Command {
    Open(Service),
    Aim(u32, Target),
    Close(u32, oneshot::Sender<()>),
    Heard(oneshot::Sender<()>),
}

struct Running {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    services: usize,
}

impl Running {
    fn start(upstream: Upstream) -> io::Result<Running> {
        let (commands, inbox) = unbounded();
        let (turn, waker) = Turn::new(inbox, upstream)?;
        std::thread::Builder::new().name("proxy".into()).spawn(move || turn.run())?;
        Ok(Running { commands, waker, services: 0 })
    }

    /// The thread ends when it has taken the last command and nobody can send another.
    fn end(self) {
        let Running { commands, waker, .. } = self;
        drop(commands);
        let _ = waker.wake();
    }

    fn send(&self, command: Command) {
        // A thread that has ended has closed everything already.
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake the proxy");
        }
    }
}

/// The handle. Without services there is no thread.
#[derive(Default)]
pub struct Proxy {
    upstream: Upstream,
    running: Mutex<Option<Running>>,
}

impl Proxy {
    /// One that reaches the switch by the host's link of this name only.
    pub fn by(link: &str) -> Proxy {
        Proxy { upstream: Upstream::by(link), running: Mutex::default() }
    }

    /// Serves these sockets.
    ///
    /// # Errors
    /// The thread cannot be started; the sockets are closed then.
    pub fn open(&self, service: Service) -> io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(Running::start(self.upstream.clone())?),
        };
        running.services += 1;
        running.send(Command::Open(service));
        Ok(())
    }

    /// Leads a service elsewhere; what is connected to the old place ends.
    pub fn aim(&self, id: u32, target: Target) {
        if let Some(running) = &*self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            running.send(Command::Aim(id, target));
        }
    }

    /// The receiver hears when everything that was told so far is in force.
    pub fn heard(&self) -> oneshot::Receiver<()> {
        let (heard, hear) = oneshot::channel();
        if let Some(running) = &*self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            running.send(Command::Heard(heard));
        }
        hear
    }

    /// Ends an open service, its connections, and with the last one the thread. The receiver hears when its ports are
    /// free again (or the sender is dropped, which means the same).
    pub fn close(&self, id: u32) -> oneshot::Receiver<()> {
        let (closed, hear) = oneshot::channel();
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &mut *slot {
            running.send(Command::Close(id, closed));
            running.services -= 1;
            if running.services == 0 {
                slot.take().into_iter().for_each(Running::end);
            }
        }
        hear
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.take().into_iter().for_each(Running::end);
    }
}
