//! A bridge: the forwarding table of one network on this host, who hears its floods, and whose addresses are known.

use std::net::IpAddr;

use hashbrown::HashMap;
use vxlan::VtepId;
use wire::{Mac, Time};

use crate::station::{Origin, Spot, Station, Stations};
use crate::{BridgeId, BridgeSettings, PortId};

#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) id: BridgeId,
    pub(crate) settings: BridgeSettings,
    /// MAC address to station slot.
    pub(crate) fdb: HashMap<Mac, u32>,
    /// The endpoint table: whose IP address it is.
    pub(crate) neighbours: HashMap<IpAddr, Mac>,
    pub(crate) ports: Vec<PortId>,
    /// Head-end replication: the hosts that hold endpoints.
    pub(crate) peers: Vec<VtepId>,
    learned: Learned,
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
            settings,
            fdb: HashMap::new(),
            neighbours: HashMap::new(),
            ports: Vec::new(),
            peers: Vec::new(),
            learned: Learned::default(),
        }
    }

    /// Says that `mac` was seen at `spot`. Returns its slot, if it is in the table.
    pub(crate) fn learn(&mut self, stations: &mut Stations, mac: Mac, spot: Spot, now: Time) -> Option<u32> {
        if let Some(&slot) = self.fdb.get(&mac) {
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
        let station = Station { bridge: self.id, mac, spot, origin: Origin::Learned, seen: now, rank: 0 };
        let slot = stations.insert(station);
        self.fdb.insert(mac, slot);
        self.learned.add(stations, slot, spot);
        self.trim(stations, spot, slot);
        self.fdb.get(&mac).copied()
    }

    /// Says on authority where `mac` is.
    pub(crate) fn place(&mut self, stations: &mut Stations, mac: Mac, spot: Spot, origin: Origin, now: Time) {
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
                let slot = stations.insert(Station { bridge: self.id, mac, spot, origin, seen: now, rank: 0 });
                self.fdb.insert(mac, slot);
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
            self.fdb.remove(&gone.mac);
        }
    }

    /// Forgets every station at `spot`, and the addresses of those that were endpoints.
    pub(crate) fn forget_spot(&mut self, stations: &mut Stations, spot: Spot) {
        let there = |slot: &u32| stations.get(*slot).is_some_and(|station| station.spot == spot);
        let slots: Vec<u32> = self.fdb.values().copied().filter(there).collect();
        for slot in slots {
            if let Some(station) = stations.get(slot) {
                let mac = station.mac;
                self.neighbours.retain(|_, owner| *owner != mac);
            }
            self.forget(stations, slot);
        }
    }

    /// Forgets what was only learned behind `spot`.
    pub(crate) fn unlearn_spot(&mut self, stations: &mut Stations, spot: Spot) {
        for slot in self.learned.by_spot.remove(&spot).unwrap_or_default() {
            self.learned.total -= 1;
            if let Some(gone) = stations.remove(slot) {
                self.fdb.remove(&gone.mac);
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
