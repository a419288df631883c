//! The other hosts: follows `v1/hosts/`. Keeps since when a host has had no row: its leases are kept that long.

use std::sync::Arc;
use std::time::Instant;

use store::Snapshot;

use super::Control;
use super::backoff::Backoff;
use crate::model::{HostRecord, is_name, key};

impl Control {
    pub(super) async fn follow_hosts(self: Arc<Self>) {
        let (mut revision, mut backoff) = (0, Backoff::new());
        loop {
            match self.store.watch(key::HOSTS, revision).await {
                Ok(snapshot) => {
                    revision = snapshot.revision;
                    self.take_hosts(&snapshot);
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

    fn take_hosts(&self, snapshot: &Snapshot) {
        let mut state = self.state();
        let mut hosts = std::collections::BTreeMap::new();
        for row in snapshot.rows.values() {
            match read(&row.key, &row.value) {
                Ok(record) => {
                    hosts.insert(record.name.clone(), record);
                }
                Err(why) => {
                    state.refuse(&row.key, row.version, &why);
                    // Whatever is wrong with it, it is there: what was known of that host stays good.
                    if let Some(known) = state.hosts.get(key::last(&row.key)) {
                        hosts.insert(known.name.clone(), known.clone());
                    }
                }
            }
        }
        let joined: Vec<String> = hosts.keys().filter(|name| !state.hosts.contains_key(*name)).cloned().collect();
        let lost: Vec<String> = state.hosts.keys().filter(|name| !hosts.contains_key(*name)).cloned().collect();
        for name in joined {
            state.absent.remove(&name);
            state.event("host_joined", format!("host {name}"), "its row appeared");
        }
        for name in lost {
            state.absent.insert(name.clone(), Instant::now());
            state.event("host_lost", format!("host {name}"), "its session ended");
        }
        let own = snapshot.rows.get(&key::host(&self.settings.name));
        let published = own.is_some_and(|row| row.session.is_some() && row.session == state.session);
        let missing = state.session.is_some() && !published;
        state.hosts = hosts;
        drop(state);
        if missing {
            self.tend.notify_one();
        }
    }
}

fn read(key: &str, value: &[u8]) -> Result<HostRecord, String> {
    let record: HostRecord = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    if record.name != key::last(key) || !is_name(&record.name) {
        return Err("its name is not that of its key".into());
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_must_be_under_its_own_name() {
        let row = br#"{"name":"h1","vteps":["192.0.2.1"],"vxlan_port":4789,"underlay_mtu":1500,"incarnation":1}"#;
        assert!(read("v1/hosts/h1", row).is_ok());
        assert!(read("v1/hosts/h2", row).is_err());
        assert!(read("v1/hosts/h1", b"[]").is_err());
    }
}
