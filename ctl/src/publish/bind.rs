//! The host's own sockets for published ports: they reserve the ports, show in `ss`, and serve local clients by the
//! proxy. One for each port and protocol; for every address it is one of both families. All of a range or none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

use super::{At, Error, Ports, Protocol};

/// Open files besides the new sockets that must be left, and those that the proxy would like to have.
const SPARE: u64 = 256;
const LIKED: u64 = 2 * super::proxy::CONNECTIONS as u64;

/// Sockets for consecutive ports, bound and listening.
#[derive(Debug)]
pub struct Bound {
    /// Which ports.
    pub host: Ports,
    /// One for each, in order.
    pub sockets: Vec<OwnedFd>,
}

/// Why one port could not be had.
pub(super) struct Refused {
    pub(super) port: u16,
    pub(super) errno: Errno,
}

impl Refused {
    /// Whether somebody else has it.
    pub(super) fn is_taken(&self) -> bool {
        self.errno == Errno::EADDRINUSE
    }

    /// As an error; `holder` names who has the port.
    pub(super) fn because(self, at: At, protocol: Protocol) -> Error {
        match self.errno {
            Errno::EADDRINUSE => Error::Held { holder: super::holder::holder(protocol, at, self.port) },
            Errno::EADDRNOTAVAIL => Error::NoSuchAddress { at },
            errno => Error::Kernel { at, port: self.port, protocol, source: errno.into() },
        }
    }
}

/// Raises the limit of open files so that so many sockets fit, and the proxy besides. To be asked once for many: it
/// counts what is open.
///
/// # Errors
/// [`Error::OpenFiles`] when the limit stays too low.
pub fn make_room(count: usize) -> Result<(), Error> {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let wanted = open + count as u64 + SPARE;
    let liked = port::limits::ensure_open_files(wanted + LIKED);
    match liked.or_else(|_| port::limits::ensure_open_files(wanted)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::OpenFiles { count, wanted, limit: port::limits::open_files() }),
    }
}

/// Binds all ports, or none: what was bound before a refusal is closed again.
pub(super) fn bind_all(at: At, protocol: Protocol, ports: Ports) -> Result<Vec<OwnedFd>, Refused> {
    let mut sockets = Vec::with_capacity(ports.count());
    for port in ports.first..=ports.last {
        let bound = bind_one(at, protocol, port);
        sockets.push(bound.map_err(|errno| Refused { port, errno })?);
    }
    Ok(sockets)
}

fn bind_one(at: At, protocol: Protocol, port: u16) -> Result<OwnedFd, Errno> {
    let address = match at {
        At::Any | At::AnyV6 => Ipv6Addr::UNSPECIFIED.into(),
        At::AnyV4 => Ipv4Addr::UNSPECIFIED.into(),
        At::Address(address) => address,
    };
    match bind_to(address, at == At::Any, protocol, port) {
        // IPv6 is off on this host: then every address means every IPv4 address.
        Err(Errno::EAFNOSUPPORT) if at == At::Any => bind_to(Ipv4Addr::UNSPECIFIED.into(), false, protocol, port),
        other => other,
    }
}

fn bind_to(address: IpAddr, both: bool, protocol: Protocol, port: u16) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let kind = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let fd = socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    // The uplink's program knows our sockets by it, and steers what they stand for to the switch.
    setsockopt(&fd, sockopt::Mark, &super::MARK)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &!both)?;
    }
    match protocol {
        // Connections of a predecessor that linger are no reason to refuse; a listener still is.
        Protocol::Tcp => setsockopt(&fd, sockopt::ReuseAddr, &true)?,
        Protocol::Udp if address.is_ipv6() => setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?,
        Protocol::Udp => setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?,
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, port)))?;
    if protocol == Protocol::Tcp {
        listen(&fd, Backlog::MAXCONN)?;
    }
    Ok(fd)
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> io::Error {
        refused.errno.into()
    }
}
