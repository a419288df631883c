//! The proxy's sockets towards the switch. They are tied to the host's link: where that is gone or down there is no
//! way, and what clients of this host say never leaves by another interface, to whoever answers there.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use crate::publish::Protocol;

/// How the switch is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstream {
    /// The host's link; `None`: by any route.
    link: Option<OsString>,
}

impl Upstream {
    /// By this link only.
    pub(super) fn by(link: &str) -> Upstream {
        Upstream { link: Some(link.into()) }
    }

    /// A socket that is connected to `to`, or about to be.
    ///
    /// # Errors
    /// The link is not there or not up, or the kernel lacks something.
    pub(super) fn connect(&self, protocol: Protocol, to: SocketAddr) -> io::Result<OwnedFd> {
        let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let (kind, number) = match protocol {
            Protocol::Tcp => (SockType::Stream, SockProtocol::Tcp),
            Protocol::Udp => (SockType::Datagram, SockProtocol::Udp),
        };
        let fd = socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, number)?;
        if let Some(link) = &self.link {
            setsockopt(&fd, sockopt::BindToDevice, link)?;
        }
        match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn without_its_link_nothing_leaves() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (protocol, to) in [(Protocol::Tcp, tcp), (Protocol::Udp, udp)] {
            assert!(Upstream::by("lo").connect(protocol, to).is_ok());
            let error = Upstream::by("no-such-link").connect(protocol, to).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::ENODEV));
        }
    }
}
