//! One line of the result: a case in one unit, next to one peer or to a fixed line.

use serde_json::{Value, json};

use crate::load::{Better, Metric};
use crate::report::show;
use crate::stats::{Summary, round};

/// The peer of a figure that is held against a fixed line.
pub(crate) const BOUND: &str = "bound";

/// The table's columns.
pub(crate) const HEAD: [&str; 9] =
    ["case", "peer", "unit", "ours", "peer's", "ratio", "at least", "", "min-max ours / peer's"];

/// A line; figures without a peer's are there for the record.
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) unit: &'static str,
    better: Better,
    pub(crate) ours: Summary,
    pub(crate) theirs: Option<Summary>,
    /// The ratio that has to be reached.
    pub(crate) bound: Option<f64>,
    /// How many entries the table had, where its size is the question.
    pub(crate) entries: Option<u32>,
    /// Why the peer has no figures.
    pub(crate) missing: Option<String>,
    /// The worst run counts, not the median.
    worst: bool,
    runs: usize,
    pub(crate) busy: bool,
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

    /// A row whose peer could not be measured, and why.
    pub(crate) fn missing(
        case: &'static str,
        peer: &'static str,
        metric: Metric,
        ours: &[f64],
        reason: String,
        busy: bool,
    ) -> Option<Row> {
        Some(Row { peer, missing: Some(reason), ..Row::alone(case, metric, ours, busy)? })
    }

    /// A row next to a fixed line, which has to be kept.
    pub(crate) fn held(case: &'static str, metric: Metric, ours: &[f64], line: f64, busy: bool) -> Option<Row> {
        Row::compared(case, BOUND, metric, ours, &[line], busy).map(|row| row.at_least(1.0))
    }

    /// A row without a peer.
    pub(crate) fn alone(case: &'static str, metric: Metric, ours: &[f64], busy: bool) -> Option<Row> {
        let Metric { unit, better } = metric;
        let (ours, runs) = (Summary::of(ours)?, ours.len());
        Some(Row {
            case,
            peer: "-",
            unit,
            better,
            ours,
            theirs: None,
            bound: None,
            entries: None,
            missing: None,
            worst: false,
            runs,
            busy,
        })
    }

    /// The same with a ratio that has to be reached.
    pub(crate) fn at_least(self, bound: f64) -> Row {
        Row { bound: Some(bound), ..self }
    }

    /// The same for a table of this size.
    pub(crate) fn of_entries(self, entries: u32) -> Row {
        Row { entries: Some(entries), ..self }
    }

    /// The same judged by its worst run: for what has to hold always.
    pub(crate) fn at_worst(self) -> Row {
        Row { worst: true, ..self }
    }

    /// The figure that counts.
    fn figure(&self) -> f64 {
        match (self.worst, self.better) {
            (false, _) => self.ours.median,
            (true, Better::Higher) => self.ours.min,
            (true, Better::Lower) => self.ours.max,
        }
    }

    /// Above 1: better than the peer, whatever the unit.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let theirs = self.theirs?.median;
        let ratio = match self.better {
            Better::Higher => self.figure() / theirs,
            Better::Lower => theirs / self.figure(),
        };
        ratio.is_finite().then_some(ratio)
    }

    /// Whether the bound is kept, where there is one: not without the peer's figures. Of what is better low, nothing at all keeps
    /// every bound.
    pub(crate) fn passes(&self) -> Option<bool> {
        let bound = self.bound?;
        let Some(theirs) = self.theirs.map(|theirs| theirs.median) else { return Some(false) };
        Some(match self.better {
            // A peer without a figure above 0 did not work: the bound is not kept by that.
            Better::Higher => self.ratio().is_some_and(|ratio| ratio >= bound),
            Better::Lower => self.figure() <= theirs / bound,
        })
    }

    /// The object of the report.
    pub(crate) fn json(&self) -> Value {
        let mut row = json!({
            "case": self.case,
            "peer": self.peer,
            "unit": self.unit,
            "ours": self.ours.json(),
            "theirs": self.theirs.map(|theirs| theirs.json()),
            "ratio": self.ratio().map(round),
            "bound": self.bound,
            "pass": self.passes(),
            "runs": self.runs,
        });
        if let Some(reason) = &self.missing {
            row["missing"] = reason.as_str().into();
        }
        row
    }

    /// The columns of [`HEAD`].
    pub(crate) fn cells(&self) -> [String; 9] {
        let dash = || "-".to_owned();
        [
            format!("{}{}", self.case, if self.busy { " *" } else { "" }),
            self.peer.to_owned(),
            self.unit.to_owned(),
            show(self.figure()),
            self.theirs.map_or_else(dash, |theirs| show(theirs.median)),
            self.ratio().map_or_else(dash, |ratio| format!("{ratio:.2}")),
            self.bound.map_or_else(dash, |bound| format!("{bound:.2}")),
            match (&self.missing, self.passes()) {
                (Some(_), _) => "missing",
                (None, Some(true)) => "ok",
                (None, Some(false)) => "missed",
                (None, None) => "",
            }
            .to_owned(),
            match (&self.missing, &self.theirs) {
                (Some(reason), _) => format!("not measured: {reason}"),
                (None, Some(theirs)) if self.peer != BOUND => format!("{} / {}", range(&self.ours), range(theirs)),
                _ => range(&self.ours),
            },
        ]
    }
}

fn range(summary: &Summary) -> String {
    format!("{}-{}", show(summary.min), show(summary.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Metric = Metric::higher("frames/s");
    const COST: Metric = Metric::lower("MiB");

    #[test]
    fn a_ratio_above_one_is_better_whatever_the_unit() {
        let row = |metric, ours: f64, theirs: f64| Row::compared("case", "kernel", metric, &[ours], &[theirs], false);
        assert_eq!(row(RATE, 30.0, 20.0).and_then(|row| row.ratio()), Some(1.5));
        assert_eq!(row(COST, 20.0, 30.0).and_then(|row| row.ratio()), Some(1.5));
        assert_eq!(row(COST, 0.0, 30.0).and_then(|row| row.ratio()), None);
    }

    #[test]
    fn one_bad_run_is_enough_where_the_worst_counts() {
        let row = |metric| Row::held("fair", metric, &[1.0, 0.9, 1.0], 0.95, false).unwrap();
        assert_eq!([row(RATE).passes(), row(RATE).at_worst().passes()], [Some(true), Some(false)]);
        assert_eq!([row(RATE).at_worst().figure(), row(COST).at_worst().figure()], [0.9, 1.0]);
    }

    #[test]
    fn a_bound_is_kept_or_missed_and_never_guessed() {
        let held = |ours: f64| Row::held("memory", COST, &[ours], 20.0, false).unwrap();
        assert_eq!(
            [held(0.0).passes(), held(19.0).passes(), held(20.0).passes(), held(21.0).passes()],
            [Some(true), Some(true), Some(true), Some(false)]
        );
        let faster =
            |theirs| Row::compared("local-60b", "kernel", RATE, &[30.0], &[theirs], false).unwrap().at_least(1.5);
        assert_eq!(
            [faster(20.0).passes(), faster(20.1).passes(), faster(0.0).passes()],
            [Some(true), Some(false), Some(false)]
        );
        let missing = Row::missing("case", "docker", RATE, &[1.0], "no engine".into(), false).unwrap().at_least(1.0);
        assert_eq!(missing.passes(), Some(false));
        assert_eq!(missing.cells()[7], "missing");
        assert!(missing.cells()[8].contains("no engine") && missing.json()["missing"] == "no engine");
        assert_eq!(Row::alone("memory", COST, &[1.0], false).unwrap().passes(), None, "nothing has to be kept");
    }
}
