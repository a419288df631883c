//! `struct ifreq` and the requests made with it. Only requests whose value is a plain number go through here.

use std::ffi::{c_int, c_short};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A number that may stand in the union of `struct ifreq`.
pub(crate) trait Value: Copy {}
impl Value for c_int {}
impl Value for c_short {}

/// The kernel's `struct ifreq`: 40 bytes on 64-bit machines, 32 on others. This one is a little longer, and initialised
/// to its end, so that the kernel copies neither foreign nor indeterminate bytes.
#[repr(C)]
struct Request<T> {
    name: [u8; libc::IFNAMSIZ],
    value: T,
    rest: [u8; 24],
}

/// Asks `request` of `fd` about link `name` with `value`; returns the value that the kernel left.
///
/// `request` must be one that takes a `struct ifreq`. A name that is too long is `InvalidInput`.
pub(crate) fn ask<T: Value>(fd: BorrowedFd<'_>, request: libc::Ioctl, name: &str, value: T) -> io::Result<T> {
    let mut arg = Request { name: [0; libc::IFNAMSIZ], value, rest: [0; 24] };
    // One byte stays for the terminating zero.
    let room = arg.name[..libc::IFNAMSIZ - 1].get_mut(..name.len()).ok_or(io::ErrorKind::InvalidInput)?;
    room.copy_from_slice(name.as_bytes());
    // SAFETY: `arg` is at least as long as the kernel's `struct ifreq`, laid out like it, and outlives the call, which
    // keeps no pointer to it.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut arg) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(arg.value) }
}
