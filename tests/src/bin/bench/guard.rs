//! Waits for an idle machine before a run: what others burn on shared cores would be measured too.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;

/// Over this time the load is taken.
const WINDOW: Duration = Duration::from_millis(200);
/// The load, in per cent of all CPUs, that must not be reached.
const LIMIT: f64 = 3.0;
/// How long idleness is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the guard does about a busy machine.
#[derive(Clone, Copy)]
pub(crate) struct Guard {
    /// Measure anyway.
    pub(crate) force: bool,
}

impl Guard {
    /// Returns when the machine is idle, with `false`; by force at once, with whether it was busy.
    ///
    /// # Errors
    /// The machine was busy for 20 s, or Ctrl-C came.
    pub(crate) fn wait(self) -> Result<bool> {
        let start = Instant::now();
        loop {
            interrupt::check()?;
            let load = load()?;
            if load < LIMIT {
                return Ok(false);
            }
            if self.force {
                return Ok(true);
            }
            if start.elapsed() > PATIENCE {
                bail!(
                    "the machine is busy: others use {load:.0} % of its CPUs, and did for {} s \
                     (end them, or use --force for figures that mean little)",
                    PATIENCE.as_secs()
                );
            }
        }
    }
}

/// Per cent of all CPUs that were not idle during the window.
fn load() -> Result<f64> {
    let (busy, all) = ticks()?;
    thread::sleep(WINDOW);
    let (busy_then, all_then) = ticks()?;
    Ok(100.0 * (busy_then - busy) as f64 / (all_then - all).max(1) as f64)
}

/// Busy and all ticks of all CPUs since boot (proc(5), /proc/stat); stolen ones are busy too.
fn ticks() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    // Guest time, fields 9 and 10, is part of user time.
    let fields: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    let all = fields.iter().sum::<u64>();
    // Idle and iowait.
    let idle = fields.iter().skip(3).take(2).sum::<u64>();
    Ok((all - idle, all))
}
