//! Runs on an idle machine only: what others burn on shared cores would be measured too.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{cpu, interrupt, others};

/// Before a run, the load is taken over this time.
const WINDOW: Duration = Duration::from_millis(200);
/// The load, in per cent of all CPUs, that others must not reach.
const LIMIT: f64 = 3.0;
/// How long idleness is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// A run that others disturbed is made again this often.
const TRIES: u32 = 3;

/// What to do about a busy machine.
#[derive(Clone, Copy)]
pub(crate) struct Guard {
    /// Measure anyway.
    pub(crate) force: bool,
}

impl Guard {
    /// Makes one run that nobody disturbed, and says `false`; by force, also one that was, and says `true`.
    ///
    /// # Errors
    /// The machine is busy, Ctrl-C came, or the run failed.
    pub(crate) fn run<T>(self, mut work: impl FnMut() -> Result<T>) -> Result<(T, bool)> {
        for attempt in 1.. {
            let busy = self.wait()?;
            let (start, before) = (Instant::now(), disturbance()?);
            let outcome = work();
            interrupt::check()?;
            let outcome = outcome?;
            let load = percent(disturbance()?.saturating_sub(before), start.elapsed())?;
            if load < LIMIT || self.force {
                return Ok((outcome, busy || load >= LIMIT));
            }
            if attempt == TRIES {
                bail!(
                    "others, or the hypervisor, took {load:.0} % of the CPUs during each of {TRIES} tries (end them, or use --force)"
                );
            }
            println!("  again: others, or the hypervisor, took {load:.0} % of the CPUs meanwhile");
        }
        bail!("no run was made")
    }

    /// Returns when the machine is idle; by force at once, with whether it is busy.
    fn wait(self) -> Result<bool> {
        let start = Instant::now();
        loop {
            interrupt::check()?;
            let load = load()?;
            if load < LIMIT || self.force {
                return Ok(load >= LIMIT);
            }
            if start.elapsed() > PATIENCE {
                bail!(
                    "the machine is busy: {load:.0} % of its CPUs, and {} s of waiting did not help \
                     (end what runs, or use --force for figures that mean little)",
                    PATIENCE.as_secs()
                );
            }
        }
    }
}

/// Ticks of 10 ms that were not the bench's to use: other processes had them, or the hypervisor gave them to somebody else.
fn disturbance() -> Result<u64> {
    Ok(others::ticks()? + cpu::ticks()?.stolen)
}

/// Ticks of 10 ms as a share of all CPUs.
fn percent(ticks: u64, time: Duration) -> Result<f64> {
    let cpus = thread::available_parallelism()?.get();
    Ok(ticks as f64 / (time.as_secs_f64() * cpus as f64))
}

/// Per cent of all CPUs that were not idle during the window.
fn load() -> Result<f64> {
    let before = cpu::ticks()?;
    thread::sleep(WINDOW);
    let after = cpu::ticks()?;
    let busy = (after.used + after.stolen).saturating_sub(before.used + before.stolen);
    let idle = after.idle.saturating_sub(before.idle);
    Ok(100.0 * busy as f64 / (busy + idle).max(1) as f64)
}
