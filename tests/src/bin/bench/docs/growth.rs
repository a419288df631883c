//! A line for each table: the rate with many entries as a share of the rate with ten.

use super::svg::{Anchor, Svg};
use crate::row::Row;

const LEFT: f64 = 60.0;
const RIGHT: f64 = 660.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 346.0;
const LEGEND: f64 = 680.0;
/// Entries at the ends of the scale.
const LEAST: f64 = 10.0;
const MOST: f64 = 1e6;
/// The highest share that is shown.
const HIGH: f64 = 1.2;

const COLOURS: [&str; 6] = ["#2a7f62", "#c4512d", "#3b5fa0", "#8d5fb0", "#b08c1c", "#4d4d4d"];
const INK: &str = "#222222";
const GRID: &str = "#dddddd";

/// The drawing; `None` when nothing grew.
pub(super) fn draw(rows: &[Row]) -> Option<String> {
    let mut lines: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for row in rows {
        let (Some(entries), Some(ratio)) = (row.entries, row.ratio()) else { continue };
        if lines.last().is_none_or(|(case, _)| *case != row.case) {
            lines.push((row.case, vec![(LEAST, 1.0)]));
        }
        if let Some((_, points)) = lines.last_mut() {
            points.push((f64::from(entries), ratio));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let mut svg = Svg::new(LEGEND + 160.0, BOTTOM + 36.0);
    svg.word(
        (10.0, 20.0),
        Anchor::Start,
        INK,
        "Rate of 60-byte frames, as a share of the rate with ten entries in the table",
    );
    for share in [0.0, 0.25, 0.5, 0.75, 0.9, 1.0] {
        let y = place(LEAST, share).1;
        svg.line((LEFT, y), (RIGHT, y), if share == 1.0 { INK } else { GRID }, 1.0);
        svg.word((LEFT - 8.0, y + 4.0), Anchor::End, INK, &share.to_string());
    }
    for (entries, name) in
        [(1e1, "10"), (1e2, "100"), (1e3, "1,000"), (1e4, "10,000"), (1e5, "100,000"), (1e6, "1,000,000")]
    {
        let x = place(entries, 0.0).0;
        svg.line((x, TOP), (x, BOTTOM), GRID, 1.0);
        svg.word((x, BOTTOM + 20.0), Anchor::Middle, INK, name);
    }
    for (number, (case, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let places: Vec<(f64, f64)> = points.iter().map(|(entries, share)| place(*entries, *share)).collect();
        places.windows(2).for_each(|pair| svg.line(pair[0], pair[1], colour, 2.0));
        places.iter().for_each(|point| svg.dot(*point, colour));
        let y = TOP + 20.0 * number as f64;
        svg.line((LEGEND, y), (LEGEND + 20.0, y), colour, 2.0);
        svg.word((LEGEND + 26.0, y + 4.0), Anchor::Start, INK, case);
    }
    Some(svg.finish())
}

/// Where a share at a number of entries is drawn.
fn place(entries: f64, share: f64) -> (f64, f64) {
    let across = (entries / LEAST).log10() / (MOST / LEAST).log10();
    (LEFT + across * (RIGHT - LEFT), BOTTOM - share.clamp(0.0, HIGH) / HIGH * (BOTTOM - TOP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Metric;

    #[test]
    fn every_table_begins_with_the_smallest_size() {
        let row = |case, entries, rate| {
            let row = Row::compared(case, "10 flows", Metric::higher("frames/s"), &[rate], &[100.0], false).unwrap();
            row.of_entries(entries)
        };
        let rows =
            [row("growth-flows", 1_000, 99.0), row("growth-flows", 100_000, 80.0), row("growth-fdb", 1_000, 95.0)];
        let drawing = draw(&rows).unwrap();
        assert_eq!(drawing.matches("<circle").count(), 5);
        assert!(draw(&[]).is_none());
    }
}
