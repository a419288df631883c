//! A bar for each row with a rival: from 1, where both are equal, to the ratio; and a mark where the bound is.

use super::svg::{Anchor, Svg};
use crate::row::{BOUND, Row};

const LABELS: f64 = 330.0;
const WIDTH: f64 = 900.0;
const LINE: f64 = 22.0;
const TOP: f64 = 52.0;
/// The scale's ends, and where it has a number.
const LOW: f64 = 0.25;
const HIGH: f64 = 64.0;
const TICKS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

const KEPT: &str = "#2a7f62";
const MISSED: &str = "#c4512d";
const UNBOUND: &str = "#7a8699";
const INK: &str = "#222222";
const GRID: &str = "#dddddd";

/// The drawing; `None` without any such row.
pub(super) fn draw(rows: &[Row]) -> Option<String> {
    let bars: Vec<(&Row, f64)> = rows
        .iter()
        .filter(|row| row.entries.is_none() && row.peer != BOUND)
        .filter_map(|row| Some((row, row.ratio()?)))
        .collect();
    if bars.is_empty() {
        return None;
    }
    let bottom = TOP + LINE * bars.len() as f64;
    let mut svg = Svg::new(WIDTH + 60.0, bottom + 16.0);
    svg.word(
        (10.0, 20.0),
        Anchor::Start,
        INK,
        "Ratio to the peer (right of 1: the switch is better); the black mark is the bound",
    );
    for tick in TICKS {
        let x = place(tick);
        svg.line((x, TOP - 6.0), (x, bottom), if tick == 1.0 { INK } else { GRID }, 1.0);
        svg.word((x, TOP - 12.0), Anchor::Middle, INK, &tick.to_string());
    }
    for (number, (row, ratio)) in bars.iter().enumerate() {
        let y = TOP + LINE * number as f64;
        let label = format!("{} / {} ({})", row.case, row.peer, row.unit);
        svg.word((LABELS - 8.0, y + 15.0), Anchor::End, INK, &label);
        let colour = match row.passes() {
            Some(true) => KEPT,
            Some(false) => MISSED,
            None => UNBOUND,
        };
        svg.block((place(1.0), y + 4.0), (place(*ratio), y + LINE - 4.0), colour);
        if let Some(bound) = row.bound {
            svg.line((place(bound), y + 1.0), (place(bound), y + LINE - 1.0), "#000000", 2.5);
        }
        svg.word((WIDTH + 8.0, y + 15.0), Anchor::Start, colour, &format!("{ratio:.2}"));
    }
    Some(svg.finish())
}

/// The horizontal place of a ratio: equal factors are equally far apart.
fn place(ratio: f64) -> f64 {
    let part = (ratio.clamp(LOW, HIGH) / LOW).log2() / (HIGH / LOW).log2();
    LABELS + part * (WIDTH - LABELS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Metric;

    #[test]
    fn equal_factors_are_equally_far_apart() {
        assert_eq!(place(LOW), LABELS);
        assert_eq!(place(1_000.0), WIDTH);
        assert!((place(2.0) - place(1.0) - (place(16.0) - place(8.0))).abs() < 1e-9);
    }

    #[test]
    fn there_is_a_bar_for_each_rival_and_none_without() {
        let row = |peer| Row::compared("local-tcp1", peer, Metric::higher("Gbit/s"), &[3.0], &[2.0], false).unwrap();
        let drawing = draw(&[row("kernel").at_least(0.95), row("ovs-tso"), row(BOUND)]).unwrap();
        assert_eq!(drawing.matches("local-tcp1 / ").count(), 2);
        assert_eq!(drawing.matches(KEPT).count(), 2, "bar and figure");
        assert!(draw(&[row(BOUND)]).is_none());
    }
}
