//! A network's bridge in the engine: comes with the network's first endpoint on this host, goes with the last. While it
//! is there, the network's endpoint rows of the other hosts are followed; without it the network costs nothing here [N4].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use store::{Row, Snapshot};
use switch::{BridgeId, BridgeSettings, Place, Update};

use super::backoff::Backoff;
use super::remote::{Delta, Remote, RemoteRow};
use super::state::{Bridge, State};
use super::{Control, gateway};
use crate::api::Error;
use crate::model::{Driver, HostEndpoints, NetworkRecord, key};

/// How long the first look at the other hosts' endpoints may take before an attachment goes on without it.
const FIRST_LOOK: Duration = Duration::from_secs(3);

impl Control {
    /// Makes sure that the network has its bridge, and counts one more user. The caller holds the network's gate.
    pub(super) async fn enter_bridge(self: &Arc<Self>, network: &str) -> Result<BridgeId, Error> {
        let record = {
            let mut state = self.state();
            if let Some(bridge) = state.bridge_mut(network) {
                bridge.users += 1;
                return Ok(bridge.id);
            }
            state.record(network)?
        };
        let vni = match record.vni.map(vxlan::Vni::new) {
            Some(Ok(vni)) => Some(vni),
            Some(Err(error)) => {
                return Err(Error::invalid(record.object(), error.to_string(), "create another network"));
            }
            None => None,
        };
        let mtu = u16::try_from(record.mtu).unwrap_or(u16::MAX);
        let mut updates = Vec::new();
        let id = {
            let mut state = self.state();
            let id = state.next_bridge();
            let gateway = gateway::of(&record);
            let settings = BridgeSettings { gateway, ..BridgeSettings::new(&record.name, vni, mtu) };
            updates.push(Update::Bridge { id, settings });
            let mut remote = Remote::new(id);
            for (_, vtep) in state.peers.iter().filter(|(network, _)| *network == record.id) {
                updates.extend(remote.insert_static(*vtep).updates);
            }
            let statics = state.fdb.values().filter(|entry| entry.network == record.id);
            updates.extend(statics.filter_map(|entry| {
                Some(Update::Static { bridge: id, mac: entry.mac, place: Place::Tunnel(entry.vtep?) })
            }));
            let bridge = Bridge { id, users: 1, remote, sync: None };
            if let Some(network) = state.networks.get_mut(network) {
                network.bridge = Some(bridge);
            }
            // Under the lock, so that updates of the same bridge from elsewhere come later.
            self.plane.apply(updates);
            id
        };
        if let Err(error) = self.arm_bridge(network).await {
            // Nobody has entered it: the caller holds the gate.
            if let Some(network) = self.state().networks.get_mut(network) {
                network.bridge = None;
            }
            self.plane.apply(vec![Update::RemoveBridge { id }]);
            return Err(error);
        }
        self.plane.reach(&record.name, reached(&record), record.mtu).await;
        if record.is_global() {
            let prefix = key::endpoints(network);
            let first = tokio::time::timeout(FIRST_LOOK, self.store.snapshot(&prefix)).await;
            let mut revision = 0;
            if let Ok(Ok(snapshot)) = first {
                revision = snapshot.revision;
                if self.take_endpoints(&record, &snapshot).await.is_err() {
                    revision = 0;
                }
            }
            let sync = tokio::spawn(self.clone().follow_endpoints(record, revision)).abort_handle();
            match self.state().bridge_mut(network) {
                Some(bridge) => bridge.sync = Some(sync),
                None => sync.abort(),
            }
        }
        Ok(id)
    }

    /// Counts one user less; the last one takes the bridge with it.
    pub(super) async fn leave_bridge(&self, network: &str) {
        let Ok(gate) = self.state().network(network).map(|network| network.gate.clone()) else { return };
        let _gate = gate.lock().await;
        if self.state().bridge_of(network).is_some_and(|bridge| bridge.users <= 1) {
            self.disarm_bridge(network).await;
        }
        let name = {
            let mut state = self.state();
            let Some(known) = state.networks.get_mut(network) else { return };
            let Some(bridge) = known.bridge.as_mut() else { return };
            bridge.users = bridge.users.saturating_sub(1);
            if bridge.users > 0 {
                return;
            }
            if let Some(bridge) = known.bridge.take() {
                if let Some(sync) = bridge.sync {
                    sync.abort();
                }
                self.plane.apply(vec![Update::RemoveBridge { id: bridge.id }]);
            }
            known.record.name.clone()
        };
        self.plane.reach(&name, Vec::new(), 0).await;
    }

    async fn follow_endpoints(self: Arc<Self>, record: NetworkRecord, mut revision: u64) {
        let prefix = key::endpoints(&record.id);
        let mut backoff = Backoff::new();
        let mut held = false;
        loop {
            // Rows that are held back after a wipe are looked at again when the grace is over.
            let hold = self.state().hold.filter(|_| held);
            let watched = match hold {
                Some(until) => match tokio::time::timeout_at(until.into(), self.store.watch(&prefix, revision)).await {
                    Ok(result) => result,
                    Err(_) => self.store.snapshot(&prefix).await,
                },
                None => self.store.watch(&prefix, revision).await,
            };
            let result = match watched {
                Ok(snapshot) => {
                    revision = snapshot.revision;
                    self.take_endpoints(&record, &snapshot).await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(waiting) => {
                    held = waiting;
                    backoff.reset();
                }
                Err(error) => {
                    self.store_failed(&error);
                    revision = 0;
                    backoff.wait().await;
                }
            }
        }
    }

    /// Applies what changed in the other hosts' rows. True: some absent rows were kept, because the store was wiped.
    async fn take_endpoints(
        self: &Arc<Self>,
        record: &NetworkRecord,
        snapshot: &Snapshot,
    ) -> Result<bool, store::Error> {
        let absent = {
            let mut state = self.state();
            self.merge_rows(&mut state, record, snapshot);
            self.publish_if_lost(&mut state, record, snapshot);
            let Some(bridge) = state.bridge_of(&record.id) else { return Ok(false) };
            let gone = bridge.remote.rows().keys().filter(|key| !snapshot.rows.contains_key(*key));
            gone.cloned().collect::<Vec<String>>()
        };
        if absent.is_empty() {
            return Ok(false);
        }
        // Absence means something only in the store that we know.
        let id = self.cluster_id().await?;
        let known = self.state().cluster.clone();
        if id.is_none() || id != known {
            self.state().hold.get_or_insert_with(|| Instant::now() + Duration::from_secs(1));
            self.meet_cluster().await?;
            return Ok(true);
        }
        let mut state = self.state();
        if state.hold.is_some_and(|until| Instant::now() < until) {
            return Ok(true);
        }
        for key in absent {
            self.set_row(&mut state, &record.id, &key, None);
        }
        Ok(false)
    }

    /// Takes in new and changed rows.
    fn merge_rows(&self, state: &mut State, record: &NetworkRecord, snapshot: &Snapshot) {
        for row in snapshot.rows.values() {
            let Some(bridge) = state.bridge_of(&record.id) else { return };
            if bridge.remote.rows().get(&row.key).is_some_and(|known| known.version == row.version) {
                continue;
            }
            match read(record, row) {
                Ok(read) if read.host == self.settings.name || Some(read.vtep) == self.settings.vtep => {}
                Ok(read) if self.settings.vtep.is_some_and(|own| own.is_ipv4() != read.vtep.is_ipv4()) => {
                    let why = format!("tunnels to {} are of another family than this host's", read.vtep);
                    state.refuse(&row.key, row.version, &why);
                }
                Ok(read) => {
                    let fresh = RemoteRow { version: row.version, record: read };
                    self.set_row(state, &record.id, &row.key, Some(fresh));
                }
                Err(why) => state.refuse(&row.key, row.version, &why),
            }
        }
    }

    fn set_row(&self, state: &mut State, network: &str, key: &str, row: Option<RemoteRow>) {
        let Some(bridge) = state.bridge_mut(network) else { return };
        let delta = bridge.remote.set(key, row);
        self.apply_delta(state, delta);
    }

    /// Hands a difference to the engine and tells of duplicates.
    pub(super) fn apply_delta(&self, state: &mut State, delta: Delta) {
        for (object, text) in delta.duplicates {
            state.event("duplicate", object, text);
        }
        if !delta.updates.is_empty() {
            self.plane.apply(delta.updates);
            self.renamed.notify_one();
        }
    }

    /// Our own row should be there and is not: it is written again.
    fn publish_if_lost(&self, state: &mut State, record: &NetworkRecord, snapshot: &Snapshot) {
        let own = key::endpoints_of(&record.id, &self.settings.name, 0);
        let Some(network) = state.networks.get(&record.id) else { return };
        let settled = network.publication.done == network.publication.wanted && network.publication.parts > 0;
        if settled && !snapshot.rows.contains_key(&own) && state.session.is_some() {
            state.touch(&record.id);
            self.publish.notify_one();
        }
    }

    /// The rows of all hosts in a network: from the store if it answers soon, else as last seen.
    pub(super) async fn rows_of(&self, record: &NetworkRecord) -> Vec<HostEndpoints> {
        let known = || {
            let state = self.state();
            let rows =
                state.bridge_of(&record.id).map(|bridge| bridge.remote.rows().values().cloned().collect::<Vec<_>>());
            rows.unwrap_or_default().into_iter().map(|row| row.record).collect()
        };
        if !record.is_global() || self.state().bridge_of(&record.id).is_some() {
            return known();
        }
        let prefix = key::endpoints(&record.id);
        match tokio::time::timeout(Duration::from_secs(2), self.store.snapshot(&prefix)).await {
            Ok(Ok(snapshot)) => {
                let rows = snapshot.rows.values().filter_map(|row| read(record, row).ok());
                rows.filter(|row| row.host != self.settings.name).collect()
            }
            _ => known(),
        }
    }

    /// Endpoints known of each VTEP of a network, with the host's name.
    pub(super) fn vteps_of(&self, state: &State, network: &str) -> BTreeMap<IpAddr, (String, usize)> {
        let mut vteps: BTreeMap<IpAddr, (String, usize)> = BTreeMap::new();
        for row in state.bridge_of(network).into_iter().flat_map(|bridge| bridge.remote.rows().values()) {
            let entry = vteps.entry(row.record.vtep).or_insert_with(|| (row.record.host.clone(), 0));
            entry.1 += row.record.endpoints.len();
        }
        vteps
    }
}

/// The subnets whose containers the host reaches: those of its own bridge networks.
fn reached(record: &NetworkRecord) -> Vec<IpNet> {
    match record.driver {
        Driver::Bridge => record.subnets.iter().filter(|s| s.gateway.is_some()).map(|s| s.subnet).collect(),
        _ => Vec::new(),
    }
}

/// Reads a row and checks it against its key and its network.
fn read(record: &NetworkRecord, row: &Row) -> Result<HostEndpoints, String> {
    let endpoints = HostEndpoints::read(&row.value)?;
    let name = key::last(&row.key);
    let part = name.strip_prefix(&endpoints.host).and_then(|rest| rest.strip_prefix('.'));
    if name != endpoints.host && part.is_none_or(|part| part.parse::<u32>().is_err()) {
        return Err("its host is not that of its key".into());
    }
    for endpoint in &endpoints.endpoints {
        for address in endpoint.addresses.iter().map(|net| net.addr()) {
            let Some(subnet) = record.subnets.iter().find(|subnet| subnet.subnet.contains(&address)) else {
                return Err(format!("endpoint {}: {address} is in no subnet of the network", endpoint.name));
            };
            if subnet.gateway == Some(address) {
                return Err(format!("endpoint {}: {address} is the gateway", endpoint.name));
            }
        }
    }
    Ok(endpoints)
}
