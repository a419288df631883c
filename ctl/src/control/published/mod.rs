//! Published ports of this host's sandboxes: from requests and the state file to sockets, steering and the engine's
//! rules. Invariant: a rule is in the engine exactly while the endpoint that it leads to is attached and the host's
//! sockets are bound; with a sandbox's last endpoint its publications end.

mod nowhere;
mod request;
mod restore;
mod settle;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nowhere::Nowhere;
pub(super) use request::read;

use super::Control;
use super::state::{Endpoint, State};
use crate::api;
use crate::publish::{self, At, Publication, Steer};

/// A publication and how far it is.
pub(super) struct Published {
    pub(super) publication: Publication,
    /// Why the host's ports are not bound, if they are not.
    pub(super) refusal: Option<publish::Error>,
    /// What the engine and the uplink were told, or why it was nothing.
    pub(super) applied: Result<Applied, Nowhere>,
}

impl Published {
    /// One that nobody was told of.
    fn new(publication: Publication, refusal: Option<publish::Error>) -> Published {
        Published { publication, refusal, applied: Err(Nowhere::Unsettled) }
    }
}

/// What the engine and the uplink were told of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) rule: switch::Publish,
    pub(super) steered: Vec<Steer>,
    /// The id of the network that it leads to.
    pub(super) network: String,
}

impl State {
    /// The endpoint that a publication leads to.
    fn led_to(&self, publication: &Publication) -> Option<&Endpoint> {
        let wanted = |endpoint: &&Endpoint| {
            let network = &endpoint.stored.network;
            !endpoint.leaving
                && endpoint.record().name == publication.name
                && publication.network.as_ref().is_none_or(|pinned| pinned == network)
                && self.networks.get(network).is_some_and(|network| !network.record.internal)
        };
        self.endpoints.values().filter(wanted).min_by_key(|endpoint| (endpoint.stored.since, endpoint.port))
    }

    /// Whether the sandbox of a publication is there, in the network that it is for.
    fn is_there(&self, Publication { name, network, .. }: &Publication) -> bool {
        let mut here = self.endpoints.values().filter(|endpoint| !endpoint.leaving && endpoint.record().name == *name);
        here.any(|endpoint| network.as_ref().is_none_or(|network| endpoint.stored.network == *network))
    }

    /// The NAME of the sandbox that is called so, by it or by its container's id; unknown ones stay as they are.
    fn called<'a>(&'a self, called: &'a str) -> &'a str {
        let mut endpoints = self.endpoints.values();
        endpoints.find(|endpoint| endpoint.is_called(called)).map_or(called, |endpoint| &endpoint.record().name)
    }

    /// The publications of a sandbox.
    fn published_by<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Published> {
        self.published.values().filter(move |published| published.publication.name == name)
    }

    fn published_row(&self, published: &Published) -> api::Published {
        let Publication { id, name, network, spec, .. } = &published.publication;
        let applied = published.applied.as_ref().ok().map(|applied| &applied.network);
        let host = published.publication.host();
        let (state, reason) = match (&published.refusal, &published.applied) {
            (Some(refusal), _) => ("failed", Some(refusal.to_string())),
            (None, Ok(_)) => ("up", None),
            (None, Err(why)) => ("waiting", Some(why.to_string())),
        };
        let addresses: Vec<IpAddr> = match spec.at {
            At::Any => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            At::AnyV4 => vec![Ipv4Addr::UNSPECIFIED.into()],
            At::AnyV6 => vec![Ipv6Addr::UNSPECIFIED.into()],
            At::Address(address) => vec![address],
        };
        api::Published {
            id: *id,
            name: name.clone(),
            network: applied.or(network.as_ref()).map(|id| self.network_name(id)),
            protocol: spec.protocol,
            addresses,
            host_port: host.first,
            host_port_end: host.last,
            port: spec.ports.first,
            port_end: spec.ports.last,
            spec: spec.to_string(),
            state: state.into(),
            reason,
        }
    }

    /// What a sandbox publishes through one of its networks.
    pub(super) fn published_through(&self, name: &str, network: &str) -> Vec<api::Published> {
        let here = |published: &&Published| {
            let applied = published.applied.as_ref().ok().map(|applied| applied.network.as_str());
            applied.or(published.publication.network.as_deref()) == Some(network)
        };
        self.published_by(name).filter(here).map(|published| self.published_row(published)).collect()
    }
}

impl Control {
    /// `publish ls`, of all sandboxes or of one: by name and number.
    ///
    /// # Errors
    /// 404 when a name is given and no sandbox has it.
    pub fn published(&self, name: Option<&str>) -> Result<Vec<api::Published>, api::Error> {
        let state = self.state();
        if let Some(name) = name.filter(|name| !state.endpoints.values().any(|endpoint| endpoint.is_called(name))) {
            return Err(api::Error::not_found(format!("port {name}"), "see `vsctl ports`"));
        }
        let name = name.map(|called| state.called(called));
        let wanted = |published: &&Published| name.is_none_or(|name| published.publication.name == name);
        let mut rows: Vec<api::Published> =
            state.published.values().filter(wanted).map(|published| state.published_row(published)).collect();
        rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(rows)
    }
}
