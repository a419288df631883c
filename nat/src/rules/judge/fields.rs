//! Matches on fields of the IP header, and on what goes along with the packet.

use wire::{Layer3, ROUTING, extensions};

use super::packet::{AddressKinds, Packet, Surroundings};
use super::seen::Seen;
use crate::rules::address::ip;
use crate::rules::{AddrType, Compare, Family, Not, RoutingHeader, Span, Word};

pub(super) fn iprange(wanted: &[Option<Not<Span>>; 2], seen: &Seen) -> bool {
    let [source, destination] = wanted;
    source.is_none_or(|wanted| wanted.holds(|span| span.contains(seen.source)))
        && destination.is_none_or(|wanted| wanted.holds(|span| span.contains(seen.destination)))
}

pub(super) fn masked(wanted: Not<Word<u32>>, mark: u32) -> bool {
    wanted.holds(|word| mark & word.mask == word.value)
}

/// Time to live, or hop limit.
pub(super) fn ttl(compare: Compare, value: u8, seen: &Seen, packet: &Packet<'_>) -> bool {
    let at = seen.l3 + if seen.family == Family::Ipv4 { 8 } else { 7 };
    let Some(&ttl) = packet.frame.bytes().get(at) else { return false };
    match compare {
        Compare::Equal => ttl == value,
        Compare::Unequal => ttl != value,
        Compare::Less => ttl < value,
        Compare::Greater => ttl > value,
    }
}

/// The first routing header, if there is one that is as wanted.
pub(super) fn routing(wanted: &RoutingHeader, packet: &Packet<'_>) -> bool {
    let mut headers = extensions(packet.frame.bytes(), packet.headers);
    let Some((_, &[_, units, kind, left, ..])) = headers.find(|(number, _)| *number == ROUTING) else { return false };
    // RFC 8200 section 4.4: in units of 8 bytes, the first left out.
    let len = (u32::from(units) + 1) * 8;
    wanted.kind.is_none_or(|wanted| wanted.holds(|&value| value == u32::from(kind)))
        && wanted.left.is_none_or(|wanted| wanted.holds(|(first, last)| (*first..=*last).contains(&left.into())))
        && wanted.len.is_none_or(|wanted| wanted.holds(|&value| value == len))
}

/// Type of service, or traffic class.
pub(super) fn service(seen: &Seen, packet: &Packet<'_>) -> u8 {
    match (seen.family, packet.frame.bytes().get(seen.l3..seen.l3 + 2)) {
        (Family::Ipv4, Some(&[_, tos])) => tos,
        (Family::Ipv6, Some(&[first, second])) => first << 4 | second >> 4,
        _ => 0,
    }
}

pub(super) fn addrtype<S: Surroundings + ?Sized>(
    wanted: &AddrType,
    seen: &Seen,
    packet: &Packet<'_>,
    around: &mut S,
) -> bool {
    let interface = match (wanted.limit_in, wanted.limit_out) {
        (true, _) => Some(packet.input),
        (_, true) => Some(packet.output),
        _ => None,
    };
    let mut is = |number: u128, kinds: u16| match seen.family {
        Family::Ipv4 => around.kinds(ip(seen.family, number), interface).meet(kinds),
        Family::Ipv6 => is_v6(number, kinds, || around.kinds(ip(seen.family, number), interface)),
    };
    wanted.source.is_none_or(|wanted| wanted.holds(|&kinds| is(seen.source, kinds)))
        && wanted.destination.is_none_or(|wanted| wanted.holds(|&kinds| is(seen.destination, kinds)))
}

/// IPv6 knows several kinds at once: what the address itself shows must all be so, and then one of what routing says.
fn is_v6(number: u128, kinds: u16, ask: impl FnOnce() -> AddressKinds) -> bool {
    let multicast = number >> 120 == 0xff;
    let mapped = number >> 32 == 0xffff;
    let unicast = number != 0 && !multicast && !mapped;
    let shown =
        [(AddressKinds::MULTICAST, multicast), (AddressKinds::UNICAST, unicast), (AddressKinds::UNSPEC, number == 0)];
    if shown.iter().any(|(kind, is)| kind.meet(kinds) && !is) {
        return false;
    }
    let routed = AddressKinds::LOCAL.0 | AddressKinds::ANYCAST.0 | AddressKinds::UNREACHABLE.0;
    kinds & routed == 0 || ask().meet(kinds & routed)
}

/// The sender's MAC address; a packet that came in nowhere has none.
pub(super) fn mac(wanted: Not<wire::Mac>, packet: &Packet<'_>) -> bool {
    has_mac(packet) && wanted.holds(|&mac| packet.headers.key.src_mac() == mac)
}

/// Whether it came in somewhere.
pub(super) fn has_mac(packet: &Packet<'_>) -> bool {
    !packet.input.is_empty() && packet.headers.layer3 != Layer3::Other
}
