//! Waiting for something to become true, with a deadline and the last reason it was not.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Calls `check` until it succeeds and returns how long that took; after `limit`, its last error.
pub fn until(limit: Duration, what: &str, mut check: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match check() {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if start.elapsed() > limit => {
                return Err(error).with_context(|| format!("waited {limit:?} for {what}"));
            }
            Err(_) => thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
