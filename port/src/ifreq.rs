//! `struct ifreq` and the requests made with it: those whose value is a plain number, and those that point to a command.

use std::ffi::{c_int, c_short};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A number that may stand in the union of `struct ifreq`.
pub(crate) trait Value: Copy {}
impl Value for c_int {}
impl Value for c_short {}

/// What the union may point to: plain numbers in the kernel's layout, the first of which says what they are.
pub(crate) trait Command {}

/// The kernel's `struct ifreq`: 40 bytes on 64-bit machines, 32 on others. This one is a little longer, and initialised
/// to its end, so that the kernel copies neither foreign nor indeterminate bytes.
#[repr(C)]
struct Request<T> {
    name: [u8; libc::IFNAMSIZ],
    value: T,
    rest: [u8; 24],
}

/// A socket for requests that any socket will do for; a host without IPv4 still has one for IPv6.
pub(crate) fn any_socket() -> io::Result<UdpSocket> {
    UdpSocket::bind("0.0.0.0:0").or_else(|_| UdpSocket::bind("[::]:0"))
}

/// Asks `request` of `fd` about link `name` with `value`; returns the value that the kernel left.
///
/// `request` must be one that takes a `struct ifreq`. A name that is too long is `InvalidInput`.
pub(crate) fn ask<T: Value>(fd: BorrowedFd<'_>, request: libc::Ioctl, name: &str, value: T) -> io::Result<T> {
    // SAFETY: a number.
    unsafe { call(fd, request, name, value) }
}

/// Has link `name` do `command`, by `request` of any socket; the kernel leaves its answer in it.
///
/// `request` must be one whose `struct ifreq` points to such a command. A name that is too long is `InvalidInput`.
pub(crate) fn command<T: Command>(request: libc::Ioctl, name: &str, command: &mut T) -> io::Result<()> {
    let socket = any_socket()?;
    // SAFETY: it points to a command in the layout of its number, whose every bit pattern is valid and which outlives the
    // call.
    unsafe { call(socket.as_fd(), request, name, std::ptr::from_mut(command)) }.map(drop)
}

/// # Safety
/// `value` is a number, or a pointer to what `request` reads and writes.
unsafe fn call<T>(fd: BorrowedFd<'_>, request: libc::Ioctl, name: &str, value: T) -> io::Result<T> {
    let mut arg = Request { name: [0; libc::IFNAMSIZ], value, rest: [0; 24] };
    // One byte stays for the terminating zero.
    let room = arg.name[..libc::IFNAMSIZ - 1].get_mut(..name.len()).ok_or(io::ErrorKind::InvalidInput)?;
    room.copy_from_slice(name.as_bytes());
    // SAFETY: `arg` is at least as long as the kernel's `struct ifreq`, laid out like it, and outlives the call, which
    // keeps no pointer to it; its value is good by this function's condition.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut arg) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(arg.value) }
}
