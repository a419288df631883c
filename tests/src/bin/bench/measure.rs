//! Runs cases: every run waits for an idle machine, the two sides of a comparison take turns.

use std::time::Duration;

use anyhow::{Context, Result};
use tests::Lab;

use crate::args::Args;
use crate::cases::{Case, Kind};
use crate::guard::Guard;
use crate::load::Metric;
use crate::report::{Report, Row, show};
use crate::topology::Pair;
use crate::worlds::Worlds;
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
    for case in &args.cases {
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
    }
    Ok(())
}

fn one(bench: &Bench, lab: &Lab, worlds: &mut Worlds, case: &Case) -> Result<Vec<Row>> {
    match case.kind {
        Kind::Local(load) => {
            compare(bench, case.name, load.metrics(), worlds.local()?, |side, length| load.run(side, length))
        }
        Kind::Tunnel(model, load) => {
            compare(bench, case.name, load.metrics(), worlds.tunnel(model)?, |side, length| load.run(side, length))
        }
        Kind::Edge(passage) => {
            compare(bench, case.name, passage.metrics(), worlds.edge()?, |edge, length| passage.run(edge, length))
        }
        Kind::Engine => solo::engine::measure(bench, case.name),
        Kind::Connections => solo::connections::measure(bench, case.name),
        Kind::Flood => solo::flood::measure(bench, lab, case.name),
        Kind::Rules => solo::rules::measure(bench, lab, case.name),
        Kind::Idle => solo::idle::measure(bench, lab, case.name),
        Kind::Memory => solo::memory::measure(bench, lab, case.name),
    }
}

/// A B A B …, and a row for each figure of a run.
fn compare<S>(
    bench: &Bench,
    case: &'static str,
    metrics: &[Metric],
    pair: &Pair<S>,
    load: impl Fn(&S, Duration) -> Result<Vec<f64>>,
) -> Result<Vec<Row>> {
    let mut ours = vec![Vec::new(); metrics.len()];
    let mut theirs = ours.clone();
    let mut busy = false;
    let mut measure = |run: u32, name: &str, side: &S, figures: &mut Vec<Vec<f64>>| -> Result<()> {
        let work = || load(side, bench.args.length());
        let (measured, disturbed) = bench.guard.run(work).with_context(|| format!("run {run} of {name}"))?;
        busy |= disturbed;
        let said: Vec<String> =
            measured.iter().zip(metrics).map(|(figure, metric)| format!("{} {}", show(*figure), metric.unit)).collect();
        println!("  run {run} of {}  {name:<6} {}", bench.args.runs, said.join(", "));
        figures.iter_mut().zip(measured).for_each(|(all, figure)| all.push(figure));
        Ok(())
    };
    for run in 1..=bench.args.runs {
        measure(run, "ours", &pair.ours, &mut ours)?;
        measure(run, "kernel", &pair.kernel, &mut theirs)?;
    }
    let rows = metrics.iter().zip(ours.iter().zip(&theirs));
    Ok(rows.filter_map(|(metric, (ours, theirs))| Row::compared(case, "kernel", *metric, ours, theirs, busy)).collect())
}
