//! Whose store this is. `v1/cluster` missing, or with another id than the one known, means that the store was wiped or
//! replaced: then absence of rows means nothing, and this host puts back what it knows. The new id becomes the known
//! one only when everything is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::Op;

use super::Control;
use super::backoff::Backoff;
use crate::model::{Cluster, FORMAT, key, now_millis};
use crate::state::Change;

/// How long after a wipe the absence of other hosts' endpoint rows means nothing: two times a session's life.
const GRACE: Duration = Duration::from_secs(30);

impl Control {
    pub(super) async fn follow_cluster(self: Arc<Self>) {
        let (mut revision, mut backoff) = (0, Backoff::new());
        loop {
            let result = match self.store.watch(key::CLUSTER, revision).await {
                Ok(snapshot) => {
                    revision = snapshot.revision;
                    self.meet_cluster().await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    self.store_failed(&error);
                    revision = 0;
                    backoff.wait().await;
                }
            }
        }
    }

    /// The id in the store now; `None` when there is none that can be read.
    pub(super) async fn cluster_id(&self) -> Result<Option<String>, store::Error> {
        let snapshot = self.store.snapshot(key::CLUSTER).await?;
        let Some(row) = snapshot.rows.get(key::CLUSTER) else { return Ok(None) };
        match serde_json::from_slice::<Cluster>(&row.value) {
            Ok(cluster) if cluster.format == FORMAT => Ok(Some(cluster.id)),
            Ok(cluster) => {
                let why = format!("format {} is not {FORMAT}: another version of vswitchd made it", cluster.format);
                self.state().refuse(&row.key, row.version, &why);
                Err(store::Error::Refused { store: self.store.describe(), why })
            }
            Err(error) => {
                self.state().refuse(&row.key, row.version, &error.to_string());
                Err(store::Error::Corrupt {
                    store: self.store.describe(),
                    why: format!("row {} cannot be read: {error} (delete that row; hosts make it again)", row.key),
                })
            }
        }
    }

    /// Compares the store's cluster with the known one, and recovers if it is another.
    pub(super) async fn meet_cluster(self: &Arc<Self>) -> Result<(), store::Error> {
        let _one = self.recovery.lock().await;
        let id = loop {
            if let Some(id) = self.cluster_id().await? {
                break id;
            }
            let value = serde_json::to_vec(&Cluster::random()).unwrap_or_default();
            match self.store.transact(vec![Op::Create { key: key::CLUSTER.into(), value }]).await {
                Ok(()) | Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        };
        let known = self.state().cluster.clone();
        if known.as_ref() == Some(&id) {
            return Ok(());
        }
        if known.is_some() {
            self.recover().await?;
        }
        self.state().cluster = Some(id.clone());
        self.remember(vec![Change::cluster(&id)]).await;
        Ok(())
    }

    async fn recover(self: &Arc<Self>) -> Result<(), store::Error> {
        let networks = {
            let mut state = self.state();
            if state.hold.is_none_or(|until| until < Instant::now()) {
                state.event("store_wiped", "store", "it has another cluster's rows or none; putting ours back");
            }
            state.hold = Some(Instant::now() + GRACE);
            let global = state.networks.values().filter(|network| network.record.is_global());
            global.map(|network| network.record.clone()).collect::<Vec<_>>()
        };
        for record in networks {
            self.restore_network(&record).await?;
        }
        self.restore_leases().await?;
        self.publish_everything();
        Ok(())
    }

    /// Everything that lives with our session is to be written again.
    pub(super) fn publish_everything(&self) {
        {
            let mut state = self.state();
            let used: Vec<String> = state
                .networks
                .values()
                .filter(|network| network.bridge.is_some() || network.publication.wanted > 0)
                .map(|network| network.record.id.clone())
                .collect();
            for id in used {
                state.touch(&id);
            }
        }
        self.tend.notify_one();
        self.publish.notify_one();
    }

    /// Puts back the leases of our endpoints, where they are missing. One that is somebody else's now is reported.
    pub(super) async fn restore_leases(&self) -> Result<(), store::Error> {
        let owned: Vec<(String, std::net::IpAddr, String)> = {
            let state = self.state();
            let global = |id: &str| state.networks.get(id).is_some_and(|network| network.record.is_global());
            let endpoints = state.endpoints.values().filter(|e| !e.leaving && global(&e.stored.network));
            let leased = endpoints.filter(|endpoint| endpoint.stored.docked.is_none()).flat_map(|endpoint| {
                let owner = self.owner(endpoint.key());
                let addresses = endpoint.record().addresses.iter();
                addresses.map(move |net| (endpoint.stored.network.clone(), net.addr(), owner.clone()))
            });
            let reserved = state.reserved.iter().filter(|(network, _)| global(network));
            let reserved = reserved.map(|(network, at)| (network.clone(), *at, self.reserver(*at)));
            leased.chain(reserved).collect()
        };
        for (network, address, owner) in owned {
            let key = key::lease(&network, address);
            let lease = ipam::Lease { address, owner, host: self.settings.name.clone(), state: ipam::State::Held };
            let value = serde_json::to_vec(&lease).unwrap_or_default();
            let rows = self.store.snapshot(&key).await?;
            let op = match rows.rows.get(&key) {
                None => Op::Create { key: key.clone(), value },
                Some(row) => match serde_json::from_slice::<ipam::Lease>(&row.value) {
                    Ok(there) if there.owner == lease.owner && there.is_held() => continue,
                    Ok(there) if there.owner != lease.owner && !there.is_over(now_millis()) => {
                        let text = format!("{address} belongs to {} on host {} now", there.owner, there.host);
                        let object = format!("lease {}", lease.owner);
                        self.state().refuse(&key, row.version, &text);
                        self.state().warnings.insert("lease_lost", format!("{object}: {text}; attach it again"));
                        continue;
                    }
                    _ => Op::Replace { key: key.clone(), value, version: row.version },
                },
            };
            match self.store.transact(vec![op]).await {
                Ok(()) | Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
