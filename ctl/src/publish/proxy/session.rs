//! UDP: a session for each client and each address that it asked, so that the container tells clients apart, and the
//! answer comes from the address that was asked. Sessions end after a minute of silence; when there are too many, the
//! one goes that was quiet for a while, of the publication that has the most.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg};

use super::slots::Id;
use super::upstream::Upstream;
use crate::publish::Protocol;

/// Silence after which a session ends.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// The longest datagram, in bytes.
pub(super) const DATAGRAM: usize = 65_536;

/// A published UDP port.
pub(super) struct Datagrams {
    /// The publication it belongs to.
    pub(super) service: u32,
    /// How far it is behind the publication's first port.
    pub(super) offset: u16,
    pub(super) socket: UdpSocket,
}

/// Who asked which of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// The socket that heard it.
    pub(super) at: Id,
    /// The client.
    pub(super) client: SocketAddr,
    /// The address that it asked, and the interface where the address means something only there.
    pub(super) local: (IpAddr, u32),
}

/// One client's conversation.
pub(super) struct Session {
    pub(super) asked: Asked,
    pub(super) service: u32,
    pub(super) socket: UdpSocket,
    pub(super) used: Instant,
    /// Whether the client has come back since it was last looked at for eviction: who asks once goes first.
    pub(super) fresh: bool,
}

impl Session {
    /// A session to the switch.
    ///
    /// # Errors
    /// The kernel has no way there, or no descriptor left.
    pub(super) fn begin(
        asked: Asked,
        upstream: &Upstream,
        to: SocketAddr,
        service: u32,
        now: Instant,
    ) -> io::Result<Session> {
        let socket = UdpSocket::from_std(upstream.connect(Protocol::Udp, to)?.into());
        Ok(Session { asked, service, socket, used: now, fresh: false })
    }
}

/// Takes a datagram from a published port: its length, its sender, and the address that was asked.
pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<(usize, SocketAddr, (IpAddr, u32)), Errno> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let client = message.address.as_ref().and_then(address).ok_or(Errno::EAFNOSUPPORT)?;
    let local = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some((Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into(), 0))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let scope = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            Some((address.into(), scope))
        }
        _ => None,
    });
    Ok((message.bytes, client, local.ok_or(Errno::EDESTADDRREQ)?))
}

/// Answers a client from the address that it asked.
pub(super) fn answer(socket: &UdpSocket, asked: &Asked, bytes: &[u8]) -> Result<(), Errno> {
    let to = SockaddrStorage::from(asked.client);
    let parts = [IoSlice::new(bytes)];
    let send = |control: ControlMessage<'_>| {
        sendmsg(socket.as_raw_fd(), &parts, &[control], MsgFlags::MSG_NOSIGNAL, Some(&to)).map(drop)
    };
    match asked.local {
        (IpAddr::V4(address), _) => {
            let source = libc::in_addr { s_addr: u32::from(address).to_be() };
            let any = libc::in_addr { s_addr: 0 };
            send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: any,
            }))
        }
        (IpAddr::V6(address), scope) => {
            let source = libc::in6_addr { s6_addr: address.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: scope };
            send(ControlMessage::Ipv6PacketInfo(&info))
        }
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}
