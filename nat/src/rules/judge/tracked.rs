//! `-m state` and `-m conntrack`: what is known of the packet's connection.

use wire::protocol;

use super::packet::{Connection, Packet, Tracking};
use crate::rules::address::number;
use crate::rules::{Conntrack, Not, States};
use crate::{Direction, Tuple};

/// The packet's state, with what was translated if there is a connection.
fn states(packet: &Packet<'_>) -> States {
    match &packet.tracking {
        Tracking::None | Tracking::Due => States::INVALID,
        Tracking::Untracked => States::UNTRACKED,
        Tracking::Known(connection) if connection.related => States::RELATED,
        Tracking::Known(connection) if connection.established => States::ESTABLISHED,
        Tracking::Known(_) => States::NEW,
    }
}

pub(super) fn state(wanted: Not<States>, packet: &Packet<'_>) -> bool {
    wanted.holds(|states_wanted| states_wanted.meets(states(packet)))
}

pub(super) fn conntrack(wanted: &Conntrack, packet: &Packet<'_>) -> bool {
    let known = match &packet.tracking {
        Tracking::Known(connection) => Some(connection),
        Tracking::None | Tracking::Due | Tracking::Untracked => None,
    };
    if let Some(states_wanted) = wanted.states {
        let mut all = states(packet);
        if known.is_some_and(|connection| connection.source_translated) {
            all = all.with(States::SNAT);
        }
        if known.is_some_and(|connection| connection.destination_translated) {
            all = all.with(States::DNAT);
        }
        if !states_wanted.holds(|wanted| wanted.meets(all)) {
            return false;
        }
    }
    // Without a connection the state alone decides, and nothing else is asked (xt_conntrack).
    let Some(connection) = known else { return wanted.states.is_some() };
    let original = connection.direction == Direction::Original;
    wanted.original.is_none_or(|wanted| wanted == original)
        && ends(wanted, connection)
        && wanted.statuses.is_none_or(|wanted| wanted.holds(|status| status.0 & connection.statuses.0 != 0))
        && wanted.expiry.is_none_or(|wanted| {
            wanted.holds(|expiry| expiry.first <= connection.expires && connection.expires <= expiry.last)
        })
}

fn ends(wanted: &Conntrack, connection: &Connection) -> bool {
    let (original, reply) = (connection.original, connection.reply);
    let addresses = [original.src, original.dst, reply.src, reply.dst];
    let ports = [ports(original, true), ports(reply, false)];
    let ports = [ports[0].0, ports[0].1, ports[1].0, ports[1].1];
    wanted.protocol.is_none_or(|wanted| wanted.holds(|&protocol| protocol == original.protocol))
        && wanted.addresses.iter().zip(addresses).all(|(wanted, address)| {
            wanted.is_none_or(|wanted| wanted.holds(|network| network.contains(number(address.ip()))))
        })
        && wanted
            .ports
            .iter()
            .zip(ports)
            .all(|(wanted, port)| wanted.is_none_or(|wanted| wanted.holds(|ports| ports.contains(port))))
}

/// The ports of a tuple as the kernel has them: for an ICMP query, identifier and then type and code.
fn ports(tuple: Tuple, original: bool) -> (u16, u16) {
    let (identifier, kind) = if original { (tuple.src_port, tuple.dst_port) } else { (tuple.dst_port, tuple.src_port) };
    let kind = match (tuple.protocol, original) {
        (protocol::ICMP | protocol::ICMPV6, true) => kind,
        (protocol::ICMP, false) if kind == 8 => 0,
        (protocol::ICMP | protocol::ICMPV6, false) => kind + 1,
        _ => return (tuple.src_port, tuple.dst_port),
    };
    (identifier, kind << 8)
}
