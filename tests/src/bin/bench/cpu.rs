//! The CPU time of the whole machine: /proc/stat, in ticks of 10 ms, all CPUs together.

use std::fs;

use anyhow::{Context, Result};

/// Microseconds of a tick.
pub(crate) const TICK: f64 = 10_000.0;

/// Ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// Somebody here ran: a process, or the kernel for it or for a device.
    pub(crate) used: u64,
    /// Somebody here would have run, but the hypervisor had others to run.
    pub(crate) stolen: u64,
    /// Nobody wanted to run.
    pub(crate) idle: u64,
}

/// Now.
pub(crate) fn ticks() -> Result<Ticks> {
    parse(&fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?).context("/proc/stat has no CPU times")
}

/// The first line is the sum of all CPUs.
fn parse(stat: &str) -> Option<Ticks> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let all: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    // The order of proc(5); guest time, fields 9 and 10, is part of user and nice time.
    let [user, nice, system, idle, iowait, irq, softirq, stolen] = *all.as_slice() else { return None };
    Some(Ticks { used: user + nice + system + irq + softirq, stolen, idle: idle + iowait })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_time_is_neither_used_nor_idle() {
        let stat = "cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse(stat), Some(Ticks { used: 7_600_321, stolen: 80_000_000, idle: 54_000 }));
        assert_eq!(parse("cpu  1 2 3\n"), None);
        assert_eq!(parse(""), None);
    }
}
