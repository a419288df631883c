//! The data thread's end of the uplink: which flows are the switch's, and its sign of life. Never fails: what cannot be
//! written is counted and logged once.

use std::net::IpAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::programs::Programs;
use super::stats::Failures;
use super::tables::{self, Cell, MappingKey, Table};
use crate::Error;

/// A flow through a mapping, as the outside sees it. Of an ICMP echo the local port is the identifier, the remote port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// IP protocol number; ICMP and ICMPv6 for echoes.
    pub protocol: u8,
    /// An address of this host, and the mapping's port.
    pub local: (IpAddr, u16),
    /// The peer outside.
    pub remote: (IpAddr, u16),
}

impl FiveTuple {
    fn key(&self) -> MappingKey {
        tables::mapping_key(self.protocol, self.local, self.remote)
    }
}

/// Steers flows, and keeps the programs from giving up the switch: they do when [`Steering::beat`] was not called for 10
/// seconds.
#[derive(Debug)]
pub struct Steering {
    mappings: Table<MappingKey, u8>,
    beat: Cell<u64>,
    limit: Cell<u32>,
    failures: Failures,
}

impl Steering {
    pub(super) fn new(programs: &mut Programs, failures: Failures) -> Result<Steering, Error> {
        Ok(Steering {
            mappings: programs.table(tables::MAPPINGS)?,
            beat: programs.cell(tables::BEAT)?,
            limit: programs.cell(tables::LIMIT)?,
            failures,
        })
    }

    /// From now on these flows' packets come to the switch. One system call each.
    pub fn insert(&mut self, flows: &[FiveTuple]) {
        for flow in flows {
            let outcome = self.mappings.put(&flow.key(), &1);
            self.judge(outcome);
        }
    }

    /// From now on these flows' packets go to the host. Unknown ones are no failure.
    pub fn remove(&mut self, flows: &[FiveTuple]) {
        for flow in flows {
            let outcome = self.mappings.remove(&flow.key());
            self.judge(outcome);
        }
    }

    /// The switch lives. To be called about once a second.
    pub fn beat(&mut self) {
        // CLOCK_MONOTONIC stands still while the machine sleeps, so that waking up is not taken for a long silence.
        match clock_gettime(ClockId::CLOCK_MONOTONIC) {
            Ok(now) => self.beat_at(Duration::from(now)),
            Err(errno) => self.judge(Err(Error::UplinkTable { table: tables::BEAT, source: errno.into() })),
        }
    }

    /// The switch lived at that time of CLOCK_MONOTONIC.
    pub fn beat_at(&mut self, time: Duration) {
        let outcome = self.beat.set(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.judge(outcome);
    }

    /// At most so many new TCP connections a second to published ports, with bursts of one second's worth; those above
    /// are dropped before they reach the switch. None: no limit.
    pub fn limit_new(&mut self, per_second: Option<u32>) {
        let outcome = self.limit.set(per_second.map_or(0, |limit| limit.max(1)));
        self.judge(outcome);
    }

    fn judge(&self, outcome: Result<(), Error>) {
        if let Err(error) = outcome
            && self.failures.count() == 0
        {
            tracing::warn!("{error}; further such failures are only counted");
        }
    }
}
