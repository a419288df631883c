//! What the control plane knows, in memory. Held under one lock for short moments, never across a wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use nat::rules::RuleSet;
use port::xdp::XdpInfo;
use switch::{BridgeId, PortId};
use tokio::task::AbortHandle;
use wire::Mac;

use super::coming::Coming;
use super::published::Published;
use super::remote::Remote;
use crate::api;
use crate::filter::Scope;
use crate::model::{self, EndpointRecord, Event, EventLog, HostRecord, NetworkRecord};
use crate::publish::Vias;
use crate::state::{Release, StaticEntry, StoredEndpoint};

/// Everything.
#[derive(Default)]
pub(super) struct State {
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    /// Ports that vanished before their attachment was complete.
    pub(super) gone: BTreeSet<PortId>,
    /// Network id and sandbox key of attachments under way.
    pub(super) attaching: BTreeSet<(String, String)>,
    /// All requests for an attachment that are not answered, in the order in which they came.
    pub(super) coming: BTreeMap<u64, Coming>,
    /// Endpoints of before that cannot be attached again for now.
    pub(super) stranded: BTreeMap<String, StoredEndpoint>,
    /// Ids of networks of before whose rows cannot be read.
    pub(super) unread_networks: BTreeSet<String>,
    pub(super) hosts: BTreeMap<String, HostRecord>,
    /// Hosts without a row, and since when as far as this process saw.
    pub(super) absent: BTreeMap<String, Instant>,
    pub(super) peers: BTreeSet<(String, IpAddr)>,
    pub(super) fdb: BTreeMap<(String, Mac), StaticEntry>,
    pub(super) releases: BTreeMap<(String, IpAddr), Release>,
    /// Network id and address of what is held for other address managements.
    pub(super) reserved: BTreeSet<(String, IpAddr)>,
    pub(super) session: Option<String>,
    pub(super) cluster: Option<String>,
    /// Until then absence of endpoint rows means nothing: the store was wiped, and others publish again.
    pub(super) hold: Option<Instant>,
    /// Networks removed here, so that a snapshot from before does not bring them back.
    pub(super) removed: HashMap<String, Instant>,
    pub(super) connected: bool,
    pub(super) last_error: Option<String>,
    /// What the store refused last, so that the same is told once.
    pub(super) refusal: Option<String>,
    pub(super) warnings: BTreeMap<&'static str, String>,
    pub(super) events: EventLog,
    /// By the number of the publication.
    pub(super) published: BTreeMap<u32, Published>,
    pub(super) vias: Vias,
    /// Endpoints that are about to be attached: rules know their names before the first frame.
    pub(super) arriving: BTreeMap<String, StoredEndpoint>,
    /// Rules as they were loaded; the engine has their counters.
    pub(super) filters: BTreeMap<Scope, Arc<RuleSet>>,
    /// Scopes whose rules stand in the file and cannot be read: nothing passes there.
    pub(super) unread: BTreeSet<Scope>,
    /// What policies that deny had counted when rules were looked at last.
    pub(super) denied: BTreeMap<Scope, Vec<nat::rules::Counters>>,
    refused: VecDeque<(String, u64)>,
    last_published: u32,
    last_coming: u64,
    next_bridge: u32,
    next_port: u32,
}

/// A network and what of it is on this host.
pub(super) struct Network {
    pub(super) record: NetworkRecord,
    /// Version of its row; 0 when not known.
    pub(super) version: u64,
    /// Held while addresses are claimed, and while the bridge comes and goes.
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    pub(super) bridge: Option<Bridge>,
    /// Leases of a local network, one pool for each subnet.
    pub(super) pools: Vec<ipam::Pool>,
    pub(super) publication: Publication,
}

/// The network's bridge in the engine.
pub(super) struct Bridge {
    pub(super) id: BridgeId,
    /// Endpoints here, those being attached among them. The bridge goes with the last.
    pub(super) users: usize,
    pub(super) remote: Remote,
    pub(super) sync: Option<AbortHandle>,
}

/// How far the publishing of this host's endpoints in a network has come; numbers of changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Publication {
    /// The last change.
    pub(super) wanted: u64,
    /// The last change that is in the store.
    pub(super) done: u64,
    /// The last change that was tried to be written.
    pub(super) tried: u64,
    /// Rows that were written last time.
    pub(super) parts: usize,
}

/// An endpoint of this host.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) stored: StoredEndpoint,
    pub(super) port: PortId,
    /// How its interface is had by AF_XDP.
    pub(super) xdp: Option<XdpInfo>,
    /// The change of the network's publication that told of it first; 0 in a local network.
    pub(super) change: u64,
    /// Being detached.
    pub(super) leaving: bool,
}

impl Endpoint {
    pub(super) fn record(&self) -> &EndpointRecord {
        &self.stored.record
    }

    /// Without prefix lengths.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.stored.record.addresses.iter().map(|net| net.addr()).collect()
    }

    /// What identifies the sandbox: the container's id, or its name.
    pub(super) fn key(&self) -> &str {
        sandbox_key(&self.stored.record.name, &self.stored.record.container_id)
    }

    /// Whether a user means it.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let record = self.record();
        record.name == name || !record.container_id.is_empty() && record.container_id == name
    }
}

/// What identifies a sandbox.
pub(super) fn sandbox_key<'a>(name: &'a str, container_id: &'a str) -> &'a str {
    if container_id.is_empty() { name } else { container_id }
}

impl Network {
    pub(super) fn new(record: NetworkRecord, version: u64) -> Network {
        let plans = record.subnets.iter().filter_map(|subnet| subnet.plan().ok());
        let pools = if record.is_global() { Vec::new() } else { plans.map(ipam::Pool::new).collect() };
        let (gate, publication) = (Arc::default(), Publication::default());
        Network { record, version, gate, bridge: None, pools, publication }
    }
}

impl State {
    pub(super) fn next_bridge(&mut self) -> BridgeId {
        self.next_bridge += 1;
        BridgeId(self.next_bridge)
    }

    pub(super) fn next_port(&mut self) -> PortId {
        self.next_port += 1;
        PortId(self.next_port)
    }

    /// The number of a request for an attachment.
    pub(super) fn next_coming(&mut self) -> u64 {
        self.last_coming += 1;
        self.last_coming
    }

    /// The number of the last request for an attachment.
    pub(super) fn last_coming(&self) -> u64 {
        self.last_coming
    }

    /// The number of a new publication.
    pub(super) fn next_publish(&mut self) -> u32 {
        self.last_published += 1;
        self.last_published
    }

    /// A publication of before has this number.
    pub(super) fn published_before(&mut self, id: u32) {
        self.last_published = self.last_published.max(id);
    }

    pub(super) fn event(&mut self, kind: &'static str, object: impl Into<String>, text: impl Into<String>) {
        let event = Event { time: SystemTime::now(), kind, object: object.into(), text: text.into() };
        tracing::info!(target: "vswitchd", kind, "{}: {}", event.object, event.text);
        self.events.insert(event);
    }

    /// A row that cannot be used: an event, once for each version of the row.
    pub(super) fn refuse(&mut self, key: &str, version: u64, why: &str) {
        const REMEMBERED: usize = 4096;
        if self.refused.iter().any(|(known, at)| known == key && *at == version) {
            return;
        }
        self.refused.retain(|(known, _)| known != key);
        if self.refused.len() == REMEMBERED {
            self.refused.pop_front();
        }
        self.refused.push_back((key.to_owned(), version));
        self.event("row_refused", format!("row {key}"), format!("skipped: {why}"));
    }

    /// The network that a user means.
    pub(super) fn network_id(&self, reference: &str) -> Result<String, api::Error> {
        let known = self.networks.values().map(|n| (n.record.id.as_str(), n.record.name.as_str()));
        match model::resolve(reference, known) {
            Ok(id) => Ok(id.to_owned()),
            Err(found) if found.is_empty() => {
                Err(api::Error::not_found(format!("network {reference}"), "see `vsctl network ls`"))
            }
            Err(found) => {
                let names: Vec<String> = found.iter().map(|(id, name)| format!("{name} ({:.12})", id)).collect();
                let why = format!("it is ambiguous: {}", names.join(", "));
                Err(api::Error::conflict(format!("network {reference}"), why, "give more digits of the id"))
            }
        }
    }

    pub(super) fn network(&self, id: &str) -> Result<&Network, api::Error> {
        self.networks
            .get(id)
            .ok_or_else(|| api::Error::not_found(format!("network {id:.12}"), "see `vsctl network ls`"))
    }

    pub(super) fn record(&self, id: &str) -> Result<NetworkRecord, api::Error> {
        Ok(self.network(id)?.record.clone())
    }

    pub(super) fn network_name(&self, id: &str) -> String {
        self.networks.get(id).map_or_else(|| id.chars().take(12).collect(), |network| network.record.name.clone())
    }

    pub(super) fn endpoints_in<'a>(&'a self, network: &'a str) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.values().filter(move |endpoint| endpoint.stored.network == network && !endpoint.leaving)
    }

    /// This host's endpoints in a network have changed. The number of the change.
    pub(super) fn touch(&mut self, network: &str) -> u64 {
        match self.networks.get_mut(network).filter(|network| network.record.is_global()) {
            Some(network) => {
                network.publication.wanted += 1;
                network.publication.wanted
            }
            None => 0,
        }
    }

    pub(super) fn bridge_of(&self, network: &str) -> Option<&Bridge> {
        self.networks.get(network)?.bridge.as_ref()
    }

    pub(super) fn bridge_mut(&mut self, network: &str) -> Option<&mut Bridge> {
        self.networks.get_mut(network)?.bridge.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_row_is_told_once_for_each_version() {
        let mut state = State::default();
        state.refuse("k", 1, "bad");
        state.refuse("k", 1, "bad");
        assert_eq!(state.events.dump().count(), 1);
        state.refuse("k", 2, "bad");
        assert_eq!(state.events.dump().count(), 2);
    }

    #[test]
    fn numbers_are_never_used_again() {
        let mut state = State::default();
        assert_ne!(state.next_port(), state.next_port());
        assert_ne!(state.next_bridge(), state.next_bridge());
    }
}
