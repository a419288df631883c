//! Targets that change fields of the IP header, with the checksum that covers them.

use wire::{Frame, checksum};

use super::seen::Seen;
use crate::rules::{Change, Family};

/// Puts a word into the IP header, and corrects an IPv4 header's checksum.
pub(super) fn put(frame: &mut Frame, seen: &Seen, at: usize, new: u16) {
    let Some(header) = frame.bytes_mut().get_mut(seen.l3..) else { return };
    let Some(word) = header.get_mut(at..at + 2) else { return };
    let old = u16::from_be_bytes([word[0], word[1]]);
    word.copy_from_slice(&new.to_be_bytes());
    if seen.family == Family::Ipv4
        && let Some(sum) = header.get_mut(10..12)
    {
        let updated = checksum::update(u16::from_be_bytes([sum[0], sum[1]]), old, new);
        sum.copy_from_slice(&updated.to_be_bytes());
    }
}

fn word(frame: &Frame, seen: &Seen, at: usize) -> u16 {
    frame.bytes().get(seen.l3 + at..seen.l3 + at + 2).map_or(0, |word| u16::from_be_bytes([word[0], word[1]]))
}

/// Sets the type of service, or the traffic class.
pub(super) fn service(frame: &mut Frame, seen: &Seen, value: u8) {
    let old = word(frame, seen, 0);
    let new = match seen.family {
        Family::Ipv4 => old & 0xff00 | u16::from(value),
        Family::Ipv6 => old & 0xf00f | u16::from(value) << 4,
    };
    if new != old {
        put(frame, seen, 0, new);
    }
}

/// Changes the time to live, or the hop limit. It stays within 0 and 255.
pub(super) fn ttl(frame: &mut Frame, seen: &Seen, change: Change) {
    let (at, shift) = match seen.family {
        Family::Ipv4 => (8, 8),
        Family::Ipv6 => (6, 0),
    };
    let old = word(frame, seen, at);
    let ttl = (old >> shift) as u8;
    let ttl = match change {
        Change::Set(value) => value,
        Change::Increase(step) => ttl.saturating_add(step),
        Change::Decrease(step) => ttl.saturating_sub(step),
    };
    let new = old & !(0xff << shift) | u16::from(ttl) << shift;
    if new != old {
        put(frame, seen, at, new);
    }
}
