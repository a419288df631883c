//! What an operator says by hand: VTEPs that are none of our hosts, and forwarding entries. They persist.

use std::net::IpAddr;
use std::sync::Arc;

use switch::{Place, Update};
use wire::Mac;

use super::Control;
use crate::api::{Error, StaticFdb, StaticPeer};
use crate::model::{Driver, NetworkRecord};
use crate::state::{Change, StaticEntry};

impl Control {
    /// `peers add`.
    ///
    /// # Errors
    /// 400 for an address that cannot be a peer, 404, 409 when it is there.
    pub async fn add_peer(self: &Arc<Self>, ask: StaticPeer) -> Result<(), Error> {
        let record = self.overlay(&ask.network).await?;
        let object = format!("peer {}", ask.vtep);
        self.check_vtep(&object, ask.vtep)?;
        {
            let mut state = self.state();
            if !state.peers.insert((record.id.clone(), ask.vtep)) {
                let why = format!("network {} has it already", record.name);
                return Err(Error::conflict(object, why, "see `vsctl peers`"));
            }
            let delta = state.bridge_mut(&record.id).map(|bridge| bridge.remote.insert_static(ask.vtep));
            self.apply_delta(&mut state, delta.unwrap_or_default());
            state.event("peer_added", object, format!("in network {}", record.name));
        }
        self.remember(vec![Change::peer(&record.id, ask.vtep)]).await;
        Ok(())
    }

    /// `peers rm`.
    ///
    /// # Errors
    /// 404.
    pub async fn remove_peer(self: &Arc<Self>, network: &str, vtep: IpAddr) -> Result<(), Error> {
        let id = self.find_network(network).await?;
        {
            let mut state = self.state();
            if !state.peers.remove(&(id.clone(), vtep)) {
                let object = format!("peer {vtep} in network {}", state.network_name(&id));
                return Err(Error::not_found(object, "only static peers can be removed; see `vsctl peers`"));
            }
            let delta = state.bridge_mut(&id).map(|bridge| bridge.remote.remove_static(vtep));
            self.apply_delta(&mut state, delta.unwrap_or_default());
            let name = state.network_name(&id);
            state.event("peer_removed", format!("peer {vtep}"), format!("in network {name}"));
        }
        self.remember(vec![Change::no_peer(&id, vtep)]).await;
        Ok(())
    }

    /// `fdb add`: also replaces an entry.
    ///
    /// # Errors
    /// 400, 404.
    pub async fn add_fdb(self: &Arc<Self>, ask: StaticFdb) -> Result<(), Error> {
        let object = format!("entry {}", ask.mac);
        if !ask.mac.is_station() {
            return Err(Error::invalid(object, "it is a group address or zero", "give a station's address"));
        }
        let id = match (&ask.port, &ask.vtep) {
            (Some(_), None) => self.find_network(&ask.network).await?,
            (None, Some(vtep)) => {
                self.check_vtep(&object, *vtep)?;
                self.overlay(&ask.network).await?.id
            }
            _ => return Err(Error::invalid(object, "port or vtep is wanted", "give exactly one")),
        };
        let entry = StaticEntry { network: id.clone(), mac: ask.mac, port: ask.port, vtep: ask.vtep };
        {
            let mut state = self.state();
            let port = match &entry.port {
                Some(name) => {
                    let mut here = state.endpoints_in(&id).filter(|endpoint| endpoint.is_called(name));
                    let found = here.next().map(|endpoint| endpoint.port);
                    let object = format!("port {name} in network {}", state.network_name(&id));
                    Some(found.ok_or_else(|| Error::not_found(object, "see `vsctl ports`"))?)
                }
                None => None,
            };
            let place = port.map(Place::Port).or(entry.vtep.map(Place::Tunnel));
            if let (Some(bridge), Some(place)) = (state.bridge_of(&id).map(|bridge| bridge.id), place) {
                self.plane.apply(vec![Update::Static { bridge, mac: entry.mac, place }]);
            }
            state.fdb.insert((id, entry.mac), entry.clone());
        }
        self.remember(vec![Change::fdb(&entry)]).await;
        Ok(())
    }

    /// `fdb rm`.
    ///
    /// # Errors
    /// 404.
    pub async fn remove_fdb(self: &Arc<Self>, network: &str, mac: Mac) -> Result<(), Error> {
        let id = self.find_network(network).await?;
        {
            let mut state = self.state();
            if state.fdb.remove(&(id.clone(), mac)).is_none() {
                let object = format!("static entry {mac} in network {}", state.network_name(&id));
                return Err(Error::not_found(object, "see `vsctl fdb`"));
            }
            if let Some(bridge) = state.bridge_of(&id).map(|bridge| bridge.id) {
                self.plane.apply(vec![Update::RemoveStatic { bridge, mac }]);
            }
        }
        self.remember(vec![Change::no_fdb(&id, mac)]).await;
        Ok(())
    }

    async fn overlay(self: &Arc<Self>, reference: &str) -> Result<NetworkRecord, Error> {
        let id = self.find_network(reference).await?;
        let record = self.state().record(&id)?;
        if record.driver != Driver::Overlay {
            let why = "only overlay networks have tunnels";
            return Err(Error::conflict(record.object(), why, "choose an overlay network"));
        }
        Ok(record)
    }

    fn check_vtep(&self, object: &str, vtep: IpAddr) -> Result<(), Error> {
        if vtep.is_unspecified() || vtep.is_multicast() || vtep.is_loopback() {
            return Err(Error::invalid(object, format!("{vtep} cannot be a tunnel's end"), "give a host's address"));
        }
        match self.settings.vtep {
            Some(own) if own == vtep => {
                Err(Error::invalid(object, format!("{vtep} is this host"), "give another host's"))
            }
            Some(own) if own.is_ipv4() != vtep.is_ipv4() => {
                let why = format!("{vtep} is of another family than this host's {own}");
                Err(Error::invalid(object, why, "give an address of the same family"))
            }
            Some(_) => Ok(()),
            None => Err(Error::conflict(object, "this host has no tunnels", "start vswitchd with --advertise")),
        }
    }
}
