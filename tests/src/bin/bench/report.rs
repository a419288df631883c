//! The result: a table for people, `target/bench.json` for programs.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::row::{HEAD, Row};

/// What the figures are, for who reads the table.
pub(crate) const LEGEND: &str = "\
Medians; ratio above 1 = better than the peer. Both sides share this machine's cores.
60b: sent by sendmmsg on an AF_PACKET socket, counted by the receiver's UDP. tcp: iperf3, received.";

/// All rows so far, and what could not be measured.
pub(crate) struct Report {
    rows: Vec<Row>,
    failures: Vec<(&'static str, String)>,
    start: Instant,
}

impl Report {
    /// Nothing yet, in the file too: figures of an earlier bench must not pass for this one's.
    pub(crate) fn new() -> Result<Report> {
        let report = Report { rows: Vec::new(), failures: Vec::new(), start: Instant::now() };
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

    /// Whether every case that was asked for has figures, and every peer.
    pub(crate) fn complete(&self) -> bool {
        self.failures.is_empty() && self.rows.iter().all(|row| row.missing.is_none())
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What could not be measured, and why.
    pub(crate) fn failures(&self) -> &[(&'static str, String)] {
        &self.failures
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        if !self.rows.is_empty() {
            println!();
            let lines: Vec<_> =
                std::iter::once(HEAD.map(str::to_owned)).chain(self.rows.iter().map(Row::cells)).collect();
            let widths: [usize; HEAD.len()] =
                std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
            for line in &lines {
                let cells: Vec<String> = line
                    .iter()
                    .zip(widths)
                    .enumerate()
                    .map(|(column, (cell, width))| match column {
                        3..=6 => format!("{cell:>width$}"),
                        _ => format!("{cell:<width$}"),
                    })
                    .collect();
                println!("{}", cells.join("  ").trim_end());
            }
            println!("\n{LEGEND}");
            if self.rows.iter().any(|row| row.busy) {
                println!("* measured on a busy machine: the figure means little.");
            }
            println!("{} It took {}.", self.score(), self.took());
            if let Ok(path) = path() {
                println!("Written to {}", path.display());
            }
        }
        for (case, reason) in &self.failures {
            println!("{case}: not measured: {reason}");
        }
    }

    /// How many bounds are kept, how many there are, and what has no figures.
    pub(crate) fn score(&self) -> String {
        let passes = || self.rows.iter().filter_map(Row::passes);
        let (kept, bounds) = (passes().filter(|pass| *pass).count(), passes().count());
        let mut text = format!("{kept} of {bounds} bounds are kept.");
        let without = self.rows.iter().filter(|row| row.missing.is_some()).count();
        if without > 0 {
            text += &format!(" Rows without the peer's figures: {without}; their bounds count as not kept.");
        }
        if !self.failures.is_empty() {
            text += &format!(" Cases without any figures: {}; their bounds do not count.", self.failures.len());
        }
        text
    }

    /// How long it has taken so far.
    pub(crate) fn took(&self) -> String {
        let seconds = self.start.elapsed().as_secs();
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// `bench.json` in the target directory: above the one that this program stands in.
fn path() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own.ancestors().nth(2).context("the program stands in no target directory")?;
    Ok(target.join("bench.json"))
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
