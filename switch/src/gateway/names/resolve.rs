//! Who may know what: the view of a sandbox, and asking for it without a packet.

use std::net::IpAddr;

use dns::{Names, Responder, Response, Transport, View};
use hashbrown::HashMap;

use crate::bridge::Bridge;
use crate::{BridgeId, PortId, Switch};

/// In whose place something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The sandbox behind a port.
    Port(PortId),
    /// Somebody who is in that network alone.
    Network(BridgeId),
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This is the answer, or the refusal.
    Answer(Vec<u8>),
    /// Somebody else is to be asked.
    Forward,
    /// That is no query, or there is no such asker.
    Nothing,
}

/// What a sandbox may know, with the network at whose gateway it asks first.
pub(super) fn view<'a>(
    bridges: &'a HashMap<BridgeId, Bridge>,
    first: BridgeId,
    networks: &'a [(PortId, BridgeId)],
) -> View<impl Iterator<Item = &'a Names> + Clone, impl Fn(IpAddr) -> bool> {
    let others = networks.iter().map(|(_, network)| *network).filter(move |network| *network != first);
    let all = std::iter::once(first).chain(others).filter_map(|network| bridges.get(&network));
    let mut gateways = all.clone().filter_map(|bridge| bridge.settings.gateway.as_ref());
    let covering = gateways.clone();
    View {
        networks: all.map(|bridge| &bridge.names),
        covers: move |address| covering.clone().any(|gateway| gateway.covers(address)),
        // A sandbox that nothing leads out of says nothing to the outside, not even by asking for a name.
        forwards: gateways.any(|gateway| !gateway.internal),
    }
}

impl Switch {
    /// What is said to a query, as if it came over TCP from there.
    pub fn resolve(&self, asker: Asker, query: &[u8]) -> Resolved {
        let (first, networks) = match asker {
            Asker::Network(network) => (Some(network), &[][..]),
            Asker::Port(port) => {
                let settings = self.ports.get(&port).map(|port| &port.settings);
                let networks =
                    settings.map_or(&[][..], |settings| self.router.names.sandboxes.networks(&settings.name));
                (settings.map(|settings| settings.bridge), networks)
            }
        };
        let Some(first) = first.filter(|first| self.bridges.contains_key(first)) else { return Resolved::Nothing };
        let mut responder = Responder::new(self.router.names.seed ^ self.counters.named);
        match responder.respond(query, Transport::Tcp, &view(&self.bridges, first, networks)) {
            Response::Answer(answer) | Response::Refused(answer) => Resolved::Answer(answer.to_vec()),
            Response::Forward { .. } => Resolved::Forward,
            Response::Ignore => Resolved::Nothing,
        }
    }
}
