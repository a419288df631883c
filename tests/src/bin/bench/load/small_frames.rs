//! UDP frames of 60 bytes from the sender to the receiver of a topology.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::Netns;

use super::sink::Sink;
use super::spray::{Spray, Vary};
use crate::cpu::{TICK, ticks};
use crate::topology::{A, B, Side};

/// What came of a run.
pub(crate) struct Passed {
    /// Frames per second that reached the receiver's UDP.
    pub(crate) rate: f64,
    /// Microseconds that the machine's CPUs ran for each of them. Only while frames are sent: who spins without any, before and
    /// after, does not pay for it here. The last frames, on their way when the sender stops, are a few thousandths.
    pub(crate) cost: f64,
}

/// One run with frames of that many flows.
pub(super) fn run(side: &Side, flows: u32, length: Duration) -> Result<Passed> {
    let spray = Spray::between((&side.sender, A), (&side.receiver, B), Vary::Ports, flows)?;
    pass(&spray, &side.sender, &Sink::open(&side.receiver, B, spray.ports())?, length)
}

/// Frames per second of these that reached the sink.
pub(crate) fn rate(spray: &Spray, from: &Netns, sink: &Sink, length: Duration) -> Result<f64> {
    Ok(pass(spray, from, sink, length)?.rate)
}

fn pass(spray: &Spray, from: &Netns, sink: &Sink, length: Duration) -> Result<Passed> {
    let send = || {
        let (start, before) = (Instant::now(), ticks()?.used);
        let sent = spray.send(|| start.elapsed() < length)?;
        Ok((sent, ticks()?.used.saturating_sub(before)))
    };
    let ((sent, used), received) = sink.during(|| from.enter(send))?;
    ensure!(received > 0, "no frame arrived");
    Ok(Passed { rate: received as f64 / sent.took.as_secs_f64(), cost: used as f64 * TICK / received as f64 })
}
