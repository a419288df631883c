//! Names as the control plane has them to do with: who is called what, for people; whom to ask for other names, and
//! when none of them answers. The answers themselves are given elsewhere.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use ::dns::Entry;

use super::Control;
use super::state::{Endpoint, State};
use crate::api::{DnsCache, DnsFlushed, DnsName, DnsUpstream, Error};
use crate::dns::{Host, Report};
use crate::model::{EndpointRecord, Service};
use crate::publish::{Protocol, Publication};

/// Services of an endpoint at the most.
const SERVICES: usize = 256;
/// Ports of a range, each of which is a service, at the most.
const RANGE: usize = 64;
/// What an operator should know about servers that are silent.
const TOPIC: &str = "dns_upstreams";

/// The names of an endpoint in its network, the one that its addresses lead to first. Doubles may be among them.
pub(super) fn names_of(endpoint: &EndpointRecord) -> Vec<String> {
    let short: String = endpoint.container_id.chars().take(12).collect();
    let own = std::iter::once(&endpoint.name).chain(&endpoint.aliases).cloned();
    own.chain(Some(short).filter(|short| !short.is_empty())).chain(endpoint.hostname.clone()).collect()
}

/// What the engine's name server is told of an endpoint.
pub(super) fn entry(endpoint: &EndpointRecord) -> Entry {
    let addresses = endpoint.addresses.iter().map(|net| net.addr()).collect();
    let services = endpoint.services.iter().map(|service| ::dns::Service { port: service.port, tcp: service.tcp });
    Entry { names: names_of(endpoint), addresses, services: services.collect() }
}

/// What each sandbox serves, or one of them: what it publishes, but for ranges that are too long to be one service each.
fn services<'a>(state: &'a State, name: Option<&str>) -> HashMap<&'a str, Vec<Service>> {
    let mut services: HashMap<&str, Vec<Service>> = HashMap::new();
    for Publication { name: of, spec, .. } in state.published.values().map(|published| &published.publication) {
        if name.is_some_and(|name| name != of) || spec.ports.count() > RANGE {
            continue;
        }
        let tcp = spec.protocol == Protocol::Tcp;
        let its = services.entry(of).or_default();
        let room = SERVICES - its.len();
        its.extend((spec.ports.first..=spec.ports.last).take(room).map(|port| Service { port, tcp }));
    }
    for its in services.values_mut() {
        its.sort_unstable();
        its.dedup();
    }
    services
}

impl Control {
    /// Something about the names of an endpoint has changed: engine and other hosts are told.
    pub(super) fn tell_names(&self, state: &mut State, id: &str) {
        let Some(stored) = state.endpoints.get(id).map(|endpoint| endpoint.stored.clone()) else { return };
        let told = state.bridge_mut(&stored.network).map(|bridge| bridge.remote.rename_local(&stored.record));
        self.plane.apply(told.map(|delta| delta.updates).unwrap_or_default());
        state.touch(&stored.network);
        self.publish.notify_one();
    }

    /// The services of a sandbox, or of all, are those that it publishes.
    pub(super) fn follow_services(&self, state: &mut State, name: Option<&str>) {
        let here = state.endpoints.values().filter(|endpoint| !endpoint.leaving);
        let meant = here.map(Endpoint::record).filter(|record| name.is_none_or(|name| record.name == name));
        let services = services(state, name);
        let fresh = meant.filter_map(|record| {
            let its = services.get(record.name.as_str()).map_or(&[][..], Vec::as_slice);
            (its != record.services).then(|| (record.id.clone(), its.to_vec()))
        });
        for (id, services) in fresh.collect::<Vec<_>>() {
            if let Some(endpoint) = state.endpoints.get_mut(&id) {
                endpoint.stored.record.services = services;
            }
            self.tell_names(state, &id);
        }
    }

    /// `dns`: the names in a network, or in all that are in use here.
    ///
    /// # Errors
    /// 404, 409 when the reference is ambiguous.
    pub async fn names(self: &Arc<Self>, network: Option<&str>) -> Result<Vec<DnsName>, Error> {
        let wanted = match network {
            Some(reference) => Some(self.find_network(reference).await?),
            None => None,
        };
        let state = self.state();
        let mut rows = Vec::new();
        for network in state.networks.values() {
            if wanted.as_ref().is_some_and(|id| *id != network.record.id) {
                continue;
            }
            let here = state.endpoints_in(&network.record.id).map(|endpoint| (&*self.settings.name, endpoint.record()));
            let rows_of = network.bridge.iter().flat_map(|bridge| bridge.remote.rows().values());
            let there = rows_of.flat_map(|row| row.record.endpoints.iter().map(|one| (&*row.record.host, one)));
            for (host, endpoint) in here.chain(there) {
                let mut names = names_of(endpoint);
                names.sort_by_key(|name| name.to_ascii_lowercase());
                names.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
                rows.extend(names.into_iter().map(|name| DnsName {
                    network: network.record.name.clone(),
                    name,
                    addresses: endpoint.addresses.iter().map(|net| net.addr()).collect(),
                    host: host.to_owned(),
                    endpoint: endpoint.id.clone(),
                }));
            }
        }
        rows.sort_by(|a, b| (&a.network, &a.name, &a.host).cmp(&(&b.network, &b.name, &b.host)));
        Ok(rows)
    }

    /// `dns upstreams`.
    ///
    /// # Errors
    /// 503 when the service does not answer.
    pub async fn dns_upstreams(&self) -> Result<Vec<DnsUpstream>, Error> {
        let upstream = |one: &::dns::forward::Upstream| DnsUpstream {
            address: one.address,
            state: if one.down { "silent" } else { "up" }.into(),
            last_rtt_ms: one.last_rtt.map(|rtt| rtt.as_micros() as f64 / 1_000.0),
            asked: one.asked,
            answered: one.answered,
            missed: one.silent,
        };
        Ok(self.dns_report().await?.upstreams.iter().map(upstream).collect())
    }

    /// `dns cache`.
    ///
    /// # Errors
    /// 503 when the service does not answer.
    pub async fn dns_cache(&self) -> Result<DnsCache, Error> {
        let Report { counters, cached: (entries, bytes), .. } = self.dns_report().await?;
        let ::dns::forward::Counters { asked, cached, joined, failed, busy } = counters;
        Ok(DnsCache { entries, bytes, asked, hits: cached, joined, failed, busy })
    }

    /// `dns flush`.
    ///
    /// # Errors
    /// 503 when the service does not answer.
    pub async fn flush_dns(&self) -> Result<DnsFlushed, Error> {
        let flushed = self.dns.flush().await.ok_or_else(silent)?;
        Ok(DnsFlushed { flushed })
    }

    async fn dns_report(&self) -> Result<Report, Error> {
        self.dns.report().await.ok_or_else(silent)
    }
}

pub(super) fn silent() -> Error {
    Error::failed("name service", "it does not answer")
}

/// Weak, so that the service does not keep its own host.
impl Host for Weak<Control> {
    fn is_gateway(&self, address: IpAddr) -> bool {
        let Some(control) = self.upgrade() else { return false };
        let state = control.state();
        let mut subnets = state.networks.values().flat_map(|network| &network.record.subnets);
        subnets.any(|subnet| subnet.gateway == Some(address))
    }

    fn changed(&self, upstream: SocketAddr, down: bool) {
        let Some(control) = self.upgrade() else { return };
        let mut state = control.state();
        let object = format!("name server {upstream}");
        match down {
            true => state.event("dns_upstream_silent", object, "it does not answer, and is passed over"),
            false => state.event("dns_upstream_answers", object, "it answers again"),
        }
    }

    fn silent(&self, servers: &[SocketAddr]) {
        let Some(control) = self.upgrade() else { return };
        let mut state = control.state();
        let all: Vec<String> = servers.iter().map(ToString::to_string).collect();
        if all.is_empty() {
            state.warnings.remove(TOPIC);
        } else {
            state.warnings.insert(TOPIC, format!("name servers do not answer: {}", all.join(", ")));
        }
    }
}
