//! The sockets that send: one per source port, opened on first use, chosen by the inner flow's hash, so that routers and
//! receivers can spread flows (RFC 7348 section 5). They never receive.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, bind};

use crate::sockopt;

/// How many source ports flows are spread over.
const SOCKETS: u16 = 1024;
/// The lowest source port: within RFC 7348's range (49152 to 65535), behind Linux's ephemeral ports (up to 60999).
const FIRST_PORT: u16 = 61_000;
/// What a socket may have on its way, in bytes.
const SEND_BUFFER: i32 = 4 << 20;
/// A slot that has no socket yet.
const UNOPENED: u16 = u16::MAX;

#[derive(Debug)]
pub(super) struct Senders {
    local: IpAddr,
    sockets: Vec<OwnedFd>,
    /// Index into `sockets` by `entropy % SOCKETS`. Several may share one when descriptors run out.
    slots: Box<[u16]>,
}

impl Senders {
    pub(super) fn new(local: IpAddr) -> Senders {
        Senders { local, sockets: Vec::new(), slots: vec![UNOPENED; usize::from(SOCKETS)].into_boxed_slice() }
    }

    /// Sockets opened so far.
    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// The socket for flows of this `entropy`.
    pub(super) fn socket(&mut self, entropy: u32) -> io::Result<BorrowedFd<'_>> {
        let slot = (entropy % u32::from(SOCKETS)) as usize;
        if self.slots[slot] == UNOPENED {
            self.slots[slot] = self.open(slot as u16)?;
        }
        Ok(self.sockets[usize::from(self.slots[slot])].as_fd())
    }

    fn open(&mut self, slot: u16) -> io::Result<u16> {
        // No more sockets than slots are ever opened, so the index fits.
        let next = self.sockets.len() as u16;
        match open_bound(self.local, slot) {
            Ok(socket) => {
                self.sockets.push(socket);
                Ok(next)
            }
            // Out of descriptors, or of ports: a flow keeps its port, though it shares it with more flows than meant.
            Err(error) if next > 0 && is_shortage(&error) => {
                tracing::debug!("underlay {}: one source port less for flows: {error}", self.local);
                Ok(slot % next)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRINUSE | libc::ENOBUFS | libc::ENOMEM))
}

fn open_bound(local: IpAddr, slot: u16) -> io::Result<OwnedFd> {
    let socket = super::open(local)?;
    let fd = socket.as_fd();
    // Don't-fragment: what is too big fails with EMSGSIZE, here or as soon as a router has said so.
    sockopt::set(fd, libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
    if local.is_ipv6() {
        sockopt::set(fd, libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)?;
    }
    super::set_buffer(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER)?;
    sockopt::discard_received(fd)?;
    for port in candidates(slot) {
        match bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(local, port))) {
            Err(Errno::EADDRINUSE) => {}
            result => return result.map(|()| socket).map_err(io::Error::from),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EADDRINUSE))
}

/// The slot's own port, then those a whole pool further on, which are no other slot's first choice, then the remainder.
fn candidates(slot: u16) -> impl Iterator<Item = u16> {
    let whole = (u16::MAX - FIRST_PORT) / SOCKETS;
    (0..whole).map(move |turn| FIRST_PORT + turn * SOCKETS + slot).chain(FIRST_PORT + whole * SOCKETS..=u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vx_08_candidates_stay_in_range_and_start_apart() {
        let mut first: Vec<u16> = (0..SOCKETS).map(|slot| candidates(slot).next().unwrap()).collect();
        first.dedup();
        assert_eq!(first.len(), usize::from(SOCKETS));
        assert!((0..SOCKETS).flat_map(candidates).all(|port| port >= FIRST_PORT));
        assert_eq!(candidates(1023).take(4).collect::<Vec<_>>(), [62_023, 63_047, 64_071, 65_095]);
        assert_eq!(candidates(0).last(), Some(65_535));
    }
}
