//! Frames: owned bytes with room in front, and a pool of them.
//! A frame is big enough for the largest super-frame, so it never grows; untouched memory costs nothing.

use std::fmt;
use std::ops::Range;

use crate::Offload;

/// An Ethernet frame in a buffer of its own, with the offload metadata that belongs to it.
pub struct Frame {
    buffer: Box<[u8]>,
    len: usize,
    /// What is left to be done to this frame.
    pub offload: Offload,
}

impl Frame {
    /// Longest frame, in bytes: Ethernet header, two tags, and the longest IP packet.
    pub const MAX_LEN: usize = 14 + 8 + 65_535;
    /// Bytes in front of the frame, for the offload header; a multiple of 16 after it keeps the IP header aligned.
    const HEADROOM: usize = 18;

    /// An empty frame.
    pub fn new() -> Frame {
        Frame { buffer: vec![0; Frame::HEADROOM + Frame::MAX_LEN].into_boxed_slice(), len: 0, offload: Offload::NONE }
    }

    /// A frame holding a copy of `bytes`; bytes past [`Frame::MAX_LEN`] are left out.
    pub fn from_bytes(bytes: &[u8]) -> Frame {
        let mut frame = Frame::new();
        frame.fill(bytes);
        frame
    }

    /// Replaces the content by a copy of `bytes`, without offload metadata; bytes past [`Frame::MAX_LEN`] are left out.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.len = bytes.len().min(Frame::MAX_LEN);
        self.buffer[Frame::HEADROOM..][..self.len].copy_from_slice(&bytes[..self.len]);
        self.offload = Offload::NONE;
    }

    /// Replaces the content by that of `other`, offload metadata included.
    pub fn copy_from(&mut self, other: &Frame) {
        self.fill(other.bytes());
        self.offload = other.offload;
    }

    /// The frame, from its destination address on.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[Frame::HEADROOM..][..self.len]
    }

    /// The frame, to be rewritten in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[Frame::HEADROOM..][..self.len]
    }

    /// Length in bytes, without the offload header.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Empties the frame.
    pub fn clear(&mut self) {
        self.len = 0;
        self.offload = Offload::NONE;
    }

    /// Appends `bytes`; `false`, and nothing changed, if they do not fit.
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        let Some(area) = self.buffer[Frame::HEADROOM + self.len..].get_mut(..bytes.len()) else { return false };
        area.copy_from_slice(bytes);
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
        if at > self.len || len > Frame::MAX_LEN {
            return false;
        }
        let end = self.len;
        self.len = len;
        self.bytes_mut().copy_within(at..end, at + bytes.len());
        self.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        true
    }

    /// Where a device reads to: offload header, then frame. Follow with [`Frame::received`].
    pub fn receive_area(&mut self) -> &mut [u8] {
        &mut self.buffer[Frame::HEADROOM - Offload::LEN..]
    }

    /// Says that a device put `len` bytes, offload header included, into [`Frame::receive_area`].
    /// `false`, and an empty frame, if that is less than the header.
    pub fn received(&mut self, len: usize) -> bool {
        self.clear();
        let Some(len) = len.checked_sub(Offload::LEN) else { return false };
        self.len = len.min(Frame::MAX_LEN);
        let mut header = [0; Offload::LEN];
        header.copy_from_slice(&self.buffer[Frame::HEADROOM - Offload::LEN..Frame::HEADROOM]);
        self.offload = Offload::from_bytes(&header);
        true
    }

    /// Offload header and frame in one piece, as a device takes them.
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
    pub fn get(&mut self) -> Frame {
        self.free.pop().unwrap_or_default()
    }

    /// Takes a frame back.
    pub fn put(&mut self, mut frame: Frame) {
        if self.free.len() < self.keep {
            frame.clear();
            self.free.push(frame);
        }
    }

    /// A frame with the same content.
    pub fn duplicate(&mut self, frame: &Frame) -> Frame {
        let mut copy = self.get();
        copy.copy_from(frame);
        copy
    }
}

#[cfg(test)]
mod tests {
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
    fn pool_forgets_content() {
        let mut pool = Pool::new(1);
        pool.put(Frame::from_bytes(&[1; 60]));
        pool.put(Frame::from_bytes(&[2; 60]));
        assert!(pool.get().is_empty() && pool.get().is_empty());
    }
}
