//! Telling the uplink which packets from outside are the switch's: before the first of a connection leaves, because its
//! answer may be back at once. And that the switch lives, because a silent one is no longer steered to.

use std::time::Duration;

use nat::Tuple;
use port::{FiveTuple, Steering};
use wire::{Time, protocol};

use crate::{Steer, Switch};

/// Time between two signs of life: two may be late before the programs give the switch up (10 s).
const BEAT: Duration = Duration::from_secs(3);

/// Connections that have only begun above which new ones from outside are limited, and below which they no longer are. A
/// busy server has some hundreds.
const HALF_OPEN: (u32, u32) = (16_384, 8_192);
/// New connections a second from outside while they are limited: what is dropped before it is here costs nobody anything.
const LIMITED: u32 = 5_000;

/// Ended connections of one round: half a millisecond of system calls.
const ENDED: usize = 1_024;

/// The data thread's end of the uplink.
pub(super) struct Helm {
    steering: Steering,
    changes: Vec<Steer>,
    flows: Vec<FiveTuple>,
    next: Time,
    limited: bool,
}

impl Helm {
    pub(super) fn new(steering: Steering) -> Helm {
        Helm { steering, changes: Vec::new(), flows: Vec::new(), next: Time::ZERO, limited: false }
    }

    /// When it wants to be called again.
    pub(super) fn next_beat(&self) -> Time {
        if self.changes.is_empty() { self.next } else { Time::ZERO }
    }

    pub(super) fn beat(&mut self, now: Time) {
        if now >= self.next {
            self.next = now + BEAT;
            self.steering.beat();
        }
    }

    /// Says what began and ended, in order: what began may have the ends of what ended.
    pub(super) fn steer(&mut self, switch: &mut Switch) {
        self.limit(switch.tracker().half_open());
        switch.take_steering(&mut self.changes);
        let same = |a: &Steer, b: &Steer| matches!(a, Steer::Opened(_)) == matches!(b, Steer::Opened(_));
        // What ends may wait; what begins may not, nor anything before it.
        let begun =
            self.changes.iter().rposition(|change| matches!(change, Steer::Opened(_))).map_or(0, |last| last + 1);
        let now = begun.max(self.changes.len().min(ENDED));
        for run in self.changes[..now].chunk_by(same) {
            self.flows.clear();
            self.flows.extend(run.iter().map(|change| match change {
                Steer::Opened(tuple) | Steer::Ended(tuple) => flow(tuple),
            }));
            match run.first() {
                Some(Steer::Opened(_)) => self.steering.insert(&self.flows),
                _ => self.steering.remove(&self.flows),
            }
        }
        self.changes.drain(..now);
    }

    fn limit(&mut self, half_open: u32) {
        let (high, low) = HALF_OPEN;
        let limited = half_open > if self.limited { low } else { high };
        if limited != self.limited {
            self.limited = limited;
            self.steering.limit_new(limited.then_some(LIMITED));
            match limited {
                true => {
                    tracing::warn!(half_open, "many connections have only begun: new ones from outside are limited")
                }
                false => tracing::info!(half_open, "new connections from outside are no longer limited"),
            }
        }
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
