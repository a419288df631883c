//! What every further segment of a run has in common with the first, byte by byte: one comparison of headers in words of
//! eight bytes stands for a parse and for the comparison of each field. Not the fields that count up: those are `Held`'s.

use super::segment::{PSH, Segment};
use crate::{IPV6_HEADER, Layer3};

/// Longest headers that are compared, in bytes: two tags, IPv6, and TCP with all options.
const LONGEST: usize = 14 + 8 + IPV6_HEADER + 60;

/// Which bits of the headers have to be equal.
#[derive(Debug)]
pub(super) struct Pattern {
    mask: [u8; LONGEST],
    len: usize,
}

impl Pattern {
    /// Of a run that begins with `first`. Lengths, IPv4 identification and header checksum, TCP sequence number, PSH and the
    /// transport's checksum differ from segment to segment.
    pub(super) fn of(first: &Segment<'_>) -> Pattern {
        let h = first.headers;
        let (l3, l4, len) = (usize::from(h.l3), usize::from(h.l4), usize::from(h.payload));
        // Nothing is as long as that, and nothing that is would fit.
        let mut pattern = Pattern { mask: [0xff; LONGEST], len: if len <= LONGEST { len } else { 0 } };
        let free: &[(usize, usize)] = match (h.layer3, first.is_tcp()) {
            (Layer3::Ipv4, true) => &[(l3 + 2, 4), (l3 + 10, 2), (l4 + 4, 4), (l4 + 16, 2)],
            (Layer3::Ipv4, false) => &[(l3 + 2, 4), (l3 + 10, 2), (l4 + 4, 4)],
            (_, true) => &[(l3 + 4, 2), (l4 + 4, 4), (l4 + 16, 2)],
            (_, false) => &[(l3 + 4, 2), (l4 + 4, 4)],
        };
        for &(at, bytes) in free {
            pattern.mask[..pattern.len].iter_mut().skip(at).take(bytes).for_each(|byte| *byte = 0);
        }
        if first.is_tcp() {
            pattern.mask[..pattern.len].iter_mut().skip(l4 + 13).take(1).for_each(|byte| *byte = !PSH);
        }
        pattern
    }

    /// Whether `next` begins with headers that fit those at the beginning of `first`, and has something behind them.
    #[inline]
    pub(super) fn fits(&self, first: &[u8], next: &[u8]) -> bool {
        let len = self.len;
        let (Some(first), Some(next)) = (first.get(..len), next.get(..len).filter(|_| next.len() > len)) else {
            return false;
        };
        let mask = &self.mask[..len];
        let differ = |a: &[u8; 8], b: &[u8; 8], mask: &[u8; 8]| {
            (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)) & u64::from_ne_bytes(*mask)
        };
        let words = first.as_chunks().0.iter().zip(next.as_chunks().0).zip(mask.as_chunks().0);
        let differing = words.fold(0, |all, ((a, b), mask)| all | differ(a, b, mask));
        // What does not fill a word is in the last eight bytes.
        let rest = match (first.last_chunk(), next.last_chunk(), mask.last_chunk()) {
            (Some(a), Some(b), Some(mask)) => differ(a, b, mask),
            _ => return false,
        };
        differing | rest == 0
    }
}
