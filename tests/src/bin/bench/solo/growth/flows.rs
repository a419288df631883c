//! Flows between two containers of a real daemon.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{Lab, Place, Station, Vswitchd};

use super::{Path, World};
use crate::load::sink::Sink;
use crate::load::spray::{Spray, Vary};
use crate::topology::{A, B, ours};

/// Attempts to send a frame of each flow and lose no more than one in a thousand.
const PASSES: u32 = 8;

/// A daemon with so many flows in its cache.
pub(crate) struct Flows(Path<(Station, Station, Vswitchd)>);

impl Flows {
    /// Starts it on the host of that number, and makes the flows.
    pub(crate) fn new(lab: &Lab, number: u32, count: u32) -> Result<Flows> {
        let daemon = ours::alone(&lab.host(&format!("flows{number}"))?)?;
        let (a, b) = (ours::attach(&daemon, "a", A)?, ours::attach(&daemon, "b", B)?);
        let from = a.netns()?;
        let spray = Spray::between((&a, A), (&b, B), Vary::Ports, count)?;
        let sink = Sink::open(&b, B, spray.ports())?;
        // A frame that a full queue has cost makes its flow in the next pass.
        let pass = || -> Result<bool> {
            let (sent, received) = sink.during(|| from.enter(|| spray.once()))?;
            Ok(received * 1_000 >= sent.frames * 999)
        };
        let mut all = false;
        for _ in 0..PASSES {
            all = all || pass()?;
        }
        ensure!(all, "{PASSES} times too few of {count} flows got through");
        Ok(Flows(Path { spray, from, sink, alive: (a, b, daemon) }))
    }

    /// The daemon.
    pub(crate) fn daemon(&self) -> &Vswitchd {
        &self.0.alive.2
    }
}

impl World for Flows {
    fn rate(&self, length: Duration) -> Result<f64> {
        self.0.rate(length)
    }
}
