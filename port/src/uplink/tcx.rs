//! Programs at the tcx hook of an interface (Linux 6.6). They are attached without a bpf_link and without a pin: such an
//! attachment lives as long as the interface, and needs no file system to survive its maker.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::hook::Installed;
use super::sys;

/// Whether the kernel has this hook.
///
/// # Errors
/// It has not.
pub(crate) fn is_there(ifindex: u32) -> io::Result<()> {
    sys::query(ifindex).map(drop)
}

/// All programs at the ingress of an interface. None where the kernel has no tcx.
pub(super) fn list(ifindex: u32) -> io::Result<Vec<u32>> {
    match sys::query(ifindex) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT | libc::ENODEV)) => {
            Ok(Vec::new())
        }
        other => other,
    }
}

/// Attaches before all others, or in the place of another at once.
pub(super) fn put(ifindex: u32, program: BorrowedFd<'_>, replaced: Option<&Installed>) -> io::Result<()> {
    sys::attach(ifindex, program, replaced.map(|old| old.program.as_fd()))
}

pub(super) fn remove(ifindex: u32, program: BorrowedFd<'_>) -> io::Result<()> {
    sys::detach(ifindex, program)
}
