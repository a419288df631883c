//! The result: a table for people, `target/bench.json` for programs.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::load::{Better, Metric};
use crate::stats::{Summary, round};

/// One line: a case in one unit.
pub(crate) struct Row {
    case: &'static str,
    peer: &'static str,
    unit: &'static str,
    better: Better,
    ours: Summary,
    theirs: Option<Summary>,
    runs: usize,
    busy: bool,
}

impl Row {
    /// A row with a peer.
    pub(crate) fn compared(
        case: &'static str,
        peer: &'static str,
        metric: Metric,
        ours: &[f64],
        theirs: &[f64],
        busy: bool,
    ) -> Option<Row> {
        let theirs = Some(Summary::of(theirs)?);
        Some(Row { peer, theirs, ..Row::alone(case, metric, ours, busy)? })
    }

    /// A row without one.
    pub(crate) fn alone(case: &'static str, metric: Metric, ours: &[f64], busy: bool) -> Option<Row> {
        let Metric { unit, better } = metric;
        Some(Row { case, peer: "-", unit, better, ours: Summary::of(ours)?, theirs: None, runs: ours.len(), busy })
    }

    /// Above 1: better than the peer, whatever the unit.
    fn ratio(&self) -> Option<f64> {
        let theirs = self.theirs?.median;
        let ratio = match self.better {
            Better::Higher => self.ours.median / theirs,
            Better::Lower => theirs / self.ours.median,
        };
        ratio.is_finite().then_some(ratio)
    }

    fn json(&self) -> Value {
        json!({
            "case": self.case,
            "peer": self.peer,
            "unit": self.unit,
            "ours": self.ours.json(),
            "theirs": self.theirs.map(|theirs| theirs.json()),
            "ratio": self.ratio().map(round),
            "runs": self.runs,
        })
    }

    fn cells(&self) -> [String; 7] {
        let dash = || "-".to_owned();
        [
            format!("{}{}", self.case, if self.busy { " *" } else { "" }),
            self.peer.to_owned(),
            self.unit.to_owned(),
            show(self.ours.median),
            self.theirs.map_or_else(dash, |theirs| show(theirs.median)),
            self.ratio().map_or_else(dash, |ratio| format!("{ratio:.2}")),
            match self.theirs {
                Some(theirs) => format!("{} / {}", range(&self.ours), range(&theirs)),
                None => range(&self.ours),
            },
        ]
    }
}

/// All rows so far, and what could not be measured.
pub(crate) struct Report {
    rows: Vec<Row>,
    failures: Vec<(&'static str, String)>,
}

impl Report {
    /// Nothing yet, in the file too: figures of an earlier bench must not pass for this one's.
    pub(crate) fn new() -> Result<Report> {
        let report = Report { rows: Vec::new(), failures: Vec::new() };
        report.write()?;
        Ok(report)
    }

    /// Adds a case's rows and writes the file: what an interrupted bench has measured is kept.
    pub(crate) fn add(&mut self, rows: Vec<Row>) -> Result<()> {
        self.rows.extend(rows);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let path = path()?;
        let all: Vec<Value> = self.rows.iter().map(Row::json).collect();
        fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Says that a case has no figures, and why.
    pub(crate) fn fail(&mut self, case: &'static str, reason: String) {
        self.failures.push((case, reason));
    }

    /// Whether every case that was asked for has figures.
    pub(crate) fn complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        if !self.rows.is_empty() {
            println!();
            let head = ["case", "peer", "unit", "ours", "peer's", "ratio", "min-max ours / peer's"].map(str::to_owned);
            let lines: Vec<[String; 7]> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
            let widths: [usize; 7] =
                std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
            for line in &lines {
                let cells: Vec<String> = (0..7)
                    .map(|column| match column {
                        3..=5 => format!("{:>1$}", line[column], widths[column]),
                        _ => format!("{:<1$}", line[column], widths[column]),
                    })
                    .collect();
                println!("{}", cells.join("  ").trim_end());
            }
            println!("\nMedians; ratio above 1 = better than the peer. Both sides share this machine's cores.");
            println!(
                "60b: sent by sendmmsg on an AF_PACKET socket, counted by the receiver's UDP. tcp: iperf3, received."
            );
            if self.rows.iter().any(|row| row.busy) {
                println!("* measured on a busy machine: the figure means little.");
            }
            if let Ok(path) = path() {
                println!("Written to {}", path.display());
            }
        }
        for (case, reason) in &self.failures {
            println!("{case}: not measured: {reason}");
        }
    }
}

/// `bench.json` in the target directory: above the one that this program stands in.
fn path() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own.ancestors().nth(2).context("the program stands in no target directory")?;
    Ok(target.join("bench.json"))
}

fn range(summary: &Summary) -> String {
    format!("{}-{}", show(summary.min), show(summary.max))
}

/// A figure with three digits that count.
pub(crate) fn show(figure: f64) -> String {
    match figure {
        f if f >= 1e6 => format!("{:.2} M", f / 1e6),
        f if f >= 1e4 => format!("{:.1} k", f / 1e3),
        f if f >= 100.0 => format!("{f:.0}"),
        f if f >= 10.0 => format!("{f:.1}"),
        f if f >= 0.1 => format!("{f:.2}"),
        f => format!("{f:.3}"),
    }
}
