//! Making the engine, the uplink and the proxy agree with what is published and attached. Differences only, in an order
//! in which no packet is steered to a rule that is not there.

use std::net::{IpAddr, SocketAddr};

use switch::{PublishId, Update};

use super::{Applied, Nowhere};
use crate::api::Error;
use crate::control::Control;
use crate::control::state::State;
use crate::publish::{At, Publication, Steer, Target, via_addresses};

/// One change of what a publication leads to.
struct Change {
    id: u32,
    from: Option<Applied>,
    to: Option<Applied>,
}

impl Control {
    /// Settles all publications, or those of one sandbox. What could not be steered is answered, by publication.
    pub(in crate::control) fn settle(&self, state: &mut State, name: Option<&str>) -> Vec<(u32, Error)> {
        let ids: Vec<u32> = state
            .published
            .values()
            .filter(|published| name.is_none_or(|name| published.publication.name == name))
            .map(|published| published.publication.id)
            .collect();
        let has_link = self.plane.has_link();
        let mut changes = Vec::new();
        for id in ids {
            let to = wanted(state, id, has_link);
            let Some(published) = state.published.get_mut(&id).filter(|published| published.applied != to) else {
                continue;
            };
            let from = std::mem::replace(&mut published.applied, to.clone());
            changes.push(Change { id, from: from.ok(), to: to.ok() });
        }
        let failed = self.carry_out(changes);
        self.follow_services(state, name);
        failed
    }

    /// Takes a publication out of everything. The receiver hears when its ports are free again.
    pub(super) fn withdraw_published(&self, state: &mut State, ids: &[u32]) -> Vec<tokio::sync::oneshot::Receiver<()>> {
        let mut changes = Vec::new();
        let mut closing = Vec::new();
        for id in ids {
            let Some(published) = state.published.remove(id) else { continue };
            changes.push(Change { id: *id, from: published.applied.ok(), to: None });
            if published.refusal.is_none() {
                closing.push(*id);
            }
        }
        // What cannot be taken out is gone already.
        self.carry_out(changes);
        self.follow_services(state, None);
        let State { vias, published, .. } = state;
        vias.retain(|at| published.values().any(|other| other.publication.spec.at == at));
        closing.into_iter().map(|id| self.proxy.close(id)).collect()
    }

    fn carry_out(&self, changes: Vec<Change>) -> Vec<(u32, Error)> {
        let mut failed = Vec::new();
        let steered = |applied: &Option<Applied>| applied.as_ref().map(|a| a.steered.clone()).unwrap_or_default();
        let mut steer = |id: u32, steer: &Steer, on: bool| {
            if let Err(error) = self.plane.steer(steer, on) {
                failed.push((id, error));
            }
        };
        // The proxy is for the host's own clients: it has nowhere to send to while packets from elsewhere reach its
        // sockets, which is before steering begins and after it ends.
        changes.iter().filter(|change| change.to.is_none()).for_each(|Change { id, .. }| {
            self.proxy.aim(*id, Target::default());
        });
        for Change { id, from, to } in &changes {
            let kept = steered(to);
            steered(from).iter().filter(|old| !kept.contains(old)).for_each(|old| steer(*id, old, false));
        }
        let updates = changes.iter().filter(|change| change.from.is_some() || change.to.is_some());
        let updates = updates.map(|Change { id, to, .. }| match to {
            Some(applied) => Update::Publish { id: PublishId(*id), rule: applied.rule.clone() },
            None => Update::RemovePublish { id: PublishId(*id) },
        });
        self.plane.apply(updates.collect());
        for Change { id, from, to } in &changes {
            let known = steered(from);
            steered(to).iter().filter(|new| !known.contains(new)).for_each(|new| steer(*id, new, true));
            to.iter().for_each(|to| self.proxy.aim(*id, target(to)));
        }
        failed
    }
}

/// What a publication should lead to now.
fn wanted(state: &mut State, id: u32, has_link: bool) -> Result<Applied, Nowhere> {
    let published = state.published.get(&id).filter(|published| published.refusal.is_none());
    let publication = published.ok_or(Nowhere::Unsettled)?.publication.clone();
    if !has_link {
        return Err(Nowhere::NoLink);
    }
    let endpoint = state.led_to(&publication).ok_or(Nowhere::NoEndpoint)?;
    let network = endpoint.stored.network.clone();
    let addresses: Vec<IpAddr> = endpoint.record().addresses.iter().map(|net| net.addr()).collect();
    let bridge = state.bridge_of(&network).ok_or(Nowhere::NoEndpoint)?.id;
    let part = state.vias.part(publication.spec.at).ok_or(Nowhere::NoVia)?;
    let to = destinations(publication.spec.at, &addresses);
    let has = |v4: bool| to.iter().any(|address| address.is_ipv4() == v4);
    let via = via_addresses(part).into_iter().filter(|via| has(via.is_ipv4())).collect();
    let Publication { spec, .. } = publication;
    let host = publication.host();
    let steered = Steer::of(spec.protocol, spec.at, host, has(true), has(false));
    let rule = switch::Publish {
        protocol: spec.protocol.number(),
        at: spec.at.address(),
        via,
        ports: (host.first, host.last),
        bridge,
        to,
        to_port: spec.ports.first,
    };
    Ok(Applied { rule, steered, network })
}

/// One address of each family; only of the family that the rule is for, where the container has it.
fn destinations(at: At, addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first = |v4: bool| addresses.iter().copied().find(|address| address.is_ipv4() == v4);
    match at {
        At::AnyV4 => first(true).or(first(false)).into_iter().collect(),
        At::AnyV6 => first(false).or(first(true)).into_iter().collect(),
        At::Any | At::Address(_) => first(true).into_iter().chain(first(false)).collect(),
    }
}

/// Where the proxy connects to: the switch's address for the rule, at the host's port.
fn target(applied: &Applied) -> Target {
    let of = |v4: bool| {
        let via = applied.rule.via.iter().find(|via| via.is_ipv4() == v4)?;
        Some(SocketAddr::new(*via, applied.rule.ports.0))
    };
    Target { v4: of(true), v6: of(false) }
}
