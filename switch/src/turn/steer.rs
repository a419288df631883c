//! Telling the uplink which packets from outside are the switch's: before the first of a connection leaves, because its
//! answer may be back at once. And that the switch lives, because a silent one is no longer steered to.

use std::time::Duration;

use nat::Tuple;
use port::{FiveTuple, Steering};
use wire::{Time, protocol};

use crate::{Steer, Switch};

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// The data thread's end of the uplink.
pub(super) struct Helm {
    steering: Steering,
    changes: Vec<Steer>,
    flows: Vec<FiveTuple>,
    next: Time,
}

impl Helm {
    pub(super) fn new(steering: Steering) -> Helm {
        Helm { steering, changes: Vec::new(), flows: Vec::new(), next: Time::ZERO }
    }

    /// When it wants to be called again.
    pub(super) fn next_beat(&self) -> Time {
        self.next
    }

    pub(super) fn beat(&mut self, now: Time) {
        if now >= self.next {
            self.next = now + BEAT;
            self.steering.beat();
        }
    }

    /// Says what began and ended, in order: what began may have the ends of what ended.
    pub(super) fn steer(&mut self, switch: &mut Switch) {
        switch.take_steering(&mut self.changes);
        let same = |a: &Steer, b: &Steer| matches!(a, Steer::Opened(_)) == matches!(b, Steer::Opened(_));
        for run in self.changes.chunk_by(same) {
            self.flows.clear();
            self.flows.extend(run.iter().map(|change| match change {
                Steer::Opened(tuple) | Steer::Ended(tuple) => flow(tuple),
            }));
            match run.first() {
                Some(Steer::Opened(_)) => self.steering.insert(&self.flows),
                _ => self.steering.remove(&self.flows),
            }
        }
        self.changes.clear();
    }
}

/// A tuple as it arrives from outside, in the uplink's words. Where an identifier takes a port's place, the other port of
/// the tuple is the type of the query, which an answer does not have.
fn flow(tuple: &Tuple) -> FiveTuple {
    let icmp = matches!(tuple.protocol, protocol::ICMP | protocol::ICMPV6);
    let remote_port = if icmp { 0 } else { tuple.src_port };
    FiveTuple {
        protocol: tuple.protocol,
        local: (tuple.dst.ip(), tuple.dst_port),
        remote: (tuple.src.ip(), remote_port),
    }
}
