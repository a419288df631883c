//! What rules can be found by: header fields in eight words, laid out alike for packets, masks, and what rules pin.
//! IPv4 has both addresses in the first word, IPv6 in the first four.

use wire::protocol;

use crate::hash::fold;
use crate::rules::Family;
use crate::rules::judge::fields;
use crate::rules::judge::packet::Packet;
use crate::rules::judge::seen::{EXTENSIONS, Seen};

/// Ports, the protocol above them, and above that whether there are ports.
const TRANSPORT: usize = 4;
const INPUT: usize = 5;
const OUTPUT: usize = 6;
const MAC: usize = 7;

const PROTOCOL: u32 = 32;
const WITH_PORTS: u64 = 1 << 40;
const WITH_MAC: u64 = 1 << 48;

/// Bytes of TCP and UDP headers without options.
const HEADERS: [(u8, usize); 2] = [(protocol::TCP, 20), (protocol::UDP, 8)];

/// The hash of no field at all.
pub(super) const NOTHING: u64 = 0x9e37_79b9_7f4a_7c15;

/// Header fields of a packet, or of a rule, or which bits of them are looked at.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(in crate::rules::judge) struct Words(pub(super) [u64; 8]);

/// A port's side.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Words {
    /// A packet's. `None` if a match could find it malformed, which drops it at a rule that it need not match.
    pub(in crate::rules::judge) fn of(seen: &Seen, packet: &Packet<'_>) -> Option<Words> {
        let mut words = Words::default();
        words.set_address(seen.family, Side::Source, seen.source);
        words.set_address(seen.family, Side::Destination, seen.destination);
        words.set_protocol(seen.protocol);
        let header = HEADERS.iter().find(|(protocol, _)| *protocol == seen.protocol);
        if seen.offset != 0 {
            let overwrites = seen.family == Family::Ipv4 && seen.offset == 1 && seen.protocol == protocol::TCP;
            let hidden = seen.family == Family::Ipv6 && EXTENSIONS.contains(&seen.protocol);
            if overwrites || hidden {
                return None;
            }
        } else if let Some(&(_, len)) = header {
            let &[a, b, c, d, ..] = seen.transport(packet).get(..len)? else { return None };
            words.set_port(Side::Source, u16::from_be_bytes([a, b]));
            words.set_port(Side::Destination, u16::from_be_bytes([c, d]));
        }
        words.set_input(name(packet.input));
        words.set_output(name(packet.output));
        if fields::has_mac(packet) {
            words.set_mac(packet.headers.key.src_mac());
        }
        Some(words)
    }

    pub(super) fn set_address(&mut self, family: Family, side: Side, number: u128) {
        let [first, second, third, fourth, ..] = &mut self.0;
        match (family, side) {
            (Family::Ipv4, Side::Source) => *first |= (number as u64) << 32,
            (Family::Ipv4, Side::Destination) => *first |= number as u64 & 0xffff_ffff,
            (Family::Ipv6, Side::Source) => (*first, *second) = ((number >> 64) as u64, number as u64),
            (Family::Ipv6, Side::Destination) => (*third, *fourth) = ((number >> 64) as u64, number as u64),
        }
    }

    /// As a mask, 0xff.
    pub(super) fn set_protocol(&mut self, protocol: u8) {
        self.0[TRANSPORT] |= u64::from(protocol) << PROTOCOL;
    }

    pub(super) fn set_port(&mut self, side: Side, port: u16) {
        let shift = match side {
            Side::Source => 16,
            Side::Destination => 0,
        };
        self.0[TRANSPORT] |= u64::from(port) << shift | WITH_PORTS;
    }

    pub(super) fn set_input(&mut self, name: u64) {
        self.0[INPUT] = name;
    }

    pub(super) fn set_output(&mut self, name: u64) {
        self.0[OUTPUT] = name;
    }

    pub(super) fn set_mac(&mut self, mac: wire::Mac) {
        let [a, b, c, d, e, f] = mac.0;
        self.0[MAC] = u64::from_be_bytes([0, 0, a, b, c, d, e, f]) | WITH_MAC;
    }

    /// Of a mask: all of the sender's MAC address.
    pub(super) fn look_at_mac(&mut self) {
        self.0[MAC] = u64::MAX;
    }

    /// Of a mask: the words with any bit set.
    pub(super) fn pinned(&self) -> impl Iterator<Item = (u8, u64)> {
        (0..).zip(self.0).filter(|(_, mask)| *mask != 0)
    }
}

/// An interface's name as one word; two names may have the same.
pub(super) fn name(name: &str) -> u64 {
    name.as_bytes().chunks(8).fold(0, |state, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        fold(state ^ u64::from_le_bytes(word), NOTHING)
    })
}

/// The hash of those words under their masks. It needs no secret: no packet adds to a table.
#[inline]
pub(super) fn hash(words: &Words, mask: impl Iterator<Item = (u8, u64)>) -> u64 {
    mask.fold(NOTHING, |state, (at, mask)| fold(state.rotate_left(20) ^ (words.0[usize::from(at & 7)] & mask), NOTHING))
}
