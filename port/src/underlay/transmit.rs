//! The system calls that send: a whole run with one, or its datagrams one by one with few.
//! No state, no choice between the two.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::MAX_SEGMENTS;
use super::address::Name;
use super::control::{Control, Tos};

/// What came of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The kernel took everything.
    Done,
    /// No room now; what was not taken is lost.
    Full,
    /// The kernel knows no way there, or a rule of the host forbids it.
    Unreachable,
    /// A datagram is longer than the path's MTU, and is never fragmented.
    TooBig,
}

/// Sends one datagram.
pub(super) fn one(fd: BorrowedFd<'_>, to: &Name, tos: Tos, bytes: &[u8]) -> io::Result<SendOutcome> {
    match submit(fd, to, &Control::outgoing(None, tos), bytes) {
        Ok(()) => Ok(SendOutcome::Done),
        Err(error) => outcome(error),
    }
}

/// Sends the whole run with one call; `None` if the kernel does not cut for this destination (or, an older one, if a
/// segment is too long), in which case nothing was sent.
pub(super) fn run(
    fd: BorrowedFd<'_>,
    to: &Name,
    tos: Tos,
    bytes: &[u8],
    segment: usize,
) -> io::Result<Option<SendOutcome>> {
    let Ok(size) = u16::try_from(segment) else { return Ok(None) };
    let Err(error) = submit(fd, to, &Control::outgoing(Some(size), tos), bytes) else {
        return Ok(Some(SendOutcome::Done));
    };
    match error.raw_os_error() {
        Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT) => Ok(None),
        _ => outcome(error).map(Some),
    }
}

fn submit(fd: BorrowedFd<'_>, to: &Name, control: &Control, bytes: &[u8]) -> io::Result<()> {
    let mut piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let message = message(to, control, &raw mut piece);
    loop {
        // SAFETY: `message` points to `to`, `control`, `piece` and through it `bytes`, each with its true length; all
        // outlive the call, which only reads them.
        let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, FLAGS) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Sends datagrams of `segment` bytes one by one, in order, up to the first that fails.
/// There are at most [`MAX_SEGMENTS`]; more are not sent.
pub(super) fn each(fd: BorrowedFd<'_>, to: &Name, tos: Tos, bytes: &[u8], segment: usize) -> io::Result<SendOutcome> {
    let control = Control::outgoing(None, tos);
    let mut pieces = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MAX_SEGMENTS];
    // SAFETY: all zeroes is a value of this struct of numbers and pointers.
    let mut messages: [libc::mmsghdr; MAX_SEGMENTS] = unsafe { mem::zeroed() };
    let mut count = 0;
    for ((datagram, piece), slot) in bytes.chunks(segment).zip(&mut pieces).zip(&mut messages) {
        *piece = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
        slot.msg_hdr = message(to, &control, piece);
        count += 1;
    }
    let mut rest = &mut messages[..count];
    while !rest.is_empty() {
        // SAFETY: every message in `rest` points to `to`, `control`, its piece and through it `bytes`, each with its true
        // length; all outlive the call, which writes to nothing but the messages' `msg_len`.
        let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, FLAGS as _) };
        match usize::try_from(sent) {
            Ok(sent) => rest = rest.get_mut(sent.max(1)..).unwrap_or_default(),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return outcome(error);
                }
            }
        }
    }
    Ok(SendOutcome::Done)
}

const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// A message of one piece. It holds pointers to its arguments: they must outlive its use.
fn message(to: &Name, control: &Control, piece: *mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeroes is a value of this struct of numbers and pointers (some C libraries have hidden fields in it).
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = to.bytes.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len;
    message.msg_iov = piece;
    message.msg_iovlen = 1;
    if control.len > 0 {
        message.msg_control = control.bytes.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len as _;
    }
    message
}

fn outcome(error: io::Error) -> io::Result<SendOutcome> {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Ok(SendOutcome::Full),
        Some(libc::EMSGSIZE) => Ok(SendOutcome::TooBig),
        Some(
            libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::ENETDOWN
            | libc::EHOSTDOWN
            | libc::ECONNREFUSED
            | libc::EADDRNOTAVAIL
            | libc::EPERM
            | libc::EACCES
            // What the kernel says when the source address is no longer one of this host's.
            | libc::EINVAL,
        ) => Ok(SendOutcome::Unreachable),
        _ => Err(error),
    }
}
