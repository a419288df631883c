//! Connections that must end because what they led to is gone: an endpoint, a network, a published port. Done in slices, so
//! that a table of a million pauses nobody; until then they lead nowhere.

use std::collections::VecDeque;
use std::net::IpAddr;

use ipnet::IpNet;
use nat::{Direction, Filter, Tracker, Zone};
use wire::protocol;

use super::host::Host;
use super::{Router, zone_of};
use crate::{BridgeId, Publish};

/// Connections that are looked at in one go; some tenths of a millisecond.
const SLICE: usize = 16_384;

/// Whose connections end.
#[derive(Debug)]
enum Whose {
    /// Those of an address in a network, or of the host.
    Address(Zone, IpAddr),
    /// Those of a network.
    Network(Zone),
    /// Those that came by a published rule, and UDP mappings of its ports.
    Rule(Publish),
}

/// What is still to be done.
#[derive(Debug, Default)]
pub(super) struct Ended {
    waiting: VecDeque<Whose>,
    at: u32,
}

impl Router {
    /// Ends the connections of an address.
    pub(crate) fn end_address(&mut self, bridge: BridgeId, address: IpAddr) {
        self.ended.waiting.push_back(Whose::Address(zone_of(bridge), address));
    }

    /// Ends the connections that go by an address that the host had.
    pub(super) fn end_public(&mut self, address: IpAddr) {
        self.ended.waiting.push_back(Whose::Address(Zone::OUTSIDE, address));
    }

    /// Ends the connections of a network, and forgets it.
    pub(super) fn end_network(&mut self, bridge: BridgeId) {
        self.limits.forget(bridge);
        self.ended.waiting.push_back(Whose::Network(zone_of(bridge)));
    }

    /// Ends the connections that a rule made.
    pub(super) fn end_rule(&mut self, rule: Publish) {
        self.ended.waiting.push_back(Whose::Rule(rule));
    }

    /// Whether there is something left to end.
    pub(crate) fn is_ending(&self) -> bool {
        !self.ended.waiting.is_empty()
    }

    /// Ends some connections.
    pub(crate) fn end_some(&mut self) {
        let mut left = SLICE;
        while left > 0
            && let Some(whose) = self.ended.waiting.front()
        {
            let from = self.ended.at;
            let next = end(&mut self.tracker, &self.host, whose, from, left);
            let seen = next.unwrap_or(self.tracker.slots()).saturating_sub(from) as usize;
            left = left.saturating_sub(seen.max(1));
            self.ended.at = next.unwrap_or(0);
            if next.is_none() {
                self.ended.waiting.pop_front();
            }
        }
    }
}

/// Ends the connections of a slice; where to go on.
fn end(tracker: &mut Tracker, host: &Host, whose: &Whose, at: u32, slots: usize) -> Option<u32> {
    let filter = match whose {
        Whose::Address(zone, address) => {
            Filter { zone: Some(*zone), address: Some(IpNet::from(*address)), ..Filter::default() }
        }
        Whose::Network(zone) => Filter { zone: Some(*zone), ..Filter::default() },
        Whose::Rule(rule) => {
            let mut of_rule = |way: Direction, _: Zone, tuple: &nat::Tuple| {
                let dst = tuple.dst.ip();
                // Answers to a port are those to a mapping that had it before. UDP mappings go, because peers would go on to
                // send to them; a TCP connection keeps its own.
                (way == Direction::Original || tuple.protocol == protocol::UDP)
                    && rule.covers(tuple)
                    // A rule for all addresses of the host is not one for those of others.
                    && (host.owns(dst) || rule.at == Some(dst) || rule.via.contains(&dst))
            };
            return tracker.flush_where(at, slots, &mut of_rule).1;
        }
    };
    tracker.flush_some(&filter, at, slots).1
}
