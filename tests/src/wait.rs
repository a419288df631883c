//! Waiting for something to become true, with a deadline and the last reason it was not.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Calls `check` until it succeeds and returns how long that took; after `limit`, its last error. Only pauses count, as they
/// were meant to be: where a busy machine makes each look long, and each pause, there are as many looks as on an idle one,
/// for up to ten times as long.
pub fn until(limit: Duration, what: &str, mut check: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    loop {
        match check() {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if waited > limit || start.elapsed() > limit * 10 => {
                return Err(error).with_context(|| format!("waited {:?} for {what}", start.elapsed()));
            }
            Err(_) => thread::sleep(pause),
        }
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
