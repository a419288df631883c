//! A service that tells its clients who they are as it sees them, and echoes the rest; and its clients.
//! It is how a scenario sees which translations took place.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use nix::sys::time::TimeVal;

use super::Pattern;
use crate::netns::Place;

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(5);
/// How often a thread looks whether it has to end.
const TICK: Duration = Duration::from_millis(20);
/// Length of the line that says who the client is: the address, filled up with spaces.
const LINE: usize = 64;
/// The datagram that asks for it.
const WHO: &[u8] = b"who am I?";
/// Tries of a datagram, which may be lost.
const TRIES: u32 = 4;

/// A running service. Dropped, it ends and its connections with it.
#[derive(Debug)]
pub struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// TCP at an address of the place; `[::]` stands for both families.
    pub fn tcp(place: &impl Place, at: SocketAddr) -> Result<Service> {
        let listener = place.enter(|| TcpListener::bind(at).with_context(|| format!("cannot listen on {at}")))?;
        listener.set_nonblocking(true)?;
        Ok(Service::start(move |stop| accept(&listener, stop)))
    }

    /// UDP at an address of the place; `[::]` stands for both families.
    pub fn udp(place: &impl Place, at: SocketAddr) -> Result<Service> {
        let socket = place.enter(|| UdpSocket::bind(at).with_context(|| format!("cannot bind {at}")))?;
        socket.set_read_timeout(Some(TICK))?;
        Ok(Service::start(move |stop| {
            let mut buffer = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((n, peer)) = socket.recv_from(&mut buffer) {
                    let said = if buffer[..n] == *WHO { line(peer) } else { buffer[..n].to_vec() };
                    let _ = socket.send_to(&said, peer);
                }
            }
        }))
    }

    fn start(work: impl FnOnce(&Arc<AtomicBool>) + Send + 'static) -> Service {
        let stop = Arc::new(AtomicBool::new(false));
        let own = stop.clone();
        Service { stop, thread: Some(thread::spawn(move || work(&own))) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn accept(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((connection, peer)) => {
                let stop = stop.clone();
                // Its thread ends with the service, or with its client.
                let _ = thread::Builder::new().stack_size(256 << 10).spawn(move || serve(connection, peer, &stop));
            }
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn serve(mut connection: TcpStream, peer: SocketAddr, stop: &AtomicBool) {
    let ready = connection.set_nonblocking(false).and_then(|()| connection.set_read_timeout(Some(TICK)));
    if ready.and_then(|()| connection.write_all(&line(peer))).is_err() {
        return;
    }
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        match connection.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) if connection.write_all(&buffer[..n]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// An IPv4 client of a service for both families is an IPv4 client.
fn line(peer: SocketAddr) -> Vec<u8> {
    format!("{:LINE$}", SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string()).into_bytes()
}

fn read_line(line: &[u8]) -> Result<SocketAddr> {
    let text = std::str::from_utf8(line)?.trim_end();
    text.parse().with_context(|| format!("not an address: {text}"))
}

/// A client's TCP connection, open.
#[derive(Debug)]
pub struct Talk {
    stream: TcpStream,
    /// Who the client is, as the service sees it.
    pub seen: SocketAddr,
}

impl Talk {
    /// Connects from a place and is told who it is.
    pub fn open(from: &impl Place, to: SocketAddr) -> Result<Talk> {
        Talk::open_from(from, None, to)
    }

    /// The same from this port of the place.
    pub fn open_from(from: &impl Place, port: Option<u16>, to: SocketAddr) -> Result<Talk> {
        let mut stream = from.enter(|| connect(port, to).with_context(|| format!("cannot connect to {to}")))?;
        let mut line = [0; LINE];
        stream.read_exact(&mut line).with_context(|| format!("{to} did not say who the client is"))?;
        Ok(Talk { stream, seen: read_line(&line)? })
    }

    /// The client's own end, as it sees it itself.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Sends this many bytes and compares what comes back.
    pub fn exchange(&mut self, bytes: usize) -> Result<()> {
        let sent = Pattern::bytes(bytes as u64, bytes);
        let mut writer = self.stream.try_clone()?;
        let outgoing = sent.clone();
        let writing = thread::spawn(move || writer.write_all(&outgoing));
        let mut got = vec![0; bytes];
        self.stream.read_exact(&mut got).with_context(|| format!("waiting for an echo of {bytes} bytes"))?;
        let written = writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        written.context("writing")?;
        ensure!(got == sent, "{bytes} bytes came back altered");
        Ok(())
    }

    /// Sends a little and waits for nothing.
    pub fn say(&mut self) -> Result<()> {
        self.stream.write_all(b"anybody there?").context("the connection has been reset")
    }

    /// Whether the connection has been reset or closed by the other side, without waiting.
    pub fn is_ended(&mut self) -> bool {
        let _ = self.stream.set_nonblocking(true);
        let read = self.stream.read(&mut [0; 1]);
        let _ = self.stream.set_nonblocking(false);
        !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

fn connect(port: Option<u16>, to: SocketAddr) -> Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd: OwnedFd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // The limit holds for connect as well (socket(7)).
    socket::setsockopt(&fd, sockopt::SendTimeout, &TimeVal::new(3, 0))?;
    if let Some(port) = port {
        socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(any(to, port)))?;
    }
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn any(to: SocketAddr, port: u16) -> SocketAddr {
    let ip: IpAddr = match to {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, port)
}

/// A client's UDP socket.
#[derive(Debug)]
pub struct Asker {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Asker {
    /// Opens a socket in a place, on this port or any.
    pub fn open(from: &impl Place, port: Option<u16>, to: SocketAddr) -> Result<Asker> {
        let socket = from.enter(|| {
            let socket = UdpSocket::bind(any(to, port.unwrap_or(0)))?;
            socket.connect(to).with_context(|| format!("no way to {to}"))?;
            Ok(socket)
        })?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(Asker { socket, to })
    }

    /// The client's own end, as it sees it itself.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Sends any datagram and waits for nothing.
    pub fn send(&self, datagram: &[u8]) -> Result<()> {
        self.socket.send(datagram)?;
        Ok(())
    }

    /// Asks who the client is. An ICMP error that comes back is an error at once.
    pub fn ask(&self) -> Result<SocketAddr> {
        asked(self.to, || self.socket.send(WHO), |line| self.socket.recv(line))
    }
}

/// Asks from a socket that is not connected who its owner is. It needs a time limit of its own.
pub fn seen_by(socket: &UdpSocket, service: SocketAddr) -> Result<SocketAddr> {
    asked(service, || socket.send_to(WHO, service), |line| socket.recv(line))
}

fn asked(
    to: SocketAddr,
    send: impl Fn() -> io::Result<usize>,
    receive: impl Fn(&mut [u8]) -> io::Result<usize>,
) -> Result<SocketAddr> {
    let mut line = [0; LINE];
    for _ in 0..TRIES {
        send().with_context(|| format!("asking {to}"))?;
        match receive(&mut line) {
            Ok(n) => return read_line(&line[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).with_context(|| format!("{to} refused")),
        }
    }
    bail!("{to} did not answer over UDP")
}

/// Asks once over UDP who a place is.
pub fn who(from: &impl Place, to: SocketAddr) -> Result<SocketAddr> {
    Asker::open(from, None, to)?.ask()
}

/// Fails unless a TCP connection is refused: a reset, or an ICMP error, and not silence.
pub fn refused(from: &impl Place, to: SocketAddr) -> Result<()> {
    let error = match Talk::open(from, to) {
        Ok(talk) => bail!("{to} accepts a connection, and sees {}", talk.seen),
        Err(error) => error,
    };
    let kinds = [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::EACCES];
    let refused = error.downcast_ref::<Errno>().is_some_and(|errno| kinds.contains(errno));
    ensure!(refused, "{to} does not refuse a connection: {error:#}");
    Ok(())
}

/// Fails unless nobody says anything to a TCP connection: neither yes nor no.
pub fn silent(from: &impl Place, to: SocketAddr) -> Result<()> {
    const PATIENCE: Duration = Duration::from_millis(600);
    match from.enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)))? {
        Ok(_) => bail!("{to} accepts a connection"),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{to} is not silent")),
    }
}
