//! Resident memory of the daemon. A figure, not a run: it does not depend on other load.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Lab, Vswitchd};

use crate::load::Metric;
use crate::measure::Bench;
use crate::report::{Row, show};
use crate::topology::ours;

const PORTS: usize = 200;
/// After this time the daemon has done what an attach brings with it.
const SETTLE: Duration = Duration::from_secs(1);

/// MiB: empty, and with containers attached.
pub(crate) fn measure(_: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let host = lab.host("memory1")?;
    let daemon = ours::alone(&host)?;
    thread::sleep(SETTLE);
    let empty = resident(&daemon)?;
    println!("  empty      {} MiB", show(empty));
    let _containers = ours::attach_many(&daemon, PORTS)?;
    thread::sleep(SETTLE);
    let full = resident(&daemon)?;
    println!("  {PORTS} ports  {} MiB", show(full));
    let rows = [("MiB, empty", empty), ("MiB, 200 ports", full)];
    Ok(rows.into_iter().filter_map(|(unit, figure)| Row::alone(case, Metric::lower(unit), &[figure], false)).collect())
}

/// VmRSS of proc(5), in MiB.
fn resident(daemon: &Vswitchd) -> Result<f64> {
    let pid = daemon.pid().context("vswitchd does not run")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
