//! The start: what was remembered becomes intent again. Endpoints whose sandbox still lives get their link back with
//! the same name, MAC and addresses; those whose sandbox is gone are given up. Needs no store.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::backoff::Backoff;
use super::state::Network;
use super::{Control, refused};
use crate::api::{Error, Kind};
use crate::sandbox::Netns;
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
            state.unread_networks =
                unreadable.iter().filter_map(|(key, _)| key.strip_prefix("network/")).map(str::to_owned).collect();
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
        let open: BTreeSet<String> = begun.iter().map(|begun| begun.id.clone()).collect();
        self.tell_interrupted(begun).await;
        let unread = unreadable.iter().filter_map(|(key, _)| filter_scope(key)).collect();
        self.restore_filters(filters, unread).await;
        // In the order in which they were attached: the first of a sandbox has its default route.
        endpoints.sort_by_key(|stored| stored.since);
        // Rules name them from the start: what has been counted about one is not forgotten while another comes back.
        self.state().arriving = endpoints.iter().map(|stored| (stored.record.id.clone(), stored.clone())).collect();
        for stored in endpoints {
            self.hold_addresses(&stored);
            let object = format!("port {}", stored.record.name);
            let restored = if open.contains(&stored.record.id) {
                let why = "its ports were not published yet when vswitchd ended";
                Err(Error::new(Kind::NotFound, object, why, ""))
            } else {
                self.restore_endpoint(stored.clone()).await
            };
            match restored {
                Ok(()) => {}
                Err(error) if error.kind == Kind::Unavailable => {
                    let mut state = self.state();
                    state.event("restore_failed", format!("port {}", stored.record.name), error.error);
                    state.stranded.insert(stored.record.id.clone(), stored);
                }
                Err(error) => self.give_up(&stored, error.error).await,
            }
        }
        self.restore_published(published).await;
    }

    /// Tries again what the machine refused at the start, until it is there, gone, or removed.
    pub(super) async fn keep_stranded(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        while !self.state().stranded.is_empty() {
            tokio::time::sleep(backoff.next()).await;
            let waiting: Vec<StoredEndpoint> = self.state().stranded.values().cloned().collect();
            for stored in waiting {
                // A removal that comes now waits for its end.
                let _coming = self.comes_again(&stored);
                if self.state().stranded.remove(&stored.record.id).is_none() {
                    continue;
                }
                match self.restore_endpoint(stored.clone()).await {
                    Ok(()) => {}
                    Err(error) if error.kind == Kind::Unavailable => {
                        self.state().stranded.insert(stored.record.id.clone(), stored);
                    }
                    Err(error) => self.give_up(&stored, error.error).await,
                }
            }
        }
    }

    /// Forgets those that wait to be attached again and are meant by a removal. Whether there were any.
    pub(super) async fn forget_stranded(&self, name: &str, network: Option<&str>, ifname: Option<&str>) -> bool {
        let meant: Vec<StoredEndpoint> = {
            let mut state = self.state();
            let network = network.map(|reference| state.network_id(reference).unwrap_or_else(|_| reference.to_owned()));
            let is_meant = |stored: &StoredEndpoint| {
                let record = &stored.record;
                (record.name == name || !name.is_empty() && record.container_id == name)
                    && network.as_ref().is_none_or(|id| stored.network == *id)
                    && ifname.is_none_or(|ifname| record.ifname == ifname)
            };
            state.stranded.extract_if(.., |_, stored| is_meant(stored)).map(|(_, stored)| stored).collect()
        };
        for stored in &meant {
            self.give_up(stored, "removed".into()).await;
        }
        !meant.is_empty()
    }

    async fn give_up(&self, stored: &StoredEndpoint, why: String) {
        let (id, network, name) = (&stored.record.id, &stored.network, &stored.record.name);
        let mut changes = self.give_back_of(&mut self.state(), stored);
        changes.push(Change::no_endpoint(id));
        self.state().arriving.remove(id);
        self.renamed.notify_one();
        self.state().event("given_up", format!("port {name}"), why);
        self.state().touch(network);
        self.remember(changes).await;
        self.release.notify_one();
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
        if stored.link.interface().is_some() {
            // After a boot the host's own namespace may be another.
            stored.sandbox = Netns::own().map_err(refused)?.reference().clone();
        }
        if !self.plane.alive(&stored.sandbox)? {
            return Err(Error::new(Kind::NotFound, object, "its sandbox ended while vswitchd was not running", ""));
        }
        let network = stored.network.clone();
        let (record, gate) = {
            let state = self.state();
            match state.network(&network) {
                Ok(known) => (known.record.clone(), known.gate.clone()),
                // The store may have it yet; nobody has removed it.
                Err(_) if state.unread_networks.contains(&network) => {
                    let why = format!("what is remembered of its network {network:.12} cannot be read");
                    let remedy = "wait for the store if it is an overlay, else `vsctl del-port` it and attach it again";
                    return Err(Error::new(Kind::Unavailable, object, why, remedy));
                }
                Err(gone) => return Err(gone),
            }
        };
        if record.is_global() && self.settings.vtep.is_none() {
            let why = format!("network {} needs an address for tunnels", record.name);
            return Err(Error::conflict(object, why, "start vswitchd with --advertise"));
        }
        let bridge = {
            let _gate = gate.lock().await;
            self.enter_bridge(&network).await?
        };
        match self.plug_in(&record, bridge, stored, true, false).await {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                self.leave_bridge(&network).await;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::{Host, overlay, store, until};
    use crate::api::{CreateNetwork, Kind};
    use crate::state::{Change, Memory};

    #[tokio::test]
    async fn a_network_whose_row_cannot_be_read_keeps_its_endpoints() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        let red = host.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
        let lan = CreateNetwork { name: "LAN".into(), ..CreateNetwork::default() };
        let lan = host.control.create_network(lan).await.unwrap();
        let a = host.attach("RED", "a").await.unwrap();
        host.attach("LAN", "b").await.unwrap();
        host.control.stop().await;
        host.disk.commit(&[&red, &lan].map(|network| Change::put(format!("network/{}", network.id), &1))).unwrap();
        let Host { control, disk, _dir: dir, .. } = host;
        drop(control);

        let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
        // The store has the one, nobody the other.
        until("the endpoint of the overlay", || host.control.state().endpoints.len() == 1).await;
        let ports = host.control.ports(None).await.unwrap();
        assert_eq!((ports[0].name.as_str(), &ports[0].addresses), ("a", &a.addresses));
        let told = host.control.events().into_iter().filter(|event| event.kind == "restore_failed");
        assert!(told.clone().count() == 2 && told.clone().all(|event| event.text.contains("cannot be read")));
        assert_eq!(Memory::read(&host.disk).unwrap().endpoints.len(), 2);
        host.control.remove_ports("b", Some(&lan.id)).await.unwrap();
        assert_eq!(Memory::read(&host.disk).unwrap().endpoints.len(), 1);
        assert_eq!(host.control.remove_ports("b", None).await.unwrap_err().kind, Kind::NotFound);
    }
}
