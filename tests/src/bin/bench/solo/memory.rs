//! Resident memory of the daemon. A figure, not a run: it does not depend on other load.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Lab, Vswitchd};

use super::growth::{Crowd, Flows};
use crate::load::Metric;
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;

const PORTS: u32 = 1_000;
const FLOWS: u32 = 1_000_000;
/// After this time the daemon has done what an attach brings with it.
const SETTLE: Duration = Duration::from_secs(1);
/// The daemon's host must not be called as one of another case.
const HOST: u32 = 8;

/// MiB: empty, with containers attached, with flows in the cache.
pub(crate) fn measure(_: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let daemon = Crowd::daemon(lab, HOST)?;
    let empty = resident(&daemon)?;
    let crowd = Crowd::gather(daemon, PORTS)?;
    let ports = resident(crowd.switch())?;
    drop(crowd);
    let cache = Flows::new(lab, HOST, FLOWS)?;
    let flows = resident(cache.daemon())?;
    let rows =
        [("MiB, empty", empty, 20.0), ("MiB, 1,000 ports", ports, 120.0), ("MiB, 1,000,000 flows", flows, 350.0)];
    let row = |(unit, figure, line)| {
        println!("  {} {unit}", show(figure));
        Row::held(case, Metric::lower(unit), &[figure], line, false)
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

/// VmRSS of proc(5), in MiB, once it has settled.
fn resident(daemon: &Vswitchd) -> Result<f64> {
    thread::sleep(SETTLE);
    let pid = daemon.pid().context("vswitchd does not run")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
