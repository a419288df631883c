//! What a table's size costs: frames of 60 bytes past a table with few entries, next to the same frames past one with many.
//! A world for each size exists all the time, and they take turns.

mod bare;
mod crowd;
mod flows;
mod tables;

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Lab, Netns};

use crate::load::sink::Sink;
use crate::load::spray::Spray;
use crate::load::{Metric, small_frames};
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;

pub(crate) use crowd::{Crowd, Force, Pair, blast};
pub(crate) use flows::Flows;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Stations of the forwarding table; all of them send.
    Fdb,
    /// Networks; frames are in one of them.
    Networks,
    /// Hosts with a part in the network; frames go to one of them.
    Peers,
    /// Flows in the cache, all in use.
    Flows,
    /// Attached ports; ten of them are in use.
    Ports,
}

/// A size that is measured: the figure's name, and the least share of the smallest size's rate.
struct Size {
    entries: u32,
    unit: &'static str,
    bound: f64,
}

impl Table {
    /// The smallest size, which the others are held against.
    fn least(self) -> (u32, &'static str) {
        match self {
            Table::Fdb => (10, "10 stations"),
            Table::Networks => (10, "10 networks"),
            Table::Peers => (10, "10 peers"),
            Table::Flows => (10, "10 flows"),
            Table::Ports => (10, "10 ports"),
        }
    }

    fn sizes(self) -> &'static [Size] {
        const fn size(entries: u32, unit: &'static str, bound: f64) -> Size {
            Size { entries, unit, bound }
        }
        match self {
            Table::Fdb => {
                const { &[size(1_000, "frames/s, 1,000 stations", 0.9), size(100_000, "frames/s, 100,000 stations", 0.9)] }
            }
            Table::Networks => {
                const { &[size(1_000, "frames/s, 1,000 networks", 0.9), size(100_000, "frames/s, 100,000 networks", 0.9)] }
            }
            Table::Peers => {
                const { &[size(1_000, "frames/s, 1,000 peers", 0.9), size(100_000, "frames/s, 100,000 peers", 0.9)] }
            }
            Table::Flows => {
                const {
                    &[
                        size(1_000, "frames/s, 1,000 flows", 0.9),
                        size(100_000, "frames/s, 100,000 flows", 0.9),
                        size(1_000_000, "frames/s, 1,000,000 flows", 0.75),
                    ]
                }
            }
            Table::Ports => const { &[size(1_000, "frames/s, 1,000 ports", 0.95)] },
        }
    }

    fn world(self, lab: &Lab, entries: u32) -> Result<Box<dyn World>> {
        Ok(match self {
            Table::Fdb => Box::new(tables::stations(entries)?),
            Table::Networks => Box::new(tables::networks(entries)?),
            Table::Peers => Box::new(tables::peers(entries)?),
            Table::Flows => Box::new(Flows::new(lab, entries.ilog10(), entries)?),
            Table::Ports => Box::new(Crowd::gather(Crowd::daemon(lab, entries.ilog10())?, entries)?),
        })
    }
}

/// A table of some size, and frames that pass it.
trait World {
    /// Frames per second that arrive.
    fn rate(&self, length: Duration) -> Result<f64>;
}

/// One sender, one receiver, and what they need to live.
struct Path<T> {
    spray: Spray,
    from: Netns,
    sink: Sink,
    alive: T,
}

impl<T> World for Path<T> {
    fn rate(&self, length: Duration) -> Result<f64> {
        small_frames::rate(&self.spray, &self.from, &self.sink, length)
    }
}

/// A row for each size but the smallest, which is the peer.
pub(crate) fn measure(bench: &Bench, lab: &Lab, case: &'static str, table: Table) -> Result<Vec<Row>> {
    let (least, peer) = table.least();
    let sizes: Vec<u32> = std::iter::once(least).chain(table.sizes().iter().map(|size| size.entries)).collect();
    let world = |entries: &u32| {
        crate::interrupt::check()?;
        table.world(lab, *entries).with_context(|| format!("{entries} entries"))
    };
    let worlds = sizes.iter().map(world).collect::<Result<Vec<_>>>()?;
    let mut figures = vec![Vec::new(); sizes.len()];
    let mut busy = false;
    for run in 1..=bench.args.runs {
        for ((entries, world), all) in sizes.iter().zip(&worlds).zip(&mut figures) {
            let (rate, disturbed) = bench.guard.run(|| world.rate(bench.args.length()))?;
            busy |= disturbed;
            println!("  run {run} of {}  {entries}: {} frames/s", bench.args.runs, show(rate));
            all.push(rate);
        }
    }
    let (small, large) = figures.split_first().context("nothing was measured")?;
    let rows = table.sizes().iter().zip(large).filter_map(|(size, figures)| {
        let row = Row::compared(case, peer, Metric::higher(size.unit), figures, small, busy)?;
        Some(row.at_least(size.bound).of_entries(size.entries))
    });
    Ok(rows.collect())
}
