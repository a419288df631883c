//! Buffers for what the underlay receives: one system call fills many, each with a datagram or with a run of datagrams
//! that the kernel joined. Memory is touched, and so taken, only as far as it is used.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::address::Name;
use super::control::Control;

/// Longest run, in bytes: a UDP payload is shorter.
const LEN: usize = 65_536;
/// Most buffers filled by one system call.
const MAX: usize = 64;
/// Runs of this many bytes, on average, come one with each call: a long one is passed on before the next is read, so that
/// the two ends of a stream work at the same time, and it is still in the cache.
const LONG: usize = 16 * 1024;

/// What was received with one call; used again and again.
#[derive(Debug)]
pub struct Datagrams {
    memory: Vec<u8>,
    slots: Vec<Slot>,
    filled: usize,
    /// The last call brought long runs.
    long: bool,
}

#[derive(Clone, Debug)]
struct Slot {
    name: Name,
    control: Control,
    len: usize,
    truncated: bool,
}

/// A datagram, or a run of them from one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The sender; never an IPv4 address in IPv6 clothes.
    pub from: SocketAddr,
    /// The payload, or all payloads one after the other.
    pub bytes: &'a [u8],
    /// Bytes of each payload in `bytes` but the last, which may be shorter. At least 1, so it can cut even nothing.
    pub segment: usize,
    /// Whether the end was lost for want of room, which takes a kernel that joins more than 64 KiB.
    pub truncated: bool,
    /// The outer header's ToS or traffic class; the two low bits are ECN. The same for the whole run.
    pub tos: u8,
}

impl Datagrams {
    /// Room for `n` datagrams or runs, from 1 to 64.
    pub fn new(n: usize) -> Datagrams {
        let n = n.clamp(1, MAX);
        let slot = Slot { name: Name::EMPTY, control: Control::EMPTY, len: 0, truncated: false };
        // Zeroed memory of this size comes from the kernel untouched.
        Datagrams { memory: vec![0; n * LEN], slots: vec![slot; n], filled: 0, long: false }
    }

    /// How many datagrams or runs have room.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// What the last call received, in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.slots[..self.filled].iter().zip(self.memory.chunks_exact(LEN));
        slots.filter_map(|(slot, memory)| {
            let bytes = &memory[..slot.len];
            let (segment, tos) = slot.control.incoming();
            let segment = if segment == 0 { bytes.len().max(1) } else { segment };
            Some(Datagram { from: slot.name.get()?, bytes, segment, truncated: slot.truncated, tos })
        })
    }

    /// Receives from what waits at `fd`, without waiting; returns how many entries there are now.
    pub(super) fn fill(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.filled = 0;
        let wanted = if self.long { 1 } else { self.slots.len() };
        let mut pieces = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MAX];
        // SAFETY: all zeroes is a value of this struct of numbers and pointers.
        let mut messages: [libc::mmsghdr; MAX] = unsafe { mem::zeroed() };
        let targets = self.slots[..wanted].iter_mut().zip(self.memory.chunks_exact_mut(LEN));
        for ((message, piece), (slot, memory)) in messages.iter_mut().zip(&mut pieces).zip(targets) {
            piece.iov_base = memory.as_mut_ptr().cast();
            piece.iov_len = memory.len();
            let header = &mut message.msg_hdr;
            header.msg_iov = piece;
            header.msg_iovlen = 1;
            header.msg_name = slot.name.bytes.as_mut_ptr().cast();
            header.msg_namelen = slot.name.bytes.len() as libc::socklen_t;
            header.msg_control = slot.control.bytes.as_mut_ptr().cast();
            header.msg_controllen = slot.control.bytes.len() as _;
        }
        let count = loop {
            // SAFETY: the first `wanted` messages (at most MAX) point to memory, names and control buffers that
            // `self` owns exclusively, each with its true length, and that stay where they are during the call.
            let count = unsafe {
                libc::recvmmsg(
                    fd.as_raw_fd(),
                    messages.as_mut_ptr(),
                    wanted as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            if let Ok(count) = usize::try_from(count) {
                break count;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(0),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        };
        for (slot, message) in self.slots.iter_mut().zip(&messages[..count]) {
            slot.len = (message.msg_len as usize).min(LEN);
            slot.name.len = message.msg_hdr.msg_namelen;
            slot.control.len = message.msg_hdr.msg_controllen as _;
            slot.truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        }
        self.filled = count;
        self.long = self.slots[..count].iter().map(|slot| slot.len).sum::<usize>() > count * LONG;
        Ok(count)
    }
}
