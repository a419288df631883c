//! Ageing: a sweep that looks at a slice of each table per call, so that no turn is long. Small tables are one slice: an
//! idle switch is woken seldom.

use std::time::Duration;

use wire::Time;

use crate::Switch;
use crate::station::Origin;

/// A flow without frames for this long leaves the cache.
const FLOW_IDLE: Duration = Duration::from_secs(30);
/// Time in which a whole table is seen.
const ROUND: Duration = Duration::from_secs(10);
/// Most calls that it takes.
const SLICES: u32 = 10;
/// Smallest slice, in slots.
const MIN_SLICE: u32 = 1_024;

/// Where the sweep is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    flow: u32,
    station: u32,
    next: Time,
}

impl Switch {
    /// When [`Switch::maintain`] wants to be called next; `None` while nothing ages.
    pub fn next_deadline(&self) -> Option<Time> {
        let ageing = (self.flows.len() > 0 || self.stations.learned() > 0).then_some(self.sweep.next);
        ageing.into_iter().chain(self.router_deadline()).min()
    }

    /// Ages a slice of the tables.
    pub fn maintain(&mut self, now: Time) {
        self.maintain_router(now);
        if now < self.sweep.next {
            return;
        }
        let slots = self.flows.slots().max(self.stations.slots() as u32);
        self.sweep.next = now + ROUND / slots.div_ceil(slice(slots).max(1)).max(1);
        self.age_flows(now);
        self.age_stations(now);
    }

    fn age_flows(&mut self, now: Time) {
        let slots = self.flows.slots();
        self.flows.settle(MIN_SLICE);
        for _ in 0..slice(slots) {
            self.sweep.flow = if self.sweep.flow >= slots { 0 } else { self.sweep.flow };
            let at = self.sweep.flow;
            self.sweep.flow += 1;
            let Some(flow) = self.flows.get(at) else { continue };
            let current =
                flow.epoch == self.epoch && self.stations.is_current(flow.src) && self.stations.is_current(flow.dst);
            if current {
                self.stations.touch(flow.src.slot, flow.used());
            }
            if !current || now.since(flow.used()) > FLOW_IDLE {
                self.flows.remove(at);
            }
        }
    }

    fn age_stations(&mut self, now: Time) {
        let slots = self.stations.slots() as u32;
        for _ in 0..slice(slots) {
            self.sweep.station = if self.sweep.station >= slots { 0 } else { self.sweep.station };
            let slot = self.sweep.station;
            self.sweep.station += 1;
            let Some(station) = self.stations.get(slot).filter(|station| station.origin == Origin::Learned) else {
                continue;
            };
            let (bridge, seen) = (station.bridge, station.seen);
            if let Some(bridge) = self.bridges.get_mut(&bridge)
                && now.since(seen) > bridge.settings.ageing
            {
                bridge.forget(&mut self.stations, slot);
            }
        }
    }
}

fn slice(slots: u32) -> u32 {
    slots.div_ceil(SLICES).max(MIN_SLICE).min(slots)
}
