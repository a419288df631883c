//! What the programs count, added up over the CPUs; and failed writes of this side.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{MapData, PerCpuArray};
use serde::{Deserialize, Serialize};

use super::programs::Programs;
use super::tables;
use crate::Error;

/// Packets by what became of them, since the programs were loaded. A super-frame counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkStats {
    /// Sent to the switch.
    pub steered: u64,
    /// Matched, but left to a socket of the host.
    pub passed_to_socket: u64,
    /// Sent to the link although the switch was silent for over 3 s: lost, unless it still reads.
    pub held: u64,
    /// Matched, but left to the host because the switch was silent for over 10 s.
    pub stale: u64,
    /// New connections to published ports above the limit: dropped.
    pub limited: u64,
    /// Later fragments that followed a first one to the switch.
    pub fragments: u64,
    /// Lost because the kernel had no memory for a link-layer header.
    pub failed: u64,
    /// Those of `steered` and `fragments` that came by AF_XDP.
    pub by_xdp: u64,
    /// Sent out by the host's routes.
    pub departed: u64,
    /// Dropped: the host has no route to leave by.
    pub no_route: u64,
    /// Dropped: longer than the route's MTU.
    pub too_big: u64,
    /// Dropped: not IP, or cut short.
    pub malformed: u64,
    /// Entries that could not be written to the programs' tables.
    pub write_errors: u64,
}

/// Counts failed writes of both threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Arc<AtomicU64>);

impl Failures {
    /// The number before.
    pub(super) fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub(super) struct Counters {
    steered: PerCpuArray<MapData, u64>,
    departed: PerCpuArray<MapData, u64>,
    failures: Failures,
}

impl Counters {
    pub(super) fn new(programs: &mut Programs, failures: Failures) -> Result<Counters, Error> {
        Ok(Counters {
            steered: programs.counters(tables::STEERED)?,
            departed: programs.counters(tables::DEPARTED)?,
            failures,
        })
    }

    pub(super) fn read(&self) -> UplinkStats {
        let steer = |index| sum(&self.steered, index);
        let depart = |index| sum(&self.departed, index);
        // The order of `enum counter` in bpf/maps.h and `enum departure` in bpf/depart.c.
        UplinkStats {
            steered: steer(0),
            passed_to_socket: steer(1),
            held: steer(2),
            stale: steer(3),
            limited: steer(4),
            fragments: steer(5),
            failed: steer(6),
            by_xdp: steer(7),
            departed: depart(0),
            no_route: depart(1),
            too_big: depart(2),
            malformed: depart(3),
            write_errors: self.failures.0.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

fn sum(map: &PerCpuArray<MapData, u64>, index: u32) -> u64 {
    map.get(&index, 0).map_or(0, |cpus| cpus.iter().sum())
}
