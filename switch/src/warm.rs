//! Bringing what a batch will need into the cache, all at once. Tables of a million entries lie in memory, several dependent
//! steps of some 200 ns away; for one frame after the other that is waited for, for a batch the waits overlap. Nothing here
//! changes anything, and small tables do without.

use std::hint::black_box;

use nat::Zone;
use wire::{Frame, Headers, parse};

use crate::flow::Flow;
use crate::gateway::{Change, zone_of};
use crate::{PortId, Switch};

/// Flows and connections from which on it pays: below, they are in the cache anyway.
const LARGE: usize = 16_384;
/// Frames from which on it pays.
const FEW: usize = 4;

impl Switch {
    pub(crate) fn warm(&self, from: PortId, batch: &[Frame]) {
        let connections = self.router.tracker.connections() as usize;
        if batch.len() >= FEW && self.flows.len() + connections >= LARGE {
            self.fetch(from, batch);
        }
    }

    /// Apart, so that the way of a frame past small tables stays short.
    #[inline(never)]
    fn fetch(&self, from: PortId, batch: &[Frame]) {
        let of_port = |frame: &Frame| {
            let mut headers = parse(frame.bytes()).ok()?;
            headers.key.set_ingress(u64::from(from.0));
            Some(headers)
        };
        let headers: Vec<Headers> = batch.iter().filter_map(of_port).collect();
        let slots: Vec<u32> = headers.iter().map(|headers| self.flows.guess(&headers.key)).collect();
        let flows = slots.iter().filter_map(|&at| self.flows.get(at));
        // Step by step for all of them: the shorter what is done for one, the more of them overlap.
        black_box(flows.clone().map(Flow::touch).fold(0, u64::wrapping_add));
        // Those at the other end are few.
        black_box(flows.clone().filter_map(|flow| self.stations.version(flow.src.slot)).fold(0, u32::wrapping_add));
        let changes = flows.filter_map(|flow| flow.change.as_deref());
        black_box(changes.clone().map(Change::touch).fold(0, u32::wrapping_add));
        self.router.tracker.warm_known(changes.filter_map(|change| change.conn).map(|(conn, _)| conn));
        let unknown = headers.iter().zip(&slots).filter(|(_, at)| self.flows.get(**at).is_none());
        let zone = match from {
            PortId::HOST => Zone::OUTSIDE,
            _ => match self.ports.get(&from) {
                Some(port) => zone_of(port.settings.bridge),
                None => return,
            },
        };
        self.router.tracker.warm(unknown.map(|(headers, _)| (zone, headers)));
    }
}
