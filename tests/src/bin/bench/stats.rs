//! Median, minimum, maximum.

use serde_json::{Value, json};

/// What several runs gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Of these figures; `None` without any.
    pub(crate) fn of(figures: &[f64]) -> Option<Summary> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        // Of an even number, the mean of the two in the middle.
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Summary { median, min, max })
    }

    /// The object of the report.
    pub(crate) fn json(&self) -> Value {
        json!({ "median": round(self.median), "min": round(self.min), "max": round(self.max) })
    }
}

/// Five significant digits: more would pretend.
pub(crate) fn round(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(4 - figure.abs().log10().floor() as i32);
    (figure * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Summary::of(&[4.0, 1.0]), Some(Summary { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn figures_keep_five_digits() {
        assert_eq!(
            [round(16.123_456), round(0.001_234_567), round(491_234.0), round(0.0)],
            [16.123, 0.0012346, 491_230.0, 0.0]
        );
    }
}
