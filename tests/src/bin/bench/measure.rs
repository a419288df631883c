//! Runs cases: every run waits for an idle machine, the sides of a comparison take turns.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::Lab;

use crate::args::Args;
use crate::cases::{Case, Kind};
use crate::guard::Guard;
use crate::load::Metric;
use crate::peer::Peer;
use crate::report::{Report, show};
use crate::row::Row;
use crate::topology::Contest;
use crate::worlds::{Sides, Who, Worlds, everyone};
use crate::{interrupt, solo};

/// How to measure; the same for all cases.
pub(crate) struct Bench<'a> {
    pub(crate) args: &'a Args,
    pub(crate) guard: Guard,
}

/// Measures the cases in order, until Ctrl-C. One that cannot be measured is noted, and the next one tried.
pub(crate) fn all(lab: &Lab, args: &Args, report: &mut Report) -> Result<()> {
    let bench = Bench { args, guard: Guard { force: args.force } };
    let mut worlds = Worlds::new(lab);
    for (number, case) in args.cases.iter().enumerate() {
        if interrupt::came() {
            break;
        }
        println!("{}: {}", case.name, case.about);
        match one(&bench, lab, &mut worlds, case) {
            Ok(rows) => report.add(rows)?,
            Err(_) if interrupt::came() => break,
            Err(error) => {
                println!("  not measured: {error:#}");
                report.fail(case.name, format!("{error:#}"));
            }
        }
        worlds.keep_for(&args.cases[number + 1..]);
    }
    Ok(())
}

fn one(bench: &Bench, lab: &Lab, worlds: &mut Worlds, case: &Case) -> Result<Vec<Row>> {
    match case.kind {
        Kind::Local(load) => {
            compare(bench, case, load.metrics(), worlds.local(case), |side, length| load.run(side, length))
        }
        Kind::Xdp(load) => {
            compare(bench, case, load.metrics(), worlds.xdp(case), |side, length| load.run(side, length))
        }
        Kind::Tunnel(model, load) => {
            compare(bench, case, load.metrics(), worlds.tunnel(case, model)?, |side, length| load.run(side, length))
        }
        Kind::Edge(passage) => {
            compare(bench, case, passage.metrics(), worlds.edge(case), |edge, length| passage.run(edge, length))
        }
        Kind::Engine => solo::engine::measure(bench, case.name),
        Kind::Connections => solo::connections::measure(bench, case.name),
        Kind::Flood => solo::flood::measure(bench, lab, case.name),
        Kind::Growth(table) => solo::growth::measure(bench, lab, case.name, table),
        Kind::Fairness => solo::fair::measure(bench, lab, case.name),
        Kind::Rules => solo::rules::measure(bench, lab, case.name),
        Kind::Idle => solo::idle::measure(bench, lab, case.name),
        Kind::Memory => solo::memory::measure(bench, lab, case.name),
    }
}

/// One side of a comparison, and its figures: a list for each metric.
struct Entry<'a, S> {
    who: Who,
    /// Why it could not be measured, or not any more.
    side: Result<&'a S>,
    figures: Vec<Vec<f64>>,
}

/// A B C A B C …, and a row for each peer and each figure of a run. A peer that cannot be measured gets a row that says why.
fn compare<S: Contest>(
    bench: &Bench,
    case: &Case,
    metrics: &[Metric],
    sides: &Sides<S>,
    load: impl Fn(&S, Duration) -> Result<Vec<f64>>,
) -> Result<Vec<Row>> {
    let entry = |who| Entry { who, side: sides.get(who), figures: vec![Vec::new(); metrics.len()] };
    let mut entries: Vec<Entry<S>> = everyone(case).map(entry).collect();
    let mut busy = false;
    for run in 1..=bench.args.runs {
        for Entry { who, side, figures } in &mut entries {
            let Ok(contestant) = *side else { continue };
            let name = who.map_or("ours", Peer::name);
            // It may spin: awake, it would keep the machine from ever being idle.
            let outcome = bench.guard.run(|| {
                contestant.wake();
                let outcome = load(contestant, bench.args.length());
                contestant.rest();
                outcome
            });
            let (measured, disturbed) = match outcome {
                Ok(measured) => measured,
                Err(error) if who.is_some() && !interrupt::came() => {
                    *side = Err(error.context(format!("run {run}")));
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("run {run} of {name}")),
            };
            busy |= disturbed;
            let said: Vec<String> = measured
                .iter()
                .zip(metrics)
                .map(|(figure, metric)| format!("{} {}", show(*figure), metric.unit))
                .collect();
            println!("  run {run} of {}  {name:<11} {}", bench.args.runs, said.join(", "));
            figures.iter_mut().zip(measured).for_each(|(all, figure)| all.push(figure));
        }
    }
    rows(case, metrics, &entries, busy)
}

fn rows<S>(case: &Case, metrics: &[Metric], entries: &[Entry<S>], busy: bool) -> Result<Vec<Row>> {
    let (ours, peers) = entries.split_first().context("nobody was measured")?;
    if let Err(error) = &ours.side {
        anyhow::bail!("{error:#}");
    }
    ensure!(!peers.is_empty(), "it has no peer");
    let mut rows = Vec::new();
    for (peer, (against, bound)) in peers.iter().zip(case.peers) {
        for (number, metric) in metrics.iter().enumerate() {
            let row = match &peer.side {
                Ok(_) => Row::compared(
                    case.name,
                    against.name(),
                    *metric,
                    &ours.figures[number],
                    &peer.figures[number],
                    busy,
                ),
                Err(error) => {
                    Row::missing(case.name, against.name(), *metric, &ours.figures[number], format!("{error:#}"), busy)
                }
            };
            // The first figure of a run is the one that a bound is set for.
            rows.extend(row.map(|row| if number == 0 { row.at_least(*bound) } else { row }));
        }
    }
    Ok(rows)
}
