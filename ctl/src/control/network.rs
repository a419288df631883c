//! Networks as the store has them: follows `v1/networks/`. A network that is absent is removed only when it is certain
//! that the store was not wiped, and never while this host has endpoints in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use store::{Row, Snapshot};

use super::Control;
use super::backoff::Backoff;
use super::networks::creation;
use super::state::{Network, State};
use crate::model::{NetworkRecord, key};
use crate::state::Change;

/// How long a removal here is stronger than a snapshot that still shows the network.
const REMOVED: Duration = Duration::from_secs(10);

impl Control {
    pub(super) async fn follow_networks(self: Arc<Self>) {
        let (mut revision, mut backoff) = (0, Backoff::new());
        loop {
            let result = match self.store.watch(key::NETWORKS, revision).await {
                Ok(snapshot) => {
                    revision = snapshot.revision;
                    self.take_networks(snapshot).await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => {
                    self.store_answered();
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

    /// Reads the networks now.
    pub(super) async fn refresh_networks(self: &Arc<Self>) -> Result<(), store::Error> {
        let snapshot = self.store.snapshot(key::NETWORKS).await.inspect_err(|error| self.store_failed(error))?;
        self.take_networks(snapshot).await
    }

    async fn take_networks(self: &Arc<Self>, snapshot: Snapshot) -> Result<(), store::Error> {
        let (fresh, missing) = {
            let mut state = self.state();
            let fresh = merge(&mut state, &snapshot);
            (fresh, missing(&state, &snapshot))
        };
        if !fresh.is_empty() {
            self.remember(fresh.iter().map(Change::network).collect()).await;
        }
        if !missing.is_empty() {
            self.check_missing().await?;
        }
        Ok(())
    }

    /// Some networks were absent in a snapshot: finds out what that means.
    async fn check_missing(self: &Arc<Self>) -> Result<(), store::Error> {
        // The cluster's id before and after a fresh look: the same, and the one we know, means that the store was not
        // wiped in between, so that absence is removal.
        let before = self.cluster_id().await?;
        let snapshot = self.store.snapshot(key::NETWORKS).await?;
        let after = self.cluster_id().await?;
        let same = before.is_some() && before == after && before == self.state().cluster;
        if !same {
            return self.meet_cluster().await;
        }
        let (gone, kept) = {
            let mut state = self.state();
            let absent = missing(&state, &snapshot);
            let used = |id: &String| {
                state.endpoints_in(id).next().is_some() || state.attaching.iter().any(|(network, _)| network == id)
            };
            let (kept, gone): (Vec<String>, Vec<String>) = absent.into_iter().partition(used);
            for id in &gone {
                let name = state.network_name(id);
                state.networks.remove(id);
                state.peers.retain(|(network, _)| network != id);
                state.fdb.retain(|(network, _), _| network != id);
                state.event("network_removed", format!("network {name}"), "by another host");
            }
            (gone, kept)
        };
        self.remember(gone.iter().map(|id| Change::no_network(id)).collect()).await;
        for id in &gone {
            self.forget_filters(id).await;
        }
        for id in kept {
            let Ok(record) = self.state().record(&id) else { continue };
            let text = "it was removed from the store while this host has endpoints in it; created again";
            self.state().event("network_restored", record.object(), text);
            self.restore_network(&record).await?;
        }
        Ok(())
    }

    /// Puts a known network back into the store, unless it is there.
    pub(super) async fn restore_network(&self, record: &NetworkRecord) -> Result<(), store::Error> {
        match self.store.transact(creation(record)).await {
            Err(store::Error::Conflict { key: row, .. }) => {
                let there = self.store.snapshot(&key::network(&record.id)).await?;
                if there.rows.is_empty() {
                    let text = format!("cannot be put back into the store: {row} belongs to another network now");
                    self.state().event("network_conflict", record.object(), text);
                }
                Ok(())
            }
            other => other,
        }
    }
}

/// Takes in what a snapshot shows; returns the networks that are new.
fn merge(state: &mut State, snapshot: &Snapshot) -> Vec<NetworkRecord> {
    let mut fresh = Vec::new();
    for row in snapshot.rows.values() {
        let id = key::last(&row.key);
        if let Some(known) = state.networks.get(id).filter(|known| known.record.is_global()) {
            if known.version != row.version {
                let changed = read(row).map(|record| record != known.record);
                if let Some(known) = state.networks.get_mut(id) {
                    known.version = row.version;
                }
                match changed {
                    Ok(false) => {}
                    Ok(true) => state.refuse(&row.key, row.version, "a network never changes; kept as it was"),
                    Err(why) => state.refuse(&row.key, row.version, &why),
                }
            }
            continue;
        }
        if state.removed.get(id).is_some_and(|since| since.elapsed() < REMOVED) {
            continue;
        }
        match read(row) {
            Ok(record) => {
                state.event("network_known", record.object(), format!("id {:.12}, from the store", record.id));
                state.networks.insert(record.id.clone(), Network::new(record.clone(), row.version));
                fresh.push(record);
            }
            Err(why) => state.refuse(&row.key, row.version, &why),
        }
    }
    fresh
}

fn read(row: &Row) -> Result<NetworkRecord, String> {
    NetworkRecord::read(key::last(&row.key), &row.value)
}

/// Global networks that we know and the snapshot does not show.
fn missing(state: &State, snapshot: &Snapshot) -> BTreeSet<String> {
    let global = state.networks.values().filter(|network| network.record.is_global());
    let ids = global.map(|network| &network.record.id).filter(|id| !state.removed.contains_key(*id));
    ids.filter(|id| !snapshot.rows.contains_key(&key::network(id))).cloned().collect()
}
