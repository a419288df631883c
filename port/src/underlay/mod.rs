//! The VXLAN underlay: one socket that receives, a pool of sockets that send, many datagrams of one size at a time.
//! It serves one VTEP address, of either IP version, and knows nothing of VXLAN: bytes go out, bytes come in.
//! The kernel routes, and never fragments what is sent here (RFC 7348 section 4.3).

mod address;
mod control;
mod datagrams;
mod senders;
#[cfg(test)]
mod tests;
mod transmit;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, socket};

pub use datagrams::{Datagram, Datagrams};
pub use transmit::SendOutcome;

use crate::{Error, sockopt};
use address::Name;
use senders::Senders;

/// What the receiver may hold before the kernel drops, in bytes: a hundred full GRO runs, with what they cost on top.
const RECEIVE_BUFFER: i32 = 8 << 20;
/// Most segments in one send: what every kernel with UDP_SEGMENT takes.
const MAX_SEGMENTS: usize = 64;
/// Most bytes in one send: the longest UDP payload over IPv4.
const MAX_BYTES: usize = 65_507;
/// After the kernel refused to cut, so many sends go without asking it again; the device or route may change.
const REFUSAL_LASTS: u32 = 4096;

/// A VTEP's sockets.
#[derive(Debug)]
pub struct Underlay {
    local: IpAddr,
    port: u16,
    receiver: OwnedFd,
    senders: Senders,
    gso: bool,
    /// Sends left that do not try UDP_SEGMENT.
    without_gso: u32,
    gso_refused: u64,
    gro_seen: bool,
}

/// How the underlay does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnderlayStats {
    /// Whether the kernel cuts: many datagrams go out with one send.
    pub gso: bool,
    /// How often the kernel refused to cut.
    pub gso_refused: u64,
    /// Whether the kernel ever joined datagrams on receipt. If it never does under load, receiving is several times
    /// dearer than it need be.
    pub gro_seen: bool,
    /// Sending sockets opened so far.
    pub sockets: usize,
    /// The receiver's buffer as the kernel counts it, in bytes (twice the payload).
    pub receive_buffer: usize,
    /// Datagrams that the kernel dropped at the receiver, for want of room above all.
    pub dropped: u64,
}

impl Underlay {
    /// Opens the receiver on `local` and UDP port `port`, in the calling thread's network namespace, where the sending
    /// sockets will be as well. An unspecified `local` receives on all addresses (`::` for both IP versions) and lets
    /// the kernel choose the source.
    ///
    /// # Errors
    /// The port is taken, or the address is not one of this host's.
    pub fn bind(local: IpAddr, port: u16) -> Result<Underlay, Error> {
        let failed = |source| Error::Underlay { local, port, source };
        let receiver = open(local).map_err(failed)?;
        let fd = receiver.as_fd();
        set_buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECEIVE_BUFFER).map_err(failed)?;
        if let Err(error) = sockopt::set(fd, libc::SOL_UDP, libc::UDP_GRO, 1) {
            tracing::warn!("underlay {local}: the kernel joins no datagrams on receipt: {error} (needs Linux 5.0)");
        }
        sockopt::set(fd, libc::SOL_IP, libc::IP_RECVTOS, 1).map_err(failed)?;
        if local.is_ipv6() {
            sockopt::set(fd, libc::SOL_IPV6, libc::IPV6_RECVTCLASS, 1).map_err(failed)?;
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(local, port)))
            .map_err(|errno| failed(errno.into()))?;
        Ok(Underlay {
            local,
            port,
            receiver,
            senders: Senders::new(local),
            gso: true,
            without_gso: 0,
            gso_refused: 0,
            gro_seen: false,
        })
    }

    /// The VTEP address.
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// The port received on, which is also the one sent to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The receiving socket, to be polled.
    pub fn receiver(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }

    /// Reads what waits, as far as `batch` has room; returns how many entries it now has. 0: nothing waits.
    ///
    /// # Errors
    /// What no running kernel is known to return; the socket can be used further.
    pub fn receive(&mut self, batch: &mut Datagrams) -> io::Result<usize> {
        let count = batch.fill(self.receiver.as_fd())?;
        self.gro_seen = self.gro_seen || batch.iter().any(|datagram| datagram.segment < datagram.bytes.len());
        Ok(count)
    }

    /// Sends `bytes` to `to` as datagrams of `segment` bytes each, the last one of what is left.
    ///
    /// `entropy` (a hash of the inner flow) chooses the source port: always the same one for the same value.
    /// When the kernel takes no whole run, the datagrams are sent one by one; some may then be out, in order, although
    /// the outcome is not `Done`.
    ///
    /// # Errors
    /// `InvalidInput` unless there are 1 to 64 segments and at most 65,507 bytes; no source port is free; what no
    /// running kernel is known to return.
    pub fn send(&mut self, to: IpAddr, entropy: u32, bytes: &[u8], segment: usize) -> io::Result<SendOutcome> {
        self.send_marked(to, entropy, 0, bytes, segment)
    }

    /// Like [`Underlay::send`], with the outer header's ToS or traffic class (RFC 6040 asks for the inner frame's ECN).
    ///
    /// # Errors
    /// As [`Underlay::send`].
    pub fn send_marked(
        &mut self,
        to: IpAddr,
        entropy: u32,
        tos: u8,
        bytes: &[u8],
        segment: usize,
    ) -> io::Result<SendOutcome> {
        if bytes.is_empty() || segment == 0 || bytes.len() > MAX_BYTES || bytes.len().div_ceil(segment) > MAX_SEGMENTS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(name) = Name::new(SocketAddr::new(to, self.port), self.local.is_ipv6()) else {
            // No route leads from one IP version to the other.
            return Ok(SendOutcome::Unreachable);
        };
        let tos = control::Tos { value: tos, v6: to.is_ipv6() };
        let socket = self.senders.socket(entropy)?;
        if bytes.len() <= segment {
            return transmit::one(socket, &name, tos, bytes);
        }
        if !self.gso || self.without_gso > 0 {
            self.without_gso = self.without_gso.saturating_sub(1);
            return transmit::each(socket, &name, tos, bytes, segment);
        }
        if let Some(outcome) = transmit::run(socket, &name, tos, bytes, segment)? {
            return Ok(outcome);
        }
        // Refused: a device without checksum offload, an IPsec route, or (an older kernel) just too long a segment.
        let outcome = transmit::each(socket, &name, tos, bytes, segment)?;
        if outcome == SendOutcome::Done {
            self.without_gso = REFUSAL_LASTS;
            self.gso_refused += 1;
        }
        Ok(outcome)
    }

    /// Whether to let the kernel cut runs. On from the start; off is for devices that do it wrong.
    pub fn set_gso(&mut self, on: bool) {
        self.gso = on;
        self.without_gso = 0;
    }

    /// Longest IP packet, in bytes, that the kernel would now send to `to`: the route's MTU, or the path's where known.
    ///
    /// # Errors
    /// There is no route. The question is asked in the calling thread's network namespace.
    pub fn mtu_to(&self, to: IpAddr) -> io::Result<u32> {
        let socket = UdpSocket::bind((self.local, 0))?;
        socket.connect((to, self.port))?;
        let (level, option) =
            if to.is_ipv6() { (libc::SOL_IPV6, libc::IPV6_MTU) } else { (libc::SOL_IP, libc::IP_MTU) };
        let mtu: i32 = sockopt::get(socket.as_fd(), level, option)?;
        Ok(u32::try_from(mtu).unwrap_or(0))
    }

    /// How it does. Costs two system calls.
    pub fn stats(&self) -> UnderlayStats {
        let fd = self.receiver.as_fd();
        let buffer: i32 = sockopt::get(fd, libc::SOL_SOCKET, libc::SO_RCVBUF).unwrap_or_default();
        // Nine numbers, the last one being that of drops (linux/sock_diag.h).
        let memory: [i32; 9] = sockopt::get(fd, libc::SOL_SOCKET, libc::SO_MEMINFO).unwrap_or_default();
        UnderlayStats {
            gso: self.gso && self.without_gso == 0,
            gso_refused: self.gso_refused,
            gro_seen: self.gro_seen,
            sockets: self.senders.len(),
            receive_buffer: usize::try_from(buffer).unwrap_or(0),
            dropped: u64::from(memory[libc::SK_MEMINFO_DROPS as usize].cast_unsigned()),
        }
    }
}

/// A UDP socket for `local`, not bound yet, that never waits.
fn open(local: IpAddr) -> io::Result<OwnedFd> {
    let family = if local.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    if local.is_ipv6() {
        let only = i32::from(!local.is_unspecified());
        sockopt::set(fd.as_fd(), libc::SOL_IPV6, libc::IPV6_V6ONLY, only)?;
    }
    Ok(fd)
}

/// Sets a buffer beyond the system's limit if allowed (CAP_NET_ADMIN), else up to it.
fn set_buffer(fd: BorrowedFd<'_>, force: i32, plain: i32, bytes: i32) -> io::Result<()> {
    sockopt::set(fd, libc::SOL_SOCKET, force, bytes).or_else(|_| sockopt::set(fd, libc::SOL_SOCKET, plain, bytes))
}
