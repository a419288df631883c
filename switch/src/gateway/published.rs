//! Published rules: which endpoint a port of the host leads to. A range is one rule, and one entry.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashMap;
use nat::{End, Tuple};

use crate::{Publish, PublishId};

/// Whose address a rule's ports are ports of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    /// All of the host's of a family: two rules may share a port if they lead to one each.
    Any { v4: bool },
    /// This one.
    One(IpAddr),
}

/// All rules. Those of one address do not overlap: their ports are bound on the host.
#[derive(Debug, Default)]
pub(super) struct Published {
    rules: HashMap<PublishId, Publish>,
    /// First ports of the rules of an address and protocol.
    ranges: HashMap<(At, u8), BTreeMap<u16, PublishId>>,
}

impl Published {
    pub(super) fn insert(&mut self, id: PublishId, rule: Publish) -> Option<Publish> {
        let old = self.remove(id);
        for at in keys(&rule) {
            self.ranges.entry((at, rule.protocol)).or_default().insert(rule.ports.0, id);
        }
        self.rules.insert(id, rule);
        old
    }

    pub(super) fn remove(&mut self, id: PublishId) -> Option<Publish> {
        let rule = self.rules.remove(&id)?;
        for at in keys(&rule) {
            let Some(ranges) = self.ranges.get_mut(&(at, rule.protocol)) else { continue };
            if ranges.get(&rule.ports.0) == Some(&id) {
                ranges.remove(&rule.ports.0);
            }
            if ranges.is_empty() {
                self.ranges.remove(&(at, rule.protocol));
            }
        }
        Some(rule)
    }

    /// The rule that a packet's destination is of. `own`: the address is the host's, so that rules for all of them apply.
    pub(super) fn find(&self, tuple: &Tuple, own: bool) -> Option<&Publish> {
        let in_range = |at: At| {
            let ranges = self.ranges.get(&(at, tuple.protocol))?;
            let (_, id) = ranges.range(..=tuple.dst_port).next_back()?;
            self.rules.get(id).filter(|rule| tuple.dst_port <= rule.ports.1)
        };
        in_range(At::One(tuple.dst.ip()))
            .or_else(|| own.then(|| in_range(At::Any { v4: tuple.dst.is_ipv4() })).flatten())
    }
}

fn keys(rule: &Publish) -> impl Iterator<Item = At> {
    let any = rule.at.is_none().then(|| rule.to.iter().map(|to| At::Any { v4: to.is_ipv4() }));
    let one = rule.at.iter().chain(&rule.via).copied().map(At::One);
    any.into_iter().flatten().chain(one)
}

impl Publish {
    /// The endpoint's end for a packet to a port of the rule.
    pub(super) fn target(&self, tuple: &Tuple) -> Option<End> {
        let ip = *self.to.iter().find(|ip| ip.is_ipv4() == tuple.dst.is_ipv4())?;
        Some(End { ip, port: self.to_port.checked_add(tuple.dst_port.checked_sub(self.ports.0)?)? })
    }

    /// Whether packets to this end are the rule's, as far as the rule alone can tell.
    pub(super) fn covers(&self, tuple: &Tuple) -> bool {
        let family = self.to.iter().any(|to| to.is_ipv4() == tuple.dst.is_ipv4());
        let here = self.at.map_or(family, |at| at == tuple.dst.ip()) || self.via.contains(&tuple.dst.ip());
        tuple.protocol == self.protocol && (self.ports.0..=self.ports.1).contains(&tuple.dst_port) && here
    }
}
