//! Whether a port of this host can be used for a mapping: asked by really binding it, as a socket of the host would.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, socket};

use crate::sockopt;

/// Whether no socket in the calling thread's network namespace holds this port for this address: bound to it, to every
/// address of its family, or to every address at all. Always true for protocols without ports, and for addresses that
/// the namespace does not have; false when it cannot be told.
pub fn is_port_free(protocol: u8, ip: IpAddr, port: u16) -> bool {
    let kind = match protocol {
        wire::protocol::TCP => SockType::Stream,
        wire::protocol::UDP => SockType::Datagram,
        _ => return true,
    };
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let Ok(socket) = socket(family, kind, SockFlag::SOCK_CLOEXEC, None) else { return false };
    // Asked about every IPv6 address, it is not about IPv4 ones.
    if ip.is_ipv6() && sockopt::set(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1).is_err() {
        return false;
    }
    // EINVAL: a link-local address without its interface, which no mapping can have.
    matches!(
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(ip, port))),
        Ok(()) | Err(Errno::EADDRNOTAVAIL | Errno::EINVAL)
    )
}
