//! A bridge: the forwarding table of one network on this host, who hears its floods, and whose addresses are known.

use std::net::IpAddr;

use hashbrown::HashMap;
use vxlan::VtepId;
use wire::{FlowKey, Mac, Time};

use crate::fdb::Fdb;
use crate::station::{Origin, Spot, Station, Stations};
use crate::vlan::{UNTAGGED, Vlans};
use crate::{BridgeId, BridgeSettings, PortId, VlanMode};

#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) id: BridgeId,
    pub(crate) settings: BridgeSettings,
    pub(crate) fdb: Fdb,
    pub(crate) vlans: Vlans,
    /// The endpoint table. An operator's static entry may put the station elsewhere; this is what it falls back to.
    endpoints: HashMap<Mac, Endpoint>,
    /// Whose IP address it is, from the endpoint table.
    pub(crate) neighbours: HashMap<IpAddr, Mac>,
    pub(crate) ports: Vec<PortId>,
    /// Head-end replication: the hosts that hold endpoints.
    pub(crate) peers: Vec<VtepId>,
    learned: Learned,
    pub(crate) names: dns::Names,
    /// Addresses that lost their owner; whoever cares takes them out.
    pub(crate) ended: Vec<IpAddr>,
}

#[derive(Debug)]
struct Endpoint {
    spot: Spot,
    addresses: Vec<IpAddr>,
}

/// Learned stations by where they are, for limits and fair eviction: a place that is over its limit loses its own.
#[derive(Debug, Default)]
struct Learned {
    by_spot: HashMap<Spot, Vec<u32>>,
    total: usize,
    hand: usize,
}

/// Entries that are compared when one has to go; the least recently seen of them goes.
const SAMPLE: usize = 8;

impl Bridge {
    pub(crate) fn new(id: BridgeId, settings: BridgeSettings) -> Bridge {
        Bridge {
            id,
            names: dns::Names::new(&settings.name),
            settings,
            fdb: Fdb::default(),
            vlans: Vlans::default(),
            endpoints: HashMap::new(),
            neighbours: HashMap::new(),
            ports: Vec::new(),
            peers: Vec::new(),
            learned: Learned::default(),
            ended: Vec::new(),
        }
    }

    /// Takes new settings. The gateway's addresses are answered for like an endpoint's.
    pub(crate) fn set(&mut self, settings: BridgeSettings) {
        if let Some(old) = &self.settings.gateway {
            let owned = old.addresses.iter().map(|subnet| subnet.addr());
            owned.filter(|address| self.neighbours.get(address) == Some(&old.mac)).collect::<Vec<_>>().iter().for_each(
                |address| {
                    self.neighbours.remove(address);
                },
            );
        }
        if let Some(new) = &settings.gateway {
            self.neighbours.extend(new.addresses.iter().map(|subnet| (subnet.addr(), new.mac)));
        }
        self.settings = settings;
    }

    /// Says that `mac` was seen at `spot` in a VLAN. Returns its slot, if it is in the table.
    pub(crate) fn learn(
        &mut self,
        stations: &mut Stations,
        (vlan, mac): (u16, Mac),
        spot: Spot,
        now: Time,
    ) -> Option<u32> {
        if let Some(&slot) = self.fdb.find(vlan, mac) {
            let station = stations.get(slot)?;
            if station.origin == Origin::Learned && station.spot != spot {
                self.learned.remove(stations, slot);
                stations.relocate(slot, spot, Origin::Learned, now);
                self.learned.add(stations, slot, spot);
                self.trim(stations, spot, slot);
            } else {
                stations.touch(slot, now);
            }
            return Some(slot);
        }
        let station = Station { bridge: self.id, vlan, mac, spot, origin: Origin::Learned, seen: now, rank: 0 };
        let slot = stations.insert(station);
        self.fdb.insert(vlan, mac, slot);
        self.learned.add(stations, slot, spot);
        self.trim(stations, spot, slot);
        self.fdb.find(vlan, mac).copied()
    }

    /// Takes an endpoint's row: where it is, and its addresses.
    pub(crate) fn set_endpoint(
        &mut self,
        stations: &mut Stations,
        mac: Mac,
        spot: Spot,
        addresses: Vec<IpAddr>,
        now: Time,
    ) {
        let kept = self.ended.len();
        let stays = self.endpoints.get(&mac).is_some_and(|old| old.spot == spot);
        self.disown(mac);
        for address in &addresses {
            // What it had before and still has did not end, unless it went elsewhere; what another one had did.
            match self.ended[kept..].iter().position(|ended| ended == address) {
                Some(at) if stays => drop(self.ended.remove(kept + at)),
                Some(_) => {}
                None => {
                    if let Some(other) = self.neighbours.get(address) {
                        self.renew(stations, *other);
                        self.ended.push(*address);
                    }
                }
            }
            self.neighbours.insert(*address, mac);
        }
        if self.ended.len() > kept {
            self.renew(stations, mac);
        }
        self.endpoints.insert(mac, Endpoint { spot, addresses });
        if self.origin(stations, mac) != Some(Origin::Static) {
            self.place(stations, mac, spot, Origin::Endpoint, now);
        }
    }

    /// Drops an endpoint's row, if it says that the endpoint is at `spot`.
    pub(crate) fn remove_endpoint(&mut self, stations: &mut Stations, mac: Mac, spot: Spot) {
        if self.endpoints.get(&mac).is_none_or(|endpoint| endpoint.spot != spot) {
            return;
        }
        self.disown(mac);
        self.renew(stations, mac);
        if self.origin(stations, mac) == Some(Origin::Endpoint)
            && let Some(&slot) = self.fdb.get(&mac)
        {
            self.forget(stations, slot);
        }
    }

    /// Takes an operator's entry. It goes before an endpoint's row.
    pub(crate) fn set_static(&mut self, stations: &mut Stations, mac: Mac, spot: Spot, now: Time) {
        self.place(stations, mac, spot, Origin::Static, now);
    }

    /// Drops an operator's entry; an endpoint's row applies again.
    pub(crate) fn remove_static(&mut self, stations: &mut Stations, mac: Mac, now: Time) {
        if self.origin(stations, mac) != Some(Origin::Static) {
            return;
        }
        let endpoint = self.endpoints.get(&mac).map(|endpoint| endpoint.spot);
        match (endpoint, self.fdb.get(&mac)) {
            (Some(spot), _) => self.place(stations, mac, spot, Origin::Endpoint, now),
            (None, Some(&slot)) => self.forget(stations, slot),
            (None, None) => {}
        }
    }

    fn origin(&self, stations: &Stations, mac: Mac) -> Option<Origin> {
        stations.get(*self.fdb.get(&mac)?).map(|station| station.origin)
    }

    /// Voids the cached flows of a station: the gateway routed some of them by its addresses.
    pub(crate) fn renew(&self, stations: &mut Stations, mac: Mac) {
        if let Some(slot) = self.fdb.get(&mac) {
            stations.renew(*slot);
        }
    }

    /// Drops an endpoint's row and its addresses, but for those that another one has claimed since.
    fn disown(&mut self, mac: Mac) {
        let Some(endpoint) = self.endpoints.remove(&mac) else { return };
        for address in endpoint.addresses {
            if self.neighbours.get(&address) == Some(&mac) {
                self.neighbours.remove(&address);
                // Another host's endpoint has no connections here; to look for some would cost a walk over all.
                if matches!(endpoint.spot, Spot::Port(_)) {
                    self.ended.push(address);
                }
            }
        }
    }

    /// Says on authority where `mac` is.
    fn place(&mut self, stations: &mut Stations, mac: Mac, spot: Spot, origin: Origin, now: Time) {
        let vlan = self.untagged_at(spot);
        if vlan != self.fdb.home(mac)
            && let Some(&slot) = self.fdb.get(&mac)
            && stations.get(slot).is_some_and(|station| station.origin != Origin::Learned)
        {
            self.forget(stations, slot);
        }
        self.fdb.set_home(mac, vlan);
        match self.fdb.get(&mac) {
            Some(&slot) => {
                let Some(old) = stations.get(slot) else { return };
                if old.origin == Origin::Learned {
                    self.learned.remove(stations, slot);
                } else if old.spot == spot && old.origin == origin {
                    return;
                }
                stations.relocate(slot, spot, origin, now);
            }
            None => {
                let slot = stations.insert(Station { bridge: self.id, vlan, mac, spot, origin, seen: now, rank: 0 });
                self.fdb.insert(vlan, mac, slot);
            }
        }
    }

    /// Forgets the station in `slot`.
    pub(crate) fn forget(&mut self, stations: &mut Stations, slot: u32) {
        let Some(station) = stations.get(slot) else { return };
        if station.origin == Origin::Learned {
            self.learned.remove(stations, slot);
        }
        if let Some(gone) = stations.remove(slot) {
            self.fdb.remove(gone.vlan, gone.mac);
            if gone.origin != Origin::Learned {
                self.fdb.set_home(gone.mac, UNTAGGED);
            }
        }
    }

    /// Says what a port has to do with VLANs. What was learned behind it is forgotten, what is known moves along.
    pub(crate) fn set_vlan(&mut self, stations: &mut Stations, port: PortId, mode: VlanMode, now: Time) {
        let spot = Spot::Port(port);
        self.unlearn_spot(stations, spot);
        self.vlans.set(port, mode);
        let there = self.fdb.values().filter_map(|slot| stations.get(*slot)).filter(|station| station.spot == spot);
        let known: Vec<(Mac, Origin)> = there.map(|station| (station.mac, station.origin)).collect();
        for (mac, origin) in known {
            self.place(stations, mac, spot, origin, now);
        }
    }

    /// The VLAN of frames without a tag.
    fn untagged_at(&self, spot: Spot) -> u16 {
        match spot {
            Spot::Port(port) => self.vlans.untagged_of(port),
            Spot::Tunnel(_) => UNTAGGED,
        }
    }

    /// The station that sent a frame by a port, if it is in the table.
    pub(crate) fn sender(&self, from: PortId, key: &FlowKey) -> Option<u32> {
        let vlan = self.vlans.enter(from, key).ok()?;
        self.fdb.find(vlan, key.src_mac()).copied()
    }

    /// Whether it is the gateway's address.
    pub(crate) fn is_gateway(&self, mac: Mac) -> bool {
        self.settings.gateway.as_ref().is_some_and(|gateway| gateway.mac == mac)
    }

    /// Forgets every station at `spot`, and the endpoints there with their addresses.
    pub(crate) fn forget_spot(&mut self, stations: &mut Stations, spot: Spot) {
        let endpoints = self.endpoints.iter().filter(|(_, endpoint)| endpoint.spot == spot);
        for mac in endpoints.map(|(mac, _)| *mac).collect::<Vec<Mac>>() {
            self.remove_endpoint(stations, mac, spot);
        }
        let there = |slot: &u32| stations.get(*slot).is_some_and(|station| station.spot == spot);
        for slot in self.fdb.values().copied().filter(there).collect::<Vec<u32>>() {
            self.forget(stations, slot);
        }
    }

    /// Forgets what was only learned behind `spot`.
    pub(crate) fn unlearn_spot(&mut self, stations: &mut Stations, spot: Spot) {
        for slot in self.learned.by_spot.remove(&spot).unwrap_or_default() {
            self.learned.total -= 1;
            if let Some(gone) = stations.remove(slot) {
                self.fdb.remove(gone.vlan, gone.mac);
            }
        }
    }

    fn trim(&mut self, stations: &mut Stations, spot: Spot, newest: u32) {
        if self.learned.count(spot) > self.settings.place_limit {
            self.evict(stations, spot, newest);
        }
        if self.learned.total > self.settings.station_limit
            && let Some(fullest) = self.learned.fullest()
        {
            self.evict(stations, fullest, newest);
        }
    }

    fn evict(&mut self, stations: &mut Stations, spot: Spot, newest: u32) {
        if let Some(slot) = self.learned.victim(stations, spot, newest) {
            self.forget(stations, slot);
        }
    }
}

impl Learned {
    fn add(&mut self, stations: &mut Stations, slot: u32, spot: Spot) {
        let slots = self.by_spot.entry(spot).or_default();
        if let Some(station) = stations.get_mut(slot) {
            station.rank = slots.len() as u32;
            slots.push(slot);
            self.total += 1;
        }
    }

    fn remove(&mut self, stations: &mut Stations, slot: u32) {
        let Some(&Station { spot, rank, .. }) = stations.get(slot) else { return };
        let Some(slots) = self.by_spot.get_mut(&spot) else { return };
        if slots.get(rank as usize) != Some(&slot) {
            return;
        }
        slots.swap_remove(rank as usize);
        self.total -= 1;
        if let Some(moved) = slots.get(rank as usize).and_then(|&moved| stations.get_mut(moved)) {
            moved.rank = rank;
        }
        if slots.is_empty() {
            self.by_spot.remove(&spot);
        }
    }

    fn count(&self, spot: Spot) -> usize {
        self.by_spot.get(&spot).map_or(0, Vec::len)
    }

    fn fullest(&self) -> Option<Spot> {
        self.by_spot.iter().max_by_key(|(_, slots)| slots.len()).map(|(spot, _)| *spot)
    }

    fn victim(&mut self, stations: &Stations, spot: Spot, newest: u32) -> Option<u32> {
        let slots = self.by_spot.get(&spot)?;
        self.hand = self.hand.wrapping_add(SAMPLE);
        (0..SAMPLE.min(slots.len()))
            .map(|step| slots[self.hand.wrapping_add(step) % slots.len()])
            .filter(|slot| *slot != newest)
            .min_by_key(|slot| stations.get(*slot).map(|station| station.seen))
    }
}
