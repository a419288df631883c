//! A proxied TCP connection: the client's end, the switch's end, and the two ways between them. A broken end breaks the
//! other: where one side was reset, so is the other.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::pump::Way;
use super::slots::Key;
use super::upstream::Upstream;
use crate::publish::Protocol;

/// How long the container may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Seconds of silence before a peer is asked whether it still lives, between such questions, and how many.
const KEEPALIVE: (u32, u32, u32) = (30, 10, 6);

/// A connection.
pub(super) struct Stream {
    /// The publication it belongs to.
    pub(super) service: u32,
    client: TcpStream,
    server: TcpStream,
    up: Way,
    down: Way,
    /// Until when the server's end must be connected; `None`: it is.
    pub(super) connecting: Option<Instant>,
}

/// What has become of a connection.
pub(super) enum Outcome {
    /// It waits for an event.
    Waits,
    /// It could go on at once.
    More,
    /// Both sides have ended.
    Done,
    /// One side is broken.
    Broken,
}

impl Stream {
    /// Begins to connect to the switch for a client.
    ///
    /// # Errors
    /// The kernel has no way there, or no descriptor left. The client is reset.
    pub(super) fn begin(
        client: TcpStream,
        upstream: &Upstream,
        to: SocketAddr,
        service: u32,
        now: Instant,
    ) -> io::Result<Stream> {
        let server = match upstream.connect(Protocol::Tcp, to) {
            Ok(server) => TcpStream::from_std(server.into()),
            Err(error) => {
                reset(&client);
                return Err(error);
            }
        };
        for end in [&client, &server] {
            // Without them it works as well, only less promptly.
            let (idle, between, count) = KEEPALIVE;
            let _ = end.set_nodelay(true);
            let _ = setsockopt(end, sockopt::KeepAlive, &true);
            let _ = setsockopt(end, sockopt::TcpKeepIdle, &idle);
            let _ = setsockopt(end, sockopt::TcpKeepInterval, &between);
            let _ = setsockopt(end, sockopt::TcpKeepCount, &count);
        }
        let (up, down) = (Way::default(), Way::default());
        Ok(Stream { service, client, server, up, down, connecting: Some(now + CONNECT) })
    }

    /// Asks for events of both ends.
    pub(super) fn register(&mut self, registry: &Registry, key: Key) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.client, key.token(), both)?;
        registry.register(&mut self.server, key.token(), both)
    }

    /// Moves what can be moved.
    pub(super) fn pump(&mut self, chunk: &mut [u8]) -> Outcome {
        match self.try_pump(chunk) {
            Ok(_) if self.up.done && self.down.done => Outcome::Done,
            Ok(true) => Outcome::More,
            Ok(false) => Outcome::Waits,
            Err(_) => Outcome::Broken,
        }
    }

    fn try_pump(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        if self.connecting.is_some() {
            if let Some(error) = self.server.take_error()? {
                return Err(error);
            }
            match self.server.peer_addr() {
                Ok(_) => self.connecting = None,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let up = self.up.pump(&self.client, &self.server, chunk)?;
        let down = self.down.pump(&self.server, &self.client, chunk)?;
        Ok(up || down)
    }

    /// Ends both ends at once, with a reset.
    pub(super) fn abort(self) {
        reset(&self.client);
        reset(&self.server);
    }
}

/// Closing the socket will reset the connection.
pub(super) fn reset(end: impl AsFd) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    // An end that is reset already refuses it.
    let _ = setsockopt(&end, sockopt::Linger, &at_once);
}
