//! What rules ask of a packet that is not the same for all packets of its flow. A decision that no such question was asked
//! for may be remembered with the flow; so it counts what was asked, not what would have been.

use crate::rules::{Match, Target};

/// FIN, SYN and RST: packets with one of these are never decided from memory.
const MARKED: u8 = 0x07;

/// Whether an answer to this match is one for the whole flow.
pub(super) fn is_steady(one: &Match) -> bool {
    match one {
        Match::Tcp(wanted) => {
            wanted.option.is_none() && wanted.flags.is_none_or(|flags| flags.value.mask & !MARKED == 0)
        }
        Match::Conntrack(wanted) => wanted.expiry.is_none() && wanted.statuses.is_none(),
        Match::Udp(..)
        | Match::Icmp(_)
        | Match::Multiport(..)
        | Match::Iprange(_)
        | Match::State(_)
        | Match::Mac(_)
        | Match::Comment(_)
        | Match::Mark(_)
        | Match::AddrType(_)
        // Packets with extension headers are never decided from memory.
        | Match::RoutingHeader(_)
        | Match::Set(_) => true,
        Match::Connmark(_)
        | Match::Length(_)
        | Match::Ttl(..)
        | Match::Dscp(_)
        | Match::Tos(_)
        | Match::Statistic(_)
        | Match::Limit(_)
        | Match::Hashlimit(_)
        | Match::Connlimit(_) => false,
    }
}

/// Whether a target does nothing that has to be done to every packet, besides deciding.
pub(super) fn is_quiet(target: &Target) -> bool {
    !matches!(
        target,
        Target::Log(_) | Target::Connmark(_) | Target::Tcpmss(_) | Target::Dscp(_) | Target::Tos(_) | Target::Ttl(_)
    )
}
