//! The start: what was remembered becomes intent again. Endpoints whose sandbox still lives get their link back with
//! the same name, MAC and addresses; those whose sandbox is gone are given up. Needs no store.

use std::sync::Arc;

use super::Control;
use super::state::Network;
use crate::api::{Error, Kind};
use crate::state::{Change, Memory, StoredEndpoint, filter_scope};

impl Control {
    /// Takes in what the state file has, and attaches again what still lives.
    pub async fn restore(self: &Arc<Self>, memory: Memory) {
        let Memory { networks, mut endpoints, begun, peers, fdb, releases, published, filters, .. } = memory;
        let (session, cluster, unreadable) = (memory.session, memory.cluster, memory.unreadable);
        let reservations = memory.reservations;
        {
            let mut state = self.state();
            for (key, why) in &unreadable {
                state.event("state_refused", format!("state row {key}"), why.clone());
            }
            state.networks = networks.into_iter().map(|record| (record.id.clone(), Network::new(record, 0))).collect();
            state.peers = peers.into_iter().collect();
            state.fdb = fdb.into_iter().map(|entry| ((entry.network.clone(), entry.mac), entry)).collect();
            state.releases =
                releases.into_iter().map(|release| ((release.network.clone(), release.address), release)).collect();
            state.session = session;
            state.cluster = cluster;
        }
        self.hold_reservations(reservations);
        self.predefine().await;
        self.tell_interrupted(begun).await;
        let unread = unreadable.iter().filter_map(|(key, _)| filter_scope(key)).collect();
        self.restore_filters(filters, unread).await;
        // In the order in which they were attached: the first of a sandbox has its default route.
        endpoints.sort_by_key(|stored| stored.since);
        // Rules name them from the start: what has been counted about one is not forgotten while another comes back.
        self.state().arriving = endpoints.iter().map(|stored| (stored.record.id.clone(), stored.clone())).collect();
        for stored in endpoints {
            let name = stored.record.name.clone();
            let (id, network) = (stored.record.id.clone(), stored.network.clone());
            self.hold_addresses(&stored);
            match self.restore_endpoint(stored.clone()).await {
                Ok(()) => {}
                Err(error) => {
                    let mut changes = self.give_back_of(&mut self.state(), &stored);
                    changes.push(Change::no_endpoint(&id));
                    self.state().arriving.remove(&id);
                    self.renamed.notify_one();
                    self.state().event("given_up", format!("port {name}"), error.error);
                    self.state().touch(&network);
                    self.remember(changes).await;
                }
            }
        }
        self.restore_published(published).await;
    }

    /// Local pools know only what is put into them.
    fn hold_addresses(&self, stored: &StoredEndpoint) {
        if stored.docked.is_some() {
            return;
        }
        let owner = self.owner(super::state::sandbox_key(&stored.record.name, &stored.record.container_id));
        let mut state = self.state();
        let Some(network) = state.networks.get_mut(&stored.network) else { return };
        for address in stored.record.addresses.iter().map(|net| net.addr()) {
            let (owner, host) = (owner.clone(), self.settings.name.clone());
            for pool in network.pools.iter_mut().filter(|pool| pool.subnet().cidr.contains(&address)) {
                pool.insert(ipam::Lease {
                    address,
                    owner: owner.clone(),
                    host: host.clone(),
                    state: ipam::State::Held,
                });
            }
        }
    }

    async fn restore_endpoint(self: &Arc<Self>, mut stored: StoredEndpoint) -> Result<(), Error> {
        // What it serves follows from what is published again.
        stored.record.services.clear();
        let object = format!("port {}", stored.record.name);
        self.locate_docked(&mut stored).await?;
        if !self.plane.alive(&stored.sandbox)? {
            return Err(Error::new(Kind::NotFound, object, "its sandbox ended while vswitchd was not running", ""));
        }
        let network = stored.network.clone();
        let (record, gate) = {
            let state = self.state();
            let known = state.network(&network)?;
            (known.record.clone(), known.gate.clone())
        };
        if record.is_global() && self.settings.vtep.is_none() {
            let why = format!("network {} needs an address for tunnels", record.name);
            return Err(Error::conflict(object, why, "start vswitchd with --advertise"));
        }
        let bridge = {
            let _gate = gate.lock().await;
            self.enter_bridge(&network).await?
        };
        match self.plug_in(&record, bridge, stored, true).await {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                self.leave_bridge(&network).await;
                Err(error)
            }
        }
    }
}
