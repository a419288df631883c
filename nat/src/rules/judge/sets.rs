//! `-m set`: a packet's addresses and ports looked up in a list.

use wire::protocol;

use super::packet::Packet;
use super::seen::Seen;
use crate::rules::SetTest;
use crate::rules::set::PortKey;

/// SCTP and UDP-Lite.
const OTHERS_WITH_PORTS: [u8; 2] = [132, 136];

/// What cannot be looked up, as the port of a later fragment, is not listed.
pub(super) fn test(wanted: &SetTest, seen: &Seen, packet: &Packet<'_>) -> bool {
    wanted.set.holds(|set| {
        let side = |part: usize| wanted.source.get(part).copied().unwrap_or(false);
        let number = if side(0) { seen.source } else { seen.destination };
        match set.ports {
            false => set.contains(seen.family, number, None),
            true => match port(seen, packet, side(1)) {
                None => false,
                key => set.contains(seen.family, number, key),
            },
        }
    })
}

fn port(seen: &Seen, packet: &Packet<'_>, source: bool) -> PortKey {
    let icmp = matches!(seen.protocol, protocol::ICMP | protocol::ICMPV6);
    let ports = matches!(seen.protocol, protocol::TCP | protocol::UDP) || OTHERS_WITH_PORTS.contains(&seen.protocol);
    if !icmp && !ports {
        return Some((seen.protocol, 0));
    }
    if seen.offset != 0 {
        return None;
    }
    let &[a, b, c, d] = seen.transport(packet).first_chunk::<4>()?;
    let word = if source || icmp { [a, b] } else { [c, d] };
    Some((seen.protocol, u16::from_be_bytes(word)))
}
