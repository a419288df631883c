//! What the daemon costs while nobody sends.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tests::{Lab, Vswitchd};

use crate::load::Metric;
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;
use crate::topology::ours;

const CONTAINERS: usize = 50;
/// What must not be passed, in per cent of a core.
const LINE: f64 = 0.5;
/// The containers' own neighbour discovery and router solicitations must be over: RFC 4861 §6.3.7 sends
/// three, four seconds apart.
const SETTLE: Duration = Duration::from_secs(13);

/// Per cent of a core, of each run.
pub(crate) fn measure(bench: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let host = lab.host("idle1")?;
    let daemon = ours::alone(&host)?;
    let _containers = ours::attach_many(&daemon, CONTAINERS)?;
    println!("  {CONTAINERS} containers are attached; waiting until they are quiet");
    thread::sleep(SETTLE);
    let mut shares = Vec::new();
    let mut busy = false;
    for run in 1..=bench.args.runs {
        let (share, disturbed) = bench.guard.run(|| share(&daemon, bench.args.length()))?;
        busy |= disturbed;
        println!("  run {run} of {}  {} % of a core", bench.args.runs, show(share));
        shares.push(share);
    }
    Ok(Row::held(case, Metric::lower("% of a core"), &shares, LINE, busy).into_iter().collect())
}

fn share(daemon: &Vswitchd, length: Duration) -> Result<f64> {
    let (start, before) = (Instant::now(), daemon.cpu_time()?);
    thread::sleep(length);
    let used = daemon.cpu_time()?.saturating_sub(before);
    Ok(100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64())
}
