//! Receiving frames for other stations at an interface, as a bridge has to. The kernel counts who wants that; this one's wish
//! goes with its descriptor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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
        let len = size_of_val(&wish) as libc::socklen_t;
        // SAFETY: the pointer and length describe `wish`, which outlives the call; the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const wish).cast(),
                len,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Promiscuous { _socket: socket }) }
    }
}
