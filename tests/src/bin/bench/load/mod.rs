//! What is sent through a topology, and the figures that come of it.

pub(crate) mod bulk;
mod connections;
mod passage;
mod ping_pong;
pub(crate) mod sink;
pub(crate) mod small_frames;
pub(crate) mod spray;

use std::time::Duration;

use anyhow::Result;

pub(crate) use passage::Passage;

use crate::topology::{B, STREAM, Side};

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// A figure's unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

impl Metric {
    pub(crate) const fn higher(unit: &'static str) -> Metric {
        Metric { unit, better: Better::Higher }
    }

    pub(crate) const fn lower(unit: &'static str) -> Metric {
        Metric { unit, better: Better::Lower }
    }
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// As much TCP as goes through.
    Tcp { streams: u32 },
    /// As many UDP frames of 60 bytes as go through, one flow.
    SmallFrames,
    /// The same; and as many of a thousand flows.
    SmallFramesOfMany,
    /// As many UDP frames of 60 bytes as go through, and what all that takes part uses of the CPUs for each: where the source
    /// is the limit, rates are alike.
    SmallFramesAndCost,
    /// One byte there and back, one at a time, over TCP.
    RequestResponse,
}

impl Load {
    /// The figures of a run, in order.
    pub(crate) fn metrics(self) -> &'static [Metric] {
        match self {
            Load::Tcp { .. } => const { &[Metric::higher("Gbit/s")] },
            Load::SmallFrames => const { &[Metric::higher("frames/s")] },
            Load::SmallFramesOfMany => const { &[Metric::higher("frames/s"), Metric::higher("frames/s, 1,000 flows")] },
            Load::SmallFramesAndCost => const { &[Metric::higher("frames/s"), Metric::lower("us CPU/frame")] },
            Load::RequestResponse => const { &[Metric::higher("transactions/s"), Metric::lower("us p50")] },
        }
    }

    /// One run of that length.
    pub(crate) fn run(self, side: &Side, length: Duration) -> Result<Vec<f64>> {
        match self {
            Load::Tcp { streams } => {
                Ok(vec![bulk::run(&side.sender, (B.into(), STREAM), &["-P", &streams.to_string()], length)?])
            }
            Load::SmallFrames => Ok(vec![small_frames::run(side, 1, length)?.rate]),
            Load::SmallFramesAndCost => {
                let passed = small_frames::run(side, 1, length)?;
                Ok(vec![passed.rate, passed.cost])
            }
            Load::SmallFramesOfMany => {
                Ok(vec![small_frames::run(side, 1, length)?.rate, small_frames::run(side, 1_000, length)?.rate])
            }
            Load::RequestResponse => ping_pong::run(side, length).map(|(rate, p50)| vec![rate, p50]),
        }
    }
}
