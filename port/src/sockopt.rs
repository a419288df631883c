//! Socket options whose values are plain. Nothing here knows what the options mean.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A value that may be an option's: numbers in the kernel's layout.
///
/// # Safety
/// Every bit pattern is a valid value, and there is no padding.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: a number.
unsafe impl Plain for c_int {}
// SAFETY: a number.
unsafe impl Plain for u32 {}
// SAFETY: a number.
unsafe impl Plain for u64 {}
// SAFETY: an array has no padding of its own.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
// SAFETY: numbers of 4, 2, 2 and 8 times 1 bytes.
unsafe impl Plain for libc::packet_mreq {}
// SAFETY: numbers of two times 8 and four times 4 bytes.
unsafe impl Plain for libc::xdp_umem_reg {}
// SAFETY: sixteen numbers of 8 bytes.
unsafe impl Plain for libc::xdp_mmap_offsets {}

/// Sets an option.
pub(crate) fn set<T: Plain>(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`, which outlives the call; the kernel only reads it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads an option; what the kernel does not fill stays zero.
pub(crate) fn get<T: Plain>(fd: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`; both outlive the call.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &raw mut len) };
    // SAFETY: every bit pattern is valid, that of zeros and that of whatever the kernel wrote.
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { value.assume_init() }) }
}

/// Lets the kernel discard whatever arrives at the socket, so that nobody can fill its buffer.
pub(crate) fn discard_received(fd: BorrowedFd<'_>) -> io::Result<()> {
    const RETURN_CONSTANT: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut filter = [libc::sock_filter { code: RETURN_CONSTANT, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: 1, filter: filter.as_mut_ptr() };
    let len = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `program`, which points to one instruction; both outlive the call, and
    // the kernel copies the filter.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const program).cast(), len)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
