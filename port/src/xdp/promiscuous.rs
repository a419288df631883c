//! Receiving frames for other stations at an interface, as a bridge has to. The kernel counts who wants that; this one's wish
//! goes with its descriptor.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use crate::sockopt;

#[derive(Debug)]
pub(super) struct Promiscuous {
    _socket: OwnedFd,
}

impl Promiscuous {
    /// For interface `ifindex` of the calling thread's network namespace.
    pub(super) fn new(ifindex: u32) -> io::Result<Promiscuous> {
        // Protocol 0: nothing is received here.
        // SAFETY: takes numbers only.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let wish = libc::packet_mreq {
            mr_ifindex: ifindex as libc::c_int,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        sockopt::set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, wish)?;
        Ok(Promiscuous { _socket: socket })
    }
}
