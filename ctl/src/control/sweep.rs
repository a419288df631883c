//! Leases that nobody will give back: of lost hosts, of attachments that a crash interrupted, of removed networks, and
//! rested ones. Looked for after every (re)connection and four times in a lease time; rows go by compare-and-delete.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use store::{Op, Row, Snapshot};

use super::Control;
use super::address::read_lease;
use super::state::State;
use crate::model::{key, now_millis};
use crate::state::{Change, Release};

impl Control {
    pub(super) async fn keep_swept(self: Arc<Self>) {
        loop {
            let period = (self.settings.lease_time / 4).clamp(Duration::from_secs(1), Duration::from_secs(150));
            let period = period.mul_f64(rand::rng().random_range(0.8..1.2));
            let _ = tokio::time::timeout(period, self.sweep.notified()).await;
            if let Err(error) = self.sweep_once().await {
                self.store_failed(&error);
            }
        }
    }

    pub(super) async fn sweep_once(&self) -> Result<(), store::Error> {
        let leases = self.store.snapshot("v1/leases/").await?;
        let hosts = self.store.snapshot(key::HOSTS).await?;
        let networks = self.store.snapshot(key::NETWORKS).await?;
        let (gone, releases) = {
            let mut state = self.state();
            self.judge(&mut state, &leases, &hosts, &networks)
        };
        for (op, because) in gone {
            let row = op.key().to_owned();
            let mut ops = vec![op];
            ops.extend(because.map(|key| Op::Expect { key, version: None }));
            match self.store.transact(ops).await {
                Ok(()) => self.state().event("lease_reclaimed", format!("lease {}", key::last(&row)), row.as_str()),
                Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if !releases.is_empty() {
            let changes = releases.iter().map(Change::release).collect();
            self.remember(changes).await;
            let mut state = self.state();
            for release in releases {
                state.releases.insert((release.network.clone(), release.address), release);
            }
            drop(state);
            self.release.notify_one();
        }
        Ok(())
    }

    /// What is to be deleted (with a row that must be absent then), and what of ours is to be released.
    fn judge(
        &self,
        state: &mut State,
        leases: &Snapshot,
        hosts: &Snapshot,
        networks: &Snapshot,
    ) -> (Vec<(Op, Option<String>)>, Vec<Release>) {
        let (mut gone, mut releases) = (Vec::new(), Vec::new());
        let now = now_millis();
        for row in leases.rows.values() {
            let delete = |row: &Row| Op::DeleteIf { key: row.key.clone(), version: row.version };
            let Some(network) = row.key.split('/').nth(2) else { continue };
            let network_key = key::network(network);
            if !networks.rows.contains_key(&network_key) {
                // Not ours to judge as long as somebody may put the network back.
                if !state.networks.contains_key(network) && state.hold.is_none_or(|until| until < Instant::now()) {
                    gone.push((delete(row), Some(network_key)));
                }
                continue;
            }
            let (Some(lease), None) = read_lease(&row.key, &row.value) else { continue };
            if !lease.is_held() {
                if lease.is_over(now) {
                    gone.push((delete(row), None));
                }
                continue;
            }
            if lease.host == self.settings.name {
                let owner = lease.owner.clone();
                if !self.is_used(state, network, lease.address, &owner) {
                    releases.push(Release { network: network.into(), address: lease.address, owner, rest: true });
                }
                continue;
            }
            let host = key::host(&lease.host);
            if hosts.rows.contains_key(&host) {
                state.absent.remove(&lease.host);
                continue;
            }
            let since = *state.absent.entry(lease.host.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= self.settings.lease_time {
                gone.push((delete(row), Some(host)));
            }
        }
        (gone, releases)
    }
}
