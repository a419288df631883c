//! Whom a packet to a public endpoint is for, when it belongs to no connection: the binding's owner, if its filtering lets
//! the sender through.

use wire::protocol;

use crate::binding::Public;
use crate::{Address, End, Filtering, Fresh, Tracker, Zone};

/// A binding's number. Good for the packet that it was asked for, no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingId(pub(crate) u32);

/// Whom a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// This endpoint of that zone: pass the binding to [`Tracker::commit`] as the destination, the zone as the reply zone.
    To {
        /// The binding.
        binding: BindingId,
        /// Where its owner is.
        zone: Zone,
        /// The owner.
        end: End,
    },
    /// There is a binding, but its owner has not sent there. Drop it and do not answer (RFC 5382 REQ-4).
    Filtered,
    /// No binding has that endpoint.
    Unknown,
}

impl Tracker {
    /// Whom a new TCP or UDP packet from [`Zone::OUTSIDE`] is for by its destination.
    ///
    /// A packet from one container to another's public endpoint (hairpin, RFC 4787 REQ-9) goes out first, to get its public
    /// source, and then comes in by this: two connections, so that both owners' filtering holds and both see public ends.
    pub fn inbound(&mut self, fresh: &Fresh) -> Inbound {
        let tuple = fresh.tuple;
        if !matches!(tuple.protocol, protocol::TCP | protocol::UDP) {
            return Inbound::Unknown;
        }
        let public = Public { ip: tuple.dst, port: tuple.dst_port, protocol: tuple.protocol };
        let Some(at) = self.bindings.find_public(&public) else { return Inbound::Unknown };
        let passes = match self.settings.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => self.bindings.peers.contains(at, tuple.src),
            Filtering::AddressAndPortDependent => false,
        };
        match self.bindings.get(at) {
            Some(binding) if passes => {
                let inside = binding.inside;
                let end = End { ip: inside.ip.ip(), port: inside.port };
                Inbound::To { binding: BindingId(at), zone: inside.zone, end }
            }
            _ => {
                self.counters.filtered += 1;
                Inbound::Filtered
            }
        }
    }

    /// Whether a public endpoint is a binding's.
    pub fn is_bound(&self, protocol: u8, public: End) -> bool {
        let Some(ip) = Address::new(public.ip) else { return false };
        self.bindings.find_public(&Public { ip, port: public.port, protocol }).is_some()
    }
}
