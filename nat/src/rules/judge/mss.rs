//! `-j TCPMSS`: the largest segment that a SYN announces is lowered, never raised; a SYN that announces none gets the
//! option if it carries no data (RFC 9293 section 3.7.1, RFC 6691).

use wire::{Frame, checksum};

use super::change;
use super::packet::{Packet, Surroundings};
use super::seen::Seen;
use crate::rules::address::ip;
use crate::rules::{Family, Mss};

const TCP: usize = 20;
/// Option number and length.
const KIND: u8 = 2;
const LEN: usize = 4;
/// The longest header that its own length field can tell.
const LONGEST: usize = 60;

/// Lowers the announcement. `false`: the packet is to be dropped.
pub(super) fn lower<S: Surroundings + ?Sized>(
    wanted: Mss,
    seen: &Seen,
    packet: &mut Packet<'_>,
    around: &mut S,
) -> bool {
    if seen.offset != 0 {
        return true;
    }
    let segment = seen.transport(packet);
    let Some(header) = segment.first_chunk::<TCP>() else { return false };
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < TCP || segment.len() < header_len {
        return false;
    }
    let (least, unsaid) = match seen.family {
        Family::Ipv4 => (40, 536),
        Family::Ipv6 => (60, 1_220),
    };
    let mss = match wanted {
        Mss::Set(mss) => mss,
        Mss::Clamp => {
            let mtu = around.path_mtu(ip(seen.family, seen.source), ip(seen.family, seen.destination));
            if mtu <= least {
                return false;
            }
            u16::try_from(mtu - least).unwrap_or(u16::MAX)
        }
    };
    match announced(&segment[..header_len]) {
        Some(at) => {
            let old = u16::from_be_bytes([segment[at + 2], segment[at + 3]]);
            if old > mss {
                announce(packet.frame, seen, at + 2, old, mss);
            }
        }
        None if segment.len() == header_len && header_len < LONGEST => add(packet, seen, mss.min(unsaid)),
        None => {}
    }
    true
}

/// Where the option lies in the header.
fn announced(header: &[u8]) -> Option<usize> {
    let mut at = TCP;
    while at + LEN <= header.len() {
        let (kind, len) = (header[at], header[at + 1]);
        if kind == KIND && usize::from(len) == LEN {
            return Some(at);
        }
        at += if kind <= 1 || len == 0 { 1 } else { usize::from(len) };
    }
    None
}

/// Whether the TCP checksum is still to be completed: then it holds the pseudo-header's sum only.
fn is_partial(frame: &Frame, seen: &Seen) -> bool {
    frame.offload.partial_checksum() == Some((seen.l4 as u16, 16))
}

/// Puts a word at an offset of the TCP header, which may be odd, and corrects the checksum.
fn announce(frame: &mut Frame, seen: &Seen, at: usize, old: u16, new: u16) {
    let partial = is_partial(frame, seen);
    let Some(segment) = frame.bytes_mut().get_mut(seen.l4..) else { return };
    segment[at..at + 2].copy_from_slice(&new.to_be_bytes());
    if partial {
        return;
    }
    // At an odd offset the word's bytes belong to two words of the sum, each in the other half.
    let turned = |word: u16| if at % 2 == 1 { word.swap_bytes() } else { word };
    let sum = u16::from_be_bytes([segment[16], segment[17]]);
    segment[16..18].copy_from_slice(&checksum::update(sum, turned(old), turned(new)).to_be_bytes());
}

/// Makes the header longer by the option.
fn add(packet: &mut Packet<'_>, seen: &Seen, mss: u16) {
    let partial = is_partial(packet.frame, seen);
    let old_len = seen.end - seen.l4;
    if old_len + seen.l4 - seen.l3 + LEN > usize::from(u16::MAX) || !packet.frame.extend(&[0; LEN]) {
        return;
    }
    let [high, low] = mss.to_be_bytes();
    let option = [KIND, LEN as u8, high, low];
    let Some(segment) = packet.frame.bytes_mut().get_mut(seen.l4..) else { return };
    segment[TCP..].rotate_right(LEN);
    segment[TCP..TCP + LEN].copy_from_slice(&option);
    let sum = u16::from_be_bytes([segment[16], segment[17]]);
    let (old_word, old_len) = (u16::from_be_bytes([segment[12], segment[13]]), old_len as u16);
    let (new_word, new_len) = (old_word + ((LEN as u16 / 4) << 12), old_len + LEN as u16);
    segment[12..14].copy_from_slice(&new_word.to_be_bytes());
    let sum = if partial {
        !checksum::update(!sum, old_len, new_len)
    } else {
        let words = [(old_len, new_len), (0, u16::from_be_bytes([KIND, LEN as u8])), (0, mss), (old_word, new_word)];
        words.into_iter().fold(sum, |sum, (old, new)| checksum::update(sum, old, new))
    };
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    packet.headers.payload += LEN as u16;
    packet.headers.end += LEN as u32;
    let len = (packet.headers.end as usize - seen.l3) as u16;
    match seen.family {
        Family::Ipv4 => change::put(packet.frame, seen, 2, len),
        Family::Ipv6 => change::put(packet.frame, seen, 4, len - 40),
    }
}
