//! Networks by request: create and remove. What a network is made of is decided in `plan`; here it is agreed on with
//! the store (global) or written down (local).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use store::Op;

use super::state::{Network, State};
use super::{Control, plan, routes};
use crate::api::{CreateNetwork, Created, Error, Kind};
use crate::model::{Driver, HostEndpoints, NetworkRecord, PREDEFINED, key};
use crate::state::Change;

/// Attempts to get a VNI that no other host takes at the same moment.
const ATTEMPTS: usize = 16;

/// Leases that go in one transaction with the network's own rows: a transaction has room for so many comparisons. The
/// rest is swept after it.
const LEASES_AT_ONCE: usize = 24;

impl Control {
    /// `network create`.
    ///
    /// # Errors
    /// 400 for what can never be, 409 for a name, VNI or subnet in use, 503 when the store is away.
    pub async fn create_network(self: &Arc<Self>, ask: CreateNetwork) -> Result<Created, Error> {
        let object = format!("network {}", ask.name);
        let global = ask.driver.as_deref() == Some("overlay");
        if global && self.settings.vtep.is_some() {
            self.refresh_networks().await.map_err(|error| Error::store(object.clone(), &error))?;
        }
        let mut record = {
            let state = self.state();
            let record = plan::network(&ask, &self.known(&state))?;
            if state.networks.values().any(|network| network.record.name == ask.name) {
                return Err(taken(&object));
            }
            record
        };
        if record.is_global() {
            let fixed = record.vni.is_some();
            self.agree_on(&mut record, fixed).await?;
        }
        let created = Created { id: record.id.clone(), name: record.name.clone(), warning: String::new() };
        self.take_in(&record)?;
        match self.disk.write(vec![Change::network(&record)]).await {
            Err(error) if !record.is_global() => {
                self.state().networks.remove(&record.id);
                Err(Error::failed(object, error.to_string()))
            }
            Err(error) => {
                self.warn("state_file", error.to_string());
                Ok(created)
            }
            Ok(()) => Ok(created),
        }
    }

    /// A new network becomes known; another request may have been quicker.
    fn take_in(&self, record: &NetworkRecord) -> Result<(), Error> {
        let mut state = self.state();
        if state.networks.contains_key(&record.id) {
            return Ok(());
        }
        if !record.is_global() && state.networks.values().any(|network| network.record.name == record.name) {
            return Err(taken(&record.object()));
        }
        let text = format!("id {:.12}, driver {}", record.id, record.driver_text());
        state.event("network_created", record.object(), text);
        state.networks.insert(record.id.clone(), Network::new(record.clone(), 0));
        Ok(())
    }

    /// Writes a global network's rows, all in one transaction, with a free VNI unless one was asked for.
    async fn agree_on(&self, record: &mut NetworkRecord, fixed: bool) -> Result<(), Error> {
        let object = record.object();
        for _ in 0..ATTEMPTS {
            if !fixed {
                let rows =
                    self.store.snapshot(key::VNIS).await.map_err(|error| Error::store(object.clone(), &error))?;
                let used: BTreeSet<u32> = rows.rows.keys().filter_map(|row| key::last(row).parse().ok()).collect();
                record.vni = plan::lowest_vni(&used);
                if record.vni.is_none() {
                    return Err(Error::conflict(object, "no VNI is free", "remove networks, or give one with --vni"));
                }
            }
            match self.store.transact(creation(record)).await {
                Ok(()) => {
                    self.store_answered();
                    return Ok(());
                }
                Err(store::Error::Conflict { key: row, .. }) if row.starts_with("v1/names/") => {
                    return Err(taken(&object));
                }
                Err(store::Error::Conflict { key: row, .. }) if row.starts_with(key::VNIS) && fixed => {
                    let why = format!("VNI {} is in use by another network", key::last(&row));
                    return Err(Error::conflict(object, why, "choose another, or leave --vni out"));
                }
                Err(store::Error::Conflict { .. }) => {}
                Err(error) => {
                    self.store_failed(&error);
                    return Err(Error::store(object, &error));
                }
            }
        }
        Err(Error::conflict(object, "other hosts took every VNI that was tried", "try again"))
    }

    /// What a new network must not collide with.
    fn known(&self, state: &State) -> plan::Known {
        let subnets = |network: &Network| {
            let name = network.record.name.clone();
            network.record.subnets.iter().map(|subnet| (name.clone(), subnet.subnet)).collect::<Vec<_>>()
        };
        let hosts = state.hosts.values().map(|host| host.underlay_mtu).filter(|mtu| *mtu > 0);
        plan::Known {
            networks: state.networks.values().flat_map(subnets).collect(),
            host: routes::in_use(&self.settings.host_link),
            vtep: self.settings.vtep,
            underlay_mtu: hosts.chain(self.settings.underlay_mtu).min(),
        }
    }

    /// Makes `bridge`, `host` and `none` where they are missing.
    pub(super) async fn predefine(&self) {
        let missing: Vec<NetworkRecord> = {
            let state = self.state();
            let known = self.known(&state);
            let absent = |name: &str| !state.networks.values().any(|n| n.record.name == name && !n.record.is_global());
            PREDEFINED.iter().filter(|(name, _)| absent(name)).map(|(n, d)| plan::predefined(n, *d, &known)).collect()
        };
        for record in missing {
            if record.driver == Driver::Bridge && record.subnets.is_empty() {
                self.warn("bridge", "network bridge: no subnet is free for it; create a network with --subnet".into());
            }
            self.remember(vec![Change::network(&record)]).await;
            self.state().networks.insert(record.id.clone(), Network::new(record, 0));
        }
    }

    /// `network rm`.
    ///
    /// # Errors
    /// 404, 409 when it is predefined or in use (naming the endpoints), 503 when the store is away.
    pub async fn remove_network(self: &Arc<Self>, reference: &str) -> Result<(), Error> {
        let id = self.find_network(reference).await?;
        let record = self.state().record(&id)?;
        let object = record.object();
        if record.is_predefined() && !record.is_global() {
            return Err(Error::conflict(object, "it is predefined and cannot be removed", "leave it"));
        }
        let gate = self.state().network(&id)?.gate.clone();
        let _gate = gate.lock().await;
        {
            let state = self.state();
            let mut here: Vec<String> = state
                .endpoints_in(&id)
                .map(|endpoint| format!("{} on host {}", endpoint.record().name, self.settings.name))
                .chain(state.attaching.iter().filter(|(n, _)| *n == id).map(|(_, key)| format!("{key} (attaching)")))
                .collect();
            if !here.is_empty() {
                return Err(in_use(object, &mut here));
            }
        }
        if record.is_global() {
            // Before the rows go, so that the watch does not take it for another host's doing.
            self.state().removed.insert(id.clone(), Instant::now());
            if let Err(error) = self.remove_rows(&record).await {
                self.state().removed.remove(&id);
                return Err(error);
            }
        }
        let mut changes = vec![Change::no_network(&id)];
        {
            let mut state = self.state();
            state.networks.remove(&id);
            state.removed.retain(|_, since| since.elapsed() < Duration::from_secs(60));
            state.removed.insert(id.clone(), Instant::now());
            let peers: Vec<_> = state.peers.iter().filter(|(network, _)| *network == id).cloned().collect();
            let fdb: Vec<_> = state.fdb.keys().filter(|(network, _)| *network == id).cloned().collect();
            let releases: Vec<_> = state.releases.keys().filter(|(network, _)| *network == id).cloned().collect();
            changes.extend(peers.iter().map(|(network, vtep)| Change::no_peer(network, *vtep)));
            changes.extend(fdb.iter().map(|(network, mac)| Change::no_fdb(network, *mac)));
            changes.extend(releases.iter().map(|(network, address)| Change::no_release(network, *address)));
            let reserved = state.reserved.iter().filter(|(network, _)| *network == id);
            changes.extend(reserved.map(|(network, address)| Change::no_reservation(network, *address)));
            state.reserved.retain(|(network, _)| *network != id);
            state.peers.retain(|(network, _)| *network != id);
            state.fdb.retain(|(network, _), _| *network != id);
            state.releases.retain(|(network, _), _| *network != id);
            state.event("network_removed", object, format!("id {id:.12}"));
        }
        self.remember(changes).await;
        self.forget_filters(&id).await;
        self.sweep.notify_one();
        Ok(())
    }

    /// Removes a global network's rows in one transaction, if no host has endpoints there.
    async fn remove_rows(&self, record: &NetworkRecord) -> Result<(), Error> {
        let object = record.object();
        let refused = |error: store::Error| {
            self.store_failed(&error);
            Error::store(object.clone(), &error)
        };
        let rows = self.store.snapshot(&key::endpoints(&record.id)).await.map_err(refused)?;
        let mut users = Vec::new();
        for row in rows.rows.values() {
            match HostEndpoints::read(&row.value) {
                Ok(row) => users.extend(row.endpoints.iter().map(|e| format!("{} on host {}", e.name, row.host))),
                Err(why) => self.state().refuse(&row.key, row.version, &why),
            }
        }
        if !users.is_empty() {
            return Err(in_use(object, &mut users));
        }
        let hosts = self.store.snapshot(key::HOSTS).await.map_err(refused)?;
        let leases = self.store.snapshot(&key::leases(&record.id)).await.map_err(refused)?;
        let alive = |lease: &ipam::Lease| {
            lease.is_held() && lease.host != self.settings.name && hosts.rows.contains_key(&key::host(&lease.host))
        };
        let held = leases.rows.values().filter_map(|row| serde_json::from_slice::<ipam::Lease>(&row.value).ok());
        let mut held: Vec<String> =
            held.filter(alive).map(|lease| format!("{} ({}, attaching)", lease.owner, lease.address)).collect();
        if !held.is_empty() {
            return Err(in_use(object, &mut held));
        }
        let mut ops = vec![Op::Delete { key: key::network(&record.id) }, Op::Delete { key: key::name(&record.name) }];
        ops.extend(record.vni.map(|vni| Op::Delete { key: key::vni(vni) }));
        let leases = leases.rows.into_values().take(LEASES_AT_ONCE);
        ops.extend(leases.map(|row| Op::DeleteIf { key: row.key, version: row.version }));
        self.store.transact(ops).await.map_err(refused)?;
        self.store_answered();
        Ok(())
    }

    /// The record of a network that somebody means.
    ///
    /// # Errors
    /// 404, 409 when the reference is ambiguous.
    pub async fn network(self: &Arc<Self>, reference: &str) -> Result<NetworkRecord, Error> {
        let id = self.find_network(reference).await?;
        self.state().record(&id)
    }

    /// A subnet for a network that is to be made, beside all that are in use and those that are `held`: from the pools of
    /// the driver, or of a wanted prefix length.
    ///
    /// # Errors
    /// 409 when none is left.
    pub fn free_subnet(&self, global: bool, v6: bool, length: Option<u8>, held: &[IpNet]) -> Result<IpNet, Error> {
        let known = self.known(&self.state());
        let used: Vec<IpNet> =
            known.networks.iter().map(|(_, net)| *net).chain(known.host).chain(held.iter().copied()).collect();
        plan::free_subnet(global, v6, length, &used)
            .map_err(|error| Error::conflict("subnet", error.to_string(), "give --subnet"))
    }

    /// Whether the host itself has a route to a part of a prefix, to its own networks too.
    pub fn has_route(&self, prefix: IpNet) -> bool {
        routes::in_use("").iter().any(|other| other.contains(&prefix) || prefix.contains(other))
    }

    /// The network that a user means; asks the store if it is not known yet.
    ///
    /// # Errors
    /// 404, 409 when the reference is ambiguous, 503 when only the store could tell and it is away.
    pub(super) async fn find_network(self: &Arc<Self>, reference: &str) -> Result<String, Error> {
        let first = self.state().network_id(reference);
        match first {
            Err(error) if error.kind == Kind::NotFound => match self.refresh_networks().await {
                Ok(()) => self.state().network_id(reference),
                Err(away) => {
                    let why = format!("this host does not know it, and the store does not say: {away}");
                    let remedy = "try again when the store answers (`vsctl show` tells)";
                    Err(Error::new(Kind::Unavailable, error.object, why, remedy))
                }
            },
            other => other,
        }
    }
}

/// The three rows of a new network.
pub(super) fn creation(record: &NetworkRecord) -> Vec<Op> {
    let json = |value: serde_json::Value| value.to_string().into_bytes();
    let id = || json(serde_json::json!({ "id": record.id }));
    let value = serde_json::to_vec(record).unwrap_or_default();
    let mut ops = vec![
        Op::Create { key: key::name(&record.name), value: id() },
        Op::Create { key: key::network(&record.id), value },
    ];
    ops.extend(record.vni.map(|vni| Op::Create { key: key::vni(vni), value: id() }));
    ops
}

fn taken(object: &str) -> Error {
    Error::conflict(object, "a network of that name exists already", "choose another name, or remove that one first")
}

fn in_use(object: String, users: &mut [String]) -> Error {
    users.sort_unstable();
    const SHOWN: usize = 8;
    let more = if users.len() > SHOWN { format!(" and {} more", users.len() - SHOWN) } else { String::new() };
    let first: Vec<&str> = users.iter().take(SHOWN).map(String::as_str).collect();
    let why = format!("it has active endpoints: {}{more}", first.join(", "));
    Error::conflict(object, why, "disconnect them first (`vsctl network disconnect`)")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Host, store};
    use super::*;

    #[tokio::test]
    async fn without_the_store_nobody_knows_that_a_network_is_not_there() {
        let (shared, _dir) = store().await;
        let host = Host::start(1, &shared).await;
        let missing = host.control.network("NOSUCH").await.unwrap_err();
        assert_eq!(missing.kind, Kind::NotFound);
        let dir = tempfile::tempdir().unwrap();
        let away = store::open("consul://127.0.0.1:1/v", dir.path(), store::Options::default()).await.unwrap();
        let settings = super::super::Settings::new("h2");
        let alone = Control::new(settings, away, host.tables.clone(), host.disk.clone());
        let unknown = alone.network("NOSUCH").await.unwrap_err();
        assert_eq!((unknown.kind, unknown.object.as_str()), (Kind::Unavailable, "network NOSUCH"));
        assert!(unknown.error.contains("127.0.0.1:1"), "{}", unknown.error);
    }
}
