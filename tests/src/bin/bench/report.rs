//! Samples, their medians, and the two forms of the result: a line for people, JSON for machines.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The table's head.
pub(crate) const HEAD: &str = "case             vswitch Gbit/s [min-max]   kernel Gbit/s [min-max]    ratio   promised";

/// The rates of one side, in Gbit/s, sorted.
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn of(mut rates: Vec<f64>) -> Samples {
        rates.sort_by(f64::total_cmp);
        Samples(rates)
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    fn text(&self) -> String {
        format!("{:6.2} [{:.2}-{:.2}]", self.median(), self.0[0], self.0[self.0.len() - 1])
    }

    fn json(&self) -> Value {
        json!({ "median": self.median(), "min": self.0[0], "max": self.0[self.0.len() - 1] })
    }
}

/// One case, measured.
pub(crate) struct Outcome {
    pub(crate) case: &'static str,
    pub(crate) promised: Option<f64>,
    pub(crate) ours: Samples,
    pub(crate) theirs: Samples,
}

impl Outcome {
    fn ratio(&self) -> f64 {
        self.ours.median() / self.theirs.median()
    }

    /// Whether the ratio is what was promised.
    pub(crate) fn kept(&self) -> bool {
        self.promised.is_none_or(|promised| self.ratio() >= promised)
    }

    pub(crate) fn line(&self) -> String {
        let promised = match self.promised {
            None => String::new(),
            Some(least) if self.kept() => format!("{least:.2} kept"),
            Some(least) => format!("{least:.2} MISSED"),
        };
        format!(
            "{:<16} {:<26} {:<26} {:5.2}   {promised}",
            self.case,
            self.ours.text(),
            self.theirs.text(),
            self.ratio()
        )
    }

    fn json(&self) -> Value {
        json!({
            "case": self.case, "peer": "kernel", "unit": "Gbit/s",
            "ours": self.ours.json(), "theirs": self.theirs.json(),
            "ratio": self.ratio(), "runs": self.ours.0.len(),
        })
    }
}

/// Writes the cases that ran.
pub(crate) fn write(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let rows: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
    fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}
