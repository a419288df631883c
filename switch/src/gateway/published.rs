//! Published rules: which endpoint a port of the host leads to. A range is one rule, and one entry.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::net::IpAddr;

use hashbrown::HashMap;
use nat::{End, Tuple};

use crate::{BridgeId, Publish, PublishId};

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
    /// First ports of the endpoints that rules of a protocol lead to.
    endpoints: HashMap<(BridgeId, IpAddr, u8), BTreeMap<u16, PublishId>>,
}

impl Published {
    pub(super) fn insert(&mut self, id: PublishId, rule: Publish) -> Option<Publish> {
        let old = self.remove(id);
        for at in keys(&rule) {
            self.ranges.entry((at, rule.protocol)).or_default().insert(rule.ports.0, id);
        }
        for to in &rule.to {
            self.endpoints.entry((rule.bridge, *to, rule.protocol)).or_default().insert(rule.to_port, id);
        }
        self.rules.insert(id, rule);
        old
    }

    pub(super) fn remove(&mut self, id: PublishId) -> Option<Publish> {
        let rule = self.rules.remove(&id)?;
        for at in keys(&rule) {
            take_out(&mut self.ranges, &(at, rule.protocol), rule.ports.0, id);
        }
        for to in &rule.to {
            take_out(&mut self.endpoints, &(rule.bridge, *to, rule.protocol), rule.to_port, id);
        }
        Some(rule)
    }

    /// The host's port that leads to the end of `bridge` that a packet comes from, if packets to `public` do.
    pub(super) fn source(&self, bridge: BridgeId, tuple: &Tuple, public: IpAddr) -> Option<u16> {
        let of_endpoint = self.endpoints.get(&(bridge, tuple.src.ip(), tuple.protocol))?;
        let rule = self.rules.get(of_endpoint.range(..=tuple.src_port).next_back()?.1)?;
        let port = rule.ports.0.checked_add(tuple.src_port - rule.to_port)?;
        (port <= rule.ports.1 && rule.at.is_none_or(|at| at == public)).then_some(port)
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

fn take_out<K: Eq + Hash>(index: &mut HashMap<K, BTreeMap<u16, PublishId>>, key: &K, port: u16, id: PublishId) {
    let Some(ports) = index.get_mut(key) else { return };
    if ports.get(&port) == Some(&id) {
        ports.remove(&port);
    }
    if ports.is_empty() {
        index.remove(key);
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
