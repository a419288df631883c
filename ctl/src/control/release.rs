//! Giving addresses back. What the store has to hear is written down first and sent by one task, so that a detach
//! completes without the store, and a restart forgets nothing. A released address rests, then its row goes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use store::Op;

use super::Control;
use super::address::read_lease;
use super::backoff::Backoff;
use super::state::{State, sandbox_key};
use crate::model::{key, now_millis};
use crate::state::{Change, Release, StoredEndpoint};

/// Attempts against somebody else's change of the same row.
const ATTEMPTS: usize = 5;

impl Control {
    /// Takes addresses from an owner. The changes are to be written with whatever else the caller changes.
    pub(super) fn give_back(
        &self,
        state: &mut State,
        network: &str,
        owner: &str,
        addresses: &[IpAddr],
        rest: bool,
    ) -> Vec<Change> {
        let Some(known) = state.networks.get_mut(network) else { return Vec::new() };
        if !known.record.is_global() {
            let until = now_millis() + if rest { self.settings.rest.as_millis() as u64 } else { 0 };
            for address in addresses {
                for pool in known.pools.iter_mut().filter(|pool| pool.subnet().cidr.contains(address)) {
                    // Not held, or by another: then there is nothing to give back.
                    let _ = pool.rest(*address, owner, until);
                }
            }
            return Vec::new();
        }
        let mut changes = Vec::new();
        for address in addresses {
            let release = Release { network: network.into(), address: *address, owner: owner.into(), rest };
            changes.push(Change::release(&release));
            state.releases.insert((network.into(), *address), release);
        }
        changes
    }

    /// Takes an endpoint's addresses from it, unless they are held for somebody else's address management.
    pub(super) fn give_back_of(&self, state: &mut State, stored: &StoredEndpoint) -> Vec<Change> {
        if stored.docked.is_some() {
            return Vec::new();
        }
        let owner = self.owner(sandbox_key(&stored.record.name, &stored.record.container_id));
        let addresses: Vec<_> = stored.record.addresses.iter().map(|net| net.addr()).collect();
        self.give_back(state, &stored.network, &owner, &addresses, true)
    }

    pub(super) async fn keep_released(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        // End of the rest (in milliseconds since the Unix epoch) and key.
        let mut resting: BTreeSet<(u64, String)> = BTreeSet::new();
        loop {
            let waiting: Vec<Release> = self.state().releases.values().cloned().collect();
            let mut failed = false;
            for release in waiting {
                match self.release_one(&release).await {
                    Ok(until) => {
                        resting.extend(until.map(|until| (until, key::lease(&release.network, release.address))));
                        self.state().releases.remove(&(release.network.clone(), release.address));
                        self.remember(vec![Change::no_release(&release.network, release.address)]).await;
                        self.made_progress();
                    }
                    Err(error) => {
                        self.store_failed(&error);
                        failed = true;
                        break;
                    }
                }
            }
            while let Some(first) = resting.first().filter(|(until, _)| *until <= now_millis()).cloned() {
                match self.forget_lease(&first.1).await {
                    Ok(()) => drop(resting.remove(&first)),
                    Err(error) => {
                        self.store_failed(&error);
                        failed = true;
                        break;
                    }
                }
            }
            let wait = if failed {
                backoff.next()
            } else {
                backoff.reset();
                let next = resting.first().map(|(until, _)| until.saturating_sub(now_millis()));
                next.map_or(Duration::from_secs(3600), |millis| Duration::from_millis(millis.max(1000)))
            };
            let _ = tokio::time::timeout(wait, self.release.notified()).await;
        }
    }

    /// Makes a lease rest, or removes it. Returns the end of its rest.
    async fn release_one(&self, release: &Release) -> Result<Option<u64>, store::Error> {
        let gate = self.state().networks.get(&release.network).map(|network| network.gate.clone());
        let _gate = match &gate {
            Some(gate) => Some(gate.lock().await),
            None => None,
        };
        if self.is_claimed(&release.network, release.address, &release.owner) {
            return Ok(None);
        }
        let key = key::lease(&release.network, release.address);
        for _ in 0..ATTEMPTS {
            let rows = self.store.snapshot(&key).await?;
            let Some(row) = rows.rows.get(&key) else { return Ok(None) };
            let (Some(mut lease), None) = read_lease(&key, &row.value) else { return Ok(None) };
            if lease.owner != release.owner || !lease.is_held() {
                return Ok(None);
            }
            let (op, until) = if release.rest {
                let until = now_millis() + self.settings.rest.as_millis() as u64;
                lease.state = ipam::State::Resting { until };
                let value = serde_json::to_vec(&lease).unwrap_or_default();
                (Op::Replace { key: key.clone(), value, version: row.version }, Some(until))
            } else {
                (Op::DeleteIf { key: key.clone(), version: row.version }, None)
            };
            match self.store.transact(vec![op]).await {
                Ok(()) => return Ok(until),
                Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // The sweep finds what is left.
        Ok(None)
    }

    /// Removes a lease whose rest is over.
    async fn forget_lease(&self, key: &str) -> Result<(), store::Error> {
        let rows = self.store.snapshot(key).await?;
        let Some(row) = rows.rows.get(key) else { return Ok(()) };
        if !read_lease(key, &row.value).0.is_some_and(|lease| lease.is_over(now_millis())) {
            return Ok(());
        }
        match self.store.transact(vec![Op::DeleteIf { key: key.into(), version: row.version }]).await {
            Err(store::Error::Conflict { .. }) => Ok(()),
            other => other,
        }
    }

    /// Whether an address of this host is in use, or about to be, by that owner.
    pub(super) fn is_claimed(&self, network: &str, address: IpAddr, owner: &str) -> bool {
        self.is_used(&self.state(), network, address, owner)
    }

    /// The same with the state at hand.
    pub(super) fn is_used(&self, state: &State, network: &str, address: IpAddr, owner: &str) -> bool {
        let used = state.endpoints_in(network).any(|endpoint| {
            self.owner(endpoint.key()) == owner && endpoint.record().addresses.iter().any(|net| net.addr() == address)
        });
        let waits = state.stranded.values().any(|stored| stored.holds(network, address));
        used || waits
            || state.attaching.iter().any(|(id, key)| id == network && self.owner(key) == owner)
            || self.is_reserved(state, network, address, owner)
    }
}
