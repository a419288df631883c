//! Which address and port a translation picks from its ranges: netfilter's choice, bit for bit, where that is no chance
//! (`nf_nat_core`, as little-endian machines compute it). Addresses are spread by a hash of both ends, or with
//! `--persistent` of the source, so that one client meets one server again; nothing is remembered.

use std::net::IpAddr;

use wire::protocol;

use super::address::{ip, number};
use super::{Family, Nat, Ports, Span};
use crate::{End, Tuple};

/// Where a connection's packets are sent instead (DNAT, REDIRECT), by the tuple of its first packet. Without a range the
/// address stays: what REDIRECT leaves open is put into `nat` before. `random` is asked by `--random` only, for the port.
///
/// `is_taken` says whether a connection between the packet's source and that end is there already: of a range the next port
/// is taken then.
pub fn destination(nat: &Nat, tuple: &Tuple, random: u32, mut is_taken: impl FnMut(End) -> bool) -> End {
    let ip = nat.addresses.map_or(tuple.dst.ip(), |span| address(span, nat.persistent, true, tuple));
    let Some(ports) = nat.ports.filter(|_| has_ports(tuple.protocol)) else { return End { ip, port: tuple.dst_port } };
    let first = port(nat, ports, tuple.dst_port, random);
    let all = u32::from(ports.last.saturating_sub(ports.first)) + 1;
    let by_chance = nat.random || nat.random_fully;
    let stays = nat.base.is_none() && !by_chance && ports.contains(tuple.dst_port);
    if all == 1 || stays && !is_taken(End { ip, port: first }) {
        return End { ip, port: first };
    }
    // One that would stay and may not gives way to the first that is free.
    let offset = if stays { 0 } else { u32::from(first.wrapping_sub(ports.first)) };
    let after = |step| End { ip, port: ports.first.wrapping_add(((offset + step) % all) as u16) };
    let tries = all.min(ATTEMPTS);
    // Where none is free, the one that was tried last: another source port tells the connections apart then.
    (0..tries).map(after).find(|end| !is_taken(*end)).unwrap_or_else(|| after(tries - 1))
}

/// Ports of a range that are tried.
const ATTEMPTS: u32 = 128;

/// Which address a connection's packets are sent from (SNAT), by its tuple behind a new destination; `None` if `nat` has no
/// range. A source that lies in the range stays, unless its port has to change. The port is for the tracker to find, as it
/// knows which are free.
pub fn source(nat: &Nat, tuple: &Tuple) -> Option<IpAddr> {
    let span = nat.addresses?;
    let stays = |ports: Ports| !has_ports(tuple.protocol) || ports.contains(tuple.src_port);
    let own = tuple.src.ip();
    let random = nat.random || nat.random_fully;
    if !random && span.contains(number(own)) && nat.ports.is_none_or(stays) {
        return Some(own);
    }
    Some(address(span, nat.persistent, false, tuple))
}

/// TCP, UDP, DCCP, SCTP, UDP-Lite.
pub(super) fn has_ports(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | 33 | 132 | 136)
}

/// A port that is in the range stays; others are counted on from its first: as far as they lie behind the base, by chance,
/// or not at all.
fn port(nat: &Nat, ports: Ports, port: u16, random: u32) -> u16 {
    let by_chance = nat.random || nat.random_fully;
    let offset = match nat.base {
        Some(base) => port.wrapping_sub(base),
        None if by_chance => random as u16,
        None if ports.contains(port) => return port,
        None => 0,
    };
    let room = u32::from(ports.last.saturating_sub(ports.first)) + 1;
    ports.first.wrapping_add((u32::from(offset) % room) as u16)
}

/// An address of the range. Each word of 32 bits is scaled on its own: between the ends as long as the words before are the
/// last one's, and then over everything.
fn address(span: Span, persistent: bool, of_destination: bool, tuple: &Tuple) -> IpAddr {
    let (src, dst) = (tuple.src.ip(), tuple.dst.ip());
    let family = if dst.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    if span.first == span.last {
        return ip(family, span.first);
    }
    let (words, last_word) = match family {
        Family::Ipv4 => (1, 0),
        Family::Ipv6 => (4, 3),
    };
    let destination = in_memory(dst);
    let start = if persistent { 0 } else { destination[last_word] };
    let mut hash = hash4(in_memory(src), start);
    let (mut picked, mut free) = (0u128, false);
    for (place, theirs) in destination.iter().enumerate().take(words) {
        let shift = 32 * (words - 1 - place);
        let (low, high) = ((span.first >> shift) as u32, (span.last >> shift) as u32);
        let (least, count) = if free { (0, u32::MAX) } else { (low, high.wrapping_sub(low).wrapping_add(1)) };
        let word = least.wrapping_add(((u64::from(hash) * u64::from(count)) >> 32) as u32);
        free |= word != high;
        picked = picked << 32 | u128::from(word);
        if !persistent {
            // The kernel writes into the tuple that it reads: of a new destination, the word just picked comes in here.
            hash ^= if of_destination { word.swap_bytes() } else { *theirs };
        }
    }
    ip(family, picked)
}

/// An address as the kernel has it in memory, in words of a little-endian machine; IPv4 with zeros behind.
fn in_memory(ip: IpAddr) -> [u32; 4] {
    let mut octets = [0; 16];
    match ip {
        IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets = ip.octets(),
    }
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Jenkins' lookup3 of four words, from a start of its own.
fn hash4(words: [u32; 4], start: u32) -> u32 {
    let begin = 0xdead_beef_u32.wrapping_add(16).wrapping_add(start);
    let [mut a, mut b, mut c] = [words[0], words[1], words[2]].map(|word| begin.wrapping_add(word));
    // Mixed twice over three words, each time by other distances.
    for turns in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(turns[0]);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(turns[1]);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(turns[2]);
        b = b.wrapping_add(a);
    }
    a = a.wrapping_add(words[3]);
    for turns in [[14, 11, 25], [16, 4, 14]] {
        c = (c ^ b).wrapping_sub(b.rotate_left(turns[0]));
        a = (a ^ c).wrapping_sub(c.rotate_left(turns[1]));
        b = (b ^ a).wrapping_sub(a.rotate_left(turns[2]));
    }
    (c ^ b).wrapping_sub(b.rotate_left(24))
}
