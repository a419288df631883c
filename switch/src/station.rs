//! Stations: who is where. One slab for all bridges, so that a cached flow can name the two stations that it depends on
//! by slot and version; whatever changes about a station changes its version, and with it only its own flows.

use vxlan::VtepId;
use wire::{Mac, Time};

use crate::{BridgeId, PortId};

/// Where a station is, in the engine's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spot {
    Port(PortId),
    Tunnel(VtepId),
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The endpoint table.
    Endpoint,
    /// An operator.
    Static,
    /// A frame; forgotten with time.
    Learned,
}

#[derive(Clone, Debug)]
pub(crate) struct Station {
    pub(crate) bridge: BridgeId,
    pub(crate) vlan: u16,
    pub(crate) mac: Mac,
    pub(crate) spot: Spot,
    pub(crate) origin: Origin,
    /// When its last frame was seen, as far as the sweep of the flow cache told.
    pub(crate) seen: Time,
    /// Its index among the learned stations of its spot (`bridge::Learned`).
    pub(crate) rank: u32,
}

/// A station as a flow remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) slot: u32,
    version: u32,
}

impl Stamp {
    /// No station: always current.
    pub(crate) const NONE: Stamp = Stamp { slot: u32::MAX, version: 0 };
}

#[derive(Debug, Default)]
pub(crate) struct Stations {
    slots: Vec<Option<Station>>,
    /// Of each slot. Apart from the stations, because every frame of every flow reads two of them: a hundred thousand fit the
    /// second cache like this.
    versions: Vec<u32>,
    free: Vec<u32>,
    learned: usize,
}

impl Stations {
    pub(crate) fn insert(&mut self, station: Station) -> u32 {
        self.learned += usize::from(station.origin == Origin::Learned);
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(station);
            return slot;
        }
        self.slots.push(Some(station));
        self.versions.push(0);
        (self.slots.len() - 1) as u32
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Station> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Marks a station as seen; its flows stay.
    pub(crate) fn touch(&mut self, slot: u32, now: Time) {
        if let Some(station) = self.get_mut(slot) {
            station.seen = station.seen.max(now);
        }
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Station> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Puts a station elsewhere; its flows are void.
    pub(crate) fn relocate(&mut self, slot: u32, spot: Spot, origin: Origin, now: Time) {
        let Some(station) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        self.learned -= usize::from(station.origin == Origin::Learned);
        self.learned += usize::from(origin == Origin::Learned);
        station.spot = spot;
        station.origin = origin;
        station.seen = now;
        self.renew(slot);
    }

    /// Something else about a station changed than its place: its flows are void.
    pub(crate) fn renew(&mut self, slot: u32) {
        if let Some(version) = self.versions.get_mut(slot as usize) {
            *version = version.wrapping_add(1);
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Station> {
        let gone = self.slots.get_mut(slot as usize)?.take()?;
        self.renew(slot);
        self.learned -= usize::from(gone.origin == Origin::Learned);
        self.free.push(slot);
        Some(gone)
    }

    pub(crate) fn stamp(&self, slot: u32) -> Stamp {
        Stamp { slot, version: self.version(slot).unwrap_or(0) }
    }

    #[inline]
    pub(crate) fn is_current(&self, stamp: Stamp) -> bool {
        stamp == Stamp::NONE || self.version(stamp.slot) == Some(stamp.version)
    }

    /// The version of a slot's station, or of the last one that it had.
    #[inline]
    pub(crate) fn version(&self, slot: u32) -> Option<u32> {
        self.versions.get(slot as usize).copied()
    }

    /// Stations that age.
    pub(crate) fn learned(&self) -> usize {
        self.learned
    }

    /// Slots in use or free: every number below it may be asked for.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(port: u32) -> Station {
        Station {
            bridge: BridgeId(1),
            vlan: 0,
            mac: Mac([2; 6]),
            spot: Spot::Port(PortId(port)),
            origin: Origin::Learned,
            seen: Time::ZERO,
            rank: 0,
        }
    }

    #[test]
    fn stamps_die_with_a_move_or_removal_only() {
        let mut stations = Stations::default();
        let slot = stations.insert(station(1));
        let stamp = stations.stamp(slot);
        stations.touch(slot, Time::from_secs(1));
        assert!(stations.is_current(stamp));
        stations.relocate(slot, Spot::Port(PortId(2)), Origin::Learned, Time::ZERO);
        assert!(!stations.is_current(stamp));
        let stamp = stations.stamp(slot);
        stations.remove(slot);
        assert_eq!(stations.insert(station(3)), slot);
        assert!(!stations.is_current(stamp), "a slot used again is another station");
    }
}
