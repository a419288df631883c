//! Frames: owned bytes with room in front, and a pool of them.
//! A frame's own buffer is big enough for the largest super-frame, so it never grows; untouched memory costs nothing. A
//! lent one is as big as its lender's chunks; a frame that outgrows it moves to a buffer of its own.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};

use crate::{Loan, Offload};

/// An Ethernet frame with the offload metadata that belongs to it. Nobody else has access to its bytes.
pub struct Frame {
    buffer: Buffer,
    len: usize,
    /// What is left to be done to this frame.
    pub offload: Offload,
}

/// Both are pointer and length at the same place, so that looking at the bytes does not ask which it is.
enum Buffer {
    Own(Box<[u8]>),
    Lent(Loan),
}

impl Buffer {
    fn own() -> Buffer {
        Buffer::Own(vec![0; Frame::HEADROOM + Frame::MAX_LEN].into_boxed_slice())
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Buffer::Own(bytes) => bytes,
            Buffer::Lent(loan) => loan.bytes(),
        }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Buffer::Own(bytes) => bytes,
            Buffer::Lent(loan) => loan.bytes_mut(),
        }
    }
}

impl Frame {
    /// Longest frame, in bytes: Ethernet header, two tags, and the longest IP packet.
    pub const MAX_LEN: usize = 14 + 8 + 65_535;
    /// Bytes in front of the frame, for the offload header; a multiple of 16 after it keeps the IP header aligned.
    pub const HEADROOM: usize = 18;

    /// An empty frame.
    pub fn new() -> Frame {
        Frame { buffer: Buffer::own(), len: 0, offload: Offload::NONE }
    }

    /// A frame of `len` bytes that lie in `loan`, after [`Frame::HEADROOM`]. What does not fit there is left out.
    pub fn lent(loan: Loan, len: usize) -> Frame {
        match loan.bytes().len().checked_sub(Frame::HEADROOM) {
            Some(room) => Frame { buffer: Buffer::Lent(loan), len: len.min(room), offload: Offload::NONE },
            None => Frame::new(),
        }
    }

    /// Whether its bytes are lent.
    #[inline]
    pub fn is_lent(&self) -> bool {
        matches!(self.buffer, Buffer::Lent(_))
    }

    /// What was lent, with the frame's bytes after [`Frame::HEADROOM`].
    ///
    /// # Errors
    /// The frame, if it has its own buffer.
    pub fn into_loan(self) -> Result<Loan, Frame> {
        match self.buffer {
            Buffer::Lent(loan) => Ok(loan),
            Buffer::Own(_) => Err(self),
        }
    }

    /// Longest content, in bytes, without moving to another buffer.
    #[inline]
    fn room(&self) -> usize {
        self.buffer.len() - Frame::HEADROOM
    }

    /// Makes sure that `len` bytes fit; `false` if they never do.
    #[inline]
    fn reserve(&mut self, len: usize) -> bool {
        len <= self.room() || self.outgrow(len)
    }

    /// Moves what was lent to a buffer of its own, where `len` bytes fit; `false` if they never do.
    #[cold]
    fn outgrow(&mut self, len: usize) -> bool {
        if len <= Frame::MAX_LEN {
            let old = std::mem::replace(&mut self.buffer, Buffer::own());
            let used = Frame::HEADROOM + self.len;
            self.buffer[..used].copy_from_slice(&old[..used]);
        }
        len <= self.room()
    }

    /// A frame holding a copy of `bytes`; bytes past [`Frame::MAX_LEN`] are left out.
    pub fn from_bytes(bytes: &[u8]) -> Frame {
        let mut frame = Frame::new();
        frame.fill(bytes);
        frame
    }

    /// Replaces the content by a copy of `bytes`, without offload metadata; bytes past [`Frame::MAX_LEN`] are left out.
    #[inline]
    pub fn fill(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(Frame::MAX_LEN);
        self.len = 0;
        self.reserve(len);
        self.len = len;
        self.buffer[Frame::HEADROOM..][..self.len].copy_from_slice(&bytes[..self.len]);
        self.offload = Offload::NONE;
    }

    /// Replaces the content by that of `other`, offload metadata included.
    #[inline]
    pub fn copy_from(&mut self, other: &Frame) {
        self.fill(other.bytes());
        self.offload = other.offload;
    }

    /// The frame, from its destination address on.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[Frame::HEADROOM..][..self.len]
    }

    /// The frame, to be rewritten in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[Frame::HEADROOM..][..self.len]
    }

    /// Length in bytes, without the offload header.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Empties the frame.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
        self.offload = Offload::NONE;
    }

    /// Appends `bytes`; `false`, and nothing changed, if they do not fit.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        if !self.reserve(self.len + bytes.len()) {
            return false;
        }
        self.buffer[Frame::HEADROOM + self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        true
    }

    /// Takes bytes out of the middle; the range is the caller's to check.
    pub(crate) fn take_out(&mut self, range: Range<usize>) {
        self.bytes_mut().copy_within(range.end.., range.start);
        self.len -= range.len();
    }

    /// Puts bytes in, `at` that many from the first; `false`, and nothing changed, if they do not fit.
    pub(crate) fn put_in(&mut self, at: usize, bytes: &[u8]) -> bool {
        let len = self.len + bytes.len();
        if at > self.len || !self.reserve(len) {
            return false;
        }
        let end = self.len;
        self.len = len;
        self.bytes_mut().copy_within(at..end, at + bytes.len());
        self.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        true
    }

    /// Where a device reads to: offload header, then frame. Follow with [`Frame::received`].
    #[inline]
    pub fn receive_area(&mut self) -> &mut [u8] {
        &mut self.buffer[Frame::HEADROOM - Offload::LEN..]
    }

    /// Says that a device put `len` bytes, offload header included, into [`Frame::receive_area`].
    /// `false`, and an empty frame, if that is less than the header.
    #[inline]
    pub fn received(&mut self, len: usize) -> bool {
        self.clear();
        let Some(len) = len.checked_sub(Offload::LEN) else { return false };
        self.len = len.min(self.room());
        let mut header = [0; Offload::LEN];
        header.copy_from_slice(&self.buffer[Frame::HEADROOM - Offload::LEN..Frame::HEADROOM]);
        self.offload = Offload::from_bytes(&header);
        true
    }

    /// Offload header and frame in one piece, as a device takes them.
    #[inline]
    pub fn with_offload(&mut self) -> &[u8] {
        self.buffer[Frame::HEADROOM - Offload::LEN..Frame::HEADROOM].copy_from_slice(&self.offload.to_bytes());
        &self.buffer[Frame::HEADROOM - Offload::LEN..Frame::HEADROOM + self.len]
    }
}

impl Default for Frame {
    fn default() -> Frame {
        Frame::new()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame {{ len: {}, offload: {:?} }}", self.len, self.offload)
    }
}

/// Frames that wait to be used again. Holds at most as many as it was told to keep.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Frame>,
    keep: usize,
}

impl Pool {
    /// A pool that keeps up to `keep` frames (64 KiB each once they were used).
    pub fn new(keep: usize) -> Pool {
        Pool { free: Vec::with_capacity(keep), keep }
    }

    /// An empty frame. The one put back last comes first: its memory is still in the cache.
    #[inline]
    pub fn get(&mut self) -> Frame {
        self.free.pop().unwrap_or_default()
    }

    /// Takes a frame back.
    #[inline]
    pub fn put(&mut self, mut frame: Frame) {
        // What is lent goes back to its lender.
        if self.free.len() < self.keep && !frame.is_lent() {
            frame.clear();
            self.free.push(frame);
        }
    }

    /// The same frame in a buffer of its own: one that is to wait must not keep what is lent.
    pub fn own(&mut self, frame: Frame) -> Frame {
        match frame.is_lent() {
            true => self.duplicate(&frame),
            false => frame,
        }
    }

    /// A frame with the same content.
    #[inline]
    pub fn duplicate(&mut self, frame: &Frame) -> Frame {
        let mut copy = self.get();
        copy.copy_from(frame);
        copy
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn device_round_trip_keeps_offload() {
        let mut frame = Frame::from_bytes(&[7; 60]);
        frame.offload = Offload::partial(34, 16);
        let wire = frame.with_offload().to_vec();
        assert_eq!(wire.len(), 70);
        let mut other = Frame::new();
        other.receive_area()[..70].copy_from_slice(&wire);
        assert!(other.received(70));
        assert_eq!((other.bytes(), other.offload), (&[7; 60][..], Offload::partial(34, 16)));
        assert!(!other.received(9) && other.is_empty());
    }

    #[test]
    fn extend_stops_at_the_longest_frame() {
        let mut frame = Frame::new();
        assert!(frame.extend(&vec![1; Frame::MAX_LEN]));
        assert!(!frame.extend(&[1]) && frame.len() == Frame::MAX_LEN);
    }

    #[test]
    fn what_is_lent_goes_back_when_its_frame_is_put_or_outgrows_it() {
        static BACK: AtomicUsize = AtomicUsize::new(0);
        let lend = |size: usize| {
            Loan::new(vec![0; size].leak(), |bytes| {
                BACK.fetch_add(bytes.len(), Ordering::Relaxed);
            })
        };
        let mut pool = Pool::new(4);
        let mut frame = Frame::lent(lend(118), 60);
        frame.bytes_mut().copy_from_slice(&[7; 60]);
        assert_eq!((frame.with_offload().len(), frame.is_lent()), (70, true));
        let copy = pool.duplicate(&frame);
        pool.put(copy);
        assert!(frame.extend(&[8; 40]) && frame.is_lent() && frame.len() == 100);
        assert_eq!(BACK.load(Ordering::Relaxed), 0);
        assert!(frame.put_in(60, &[9; 4]) && !frame.is_lent());
        assert_eq!(BACK.load(Ordering::Relaxed), 118);
        assert_eq!(frame.bytes(), [&[7; 60][..], &[9; 4], &[8; 40]].concat());
        pool.put(Frame::lent(lend(200), 60));
        assert_eq!(BACK.load(Ordering::Relaxed), 318);
        let own = pool.own(Frame::lent(lend(200), 60));
        assert!(!own.is_lent() && own.len() == 60 && own.into_loan().is_err());
        assert_eq!(BACK.load(Ordering::Relaxed), 518);
        assert_eq!(Frame::lent(lend(30), 60).len(), 12, "no more than was lent");
        assert_eq!(Frame::lent(lend(10), 60).len(), 0);
        assert_eq!(Frame::lent(lend(100), 60).into_loan().unwrap().bytes().len(), 100);
        assert_eq!(BACK.load(Ordering::Relaxed), 658);
    }

    #[test]
    fn pool_forgets_content() {
        let mut pool = Pool::new(1);
        pool.put(Frame::from_bytes(&[1; 60]));
        pool.put(Frame::from_bytes(&[2; 60]));
        assert!(pool.get().is_empty() && pool.get().is_empty());
    }
}
