//! UDP frames of 60 bytes from the sender to the receiver of a topology.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::Netns;

use super::sink::Sink;
use super::spray::{Spray, Vary};
use crate::topology::{A, B, Side};

/// Frames per second that reached the receiver's UDP, of that many flows.
pub(super) fn run(side: &Side, flows: u32, length: Duration) -> Result<f64> {
    let spray = Spray::between((&side.sender, A), (&side.receiver, B), Vary::Ports, flows)?;
    rate(&spray, &side.sender, &Sink::open(&side.receiver, B, spray.ports())?, length)
}

/// Frames per second of these that reached the sink.
pub(crate) fn rate(spray: &Spray, from: &Netns, sink: &Sink, length: Duration) -> Result<f64> {
    let start = Instant::now();
    let (sent, received) = sink.during(|| from.enter(|| spray.send(|| start.elapsed() < length)))?;
    Ok(received as f64 / sent.took.as_secs_f64())
}
