//! What passes between a container and the outside of its host.

use std::time::Duration;

use anyhow::Result;
use tests::{Outside, Place};

use super::{Metric, bulk, connections};
use crate::topology::{CONNECTIONS, Edge, STREAM};

/// A kind of traffic, and which way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Passage {
    /// TCP that the container sends.
    Up,
    /// TCP that the container asked for.
    Down,
    /// TCP that a published port receives.
    Published,
    /// Connections to a published port, as many as can be.
    Connections,
}

impl Passage {
    /// The figures of a run, in order.
    pub(crate) fn metrics(self) -> &'static [Metric] {
        match self {
            Passage::Up | Passage::Down | Passage::Published => const { &[Metric::higher("Gbit/s")] },
            Passage::Connections => const { &[Metric::higher("connections/s")] },
        }
    }

    /// One run of that length.
    pub(crate) fn run(self, edge: &Edge, length: Duration) -> Result<Vec<f64>> {
        let far = (Outside::FAR4, STREAM);
        let published = |port| (edge.host.outer4(), port);
        Ok(vec![match self {
            Passage::Up => bulk::run(&edge.container, far, &[], length)?,
            Passage::Down => bulk::run(&edge.container, far, &["-R"], length)?,
            Passage::Published => bulk::run(&edge.outside.netns()?, published(STREAM), &[], length)?,
            Passage::Connections => connections::run(edge, published(CONNECTIONS).into(), length)?,
        }])
    }
}
