//! Whether the kernel has AF_XDP and what came later to it: tried out at an interface that nobody else has, with a memory of one
//! chunk. Attaches nothing, receives nothing, and leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::ring::ENTRIES;
use super::socket;
use super::umem::{CHUNK, Umem};
use crate::sockopt;

/// What of it is there, or why not.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) sockets: io::Result<()>,
    /// Calls of ours drive a card's queues instead of interrupts (Linux 5.11).
    pub(crate) busy_poll: io::Result<()>,
    /// Frames longer than a chunk, in several of them (Linux 6.6).
    pub(crate) multi_buffer: io::Result<()>,
}

/// Tries it at interface `ifindex` of the calling thread's network namespace.
pub(crate) fn run(ifindex: u32) -> Trial {
    let sockets = with_socket(|fd| socket::bind(fd, ifindex, 0, libc::XDP_COPY));
    let busy_poll = with_socket(socket::prefer_busy_poll);
    Trial { sockets, busy_poll, multi_buffer: multi_buffer() }
}

/// Whether frames may lie in several chunks. Asks the kernel alone, no interface.
pub(super) fn multi_buffer() -> io::Result<()> {
    knows(libc::XDP_USE_SG)
}

/// The kernel looks at the flags before it looks for the interface, and none has the number 0.
fn knows(flags: u16) -> io::Result<()> {
    match socket::bind(socket::open()?.as_fd(), 0, 0, flags) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}

fn with_socket(test: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
    let umem = Umem::map(CHUNK)?;
    let attempt = || {
        let fd = socket::create(&umem).map_err(|(_, error)| error)?;
        for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING] {
            sockopt::set(fd.as_fd(), libc::SOL_XDP, ring, ENTRIES)?;
        }
        test(fd.as_fd())
    };
    let outcome = attempt();
    umem.unmap();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_the_kernel_does_not_know_is_told_from_one_that_it_knows() {
        knows(libc::XDP_COPY).unwrap();
        assert_eq!(knows(1 << 15).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
