//! The call of bpf(2), for the few commands that aya has no form of that suits, and aya's errors as the kernel's own. Knows
//! none of the commands.

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// What a command takes: plain numbers, no padding, the kernel's layout (`union bpf_attr`).
pub(crate) trait Attributes {}

/// Runs a command. Pointers among the numbers have to be valid for it, which is the callers' business.
pub(crate) fn bpf<T: Attributes>(command: c_int, attributes: &mut T) -> io::Result<c_long> {
    // SAFETY: the pointer and size describe `attributes`, plain numbers in the layout of `command`, which outlive the
    // call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>() as libc::c_uint)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A descriptor as attributes hold it.
pub(crate) fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd() as u32
}

/// What the kernel said; what its verifier said is for the log.
pub(crate) fn cause(error: EbpfError) -> io::Error {
    match error {
        EbpfError::ProgramError(ProgramError::LoadError { io_error, verifier_log }) => {
            tracing::debug!("the kernel refuses the program: {verifier_log}");
            io_error
        }
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => io_error,
        EbpfError::MapError(MapError::SyscallError(error)) => error.io_error,
        other => io::Error::other(other),
    }
}
