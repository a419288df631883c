//! Tables as docker prints them: upper-case headers, no borders, columns three spaces apart.
//!
//! Not a place for meaning: callers say what a cell holds. Invariant: one row is one line, whatever a
//! cell contains; control characters from a store row or a name never reach the terminal.

use comfy_table::{ContentArrangement, presets};

/// What stands for "nothing" in a cell.
pub(crate) const NOTHING: &str = "-";

/// Rows under headers.
pub(crate) struct Table {
    headers: Vec<String>,
    nothing: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headers.
    pub(crate) fn new(headers: &[&str]) -> Self {
        let headers = headers.iter().map(|&header| header.to_owned()).collect();
        Self { headers, nothing: NOTHING, rows: Vec::new() }
    }

    /// An empty table whose empty cells stay empty, as docker's do.
    pub(crate) fn bare(headers: &[&str]) -> Self {
        Self { nothing: "", ..Self::new(headers) }
    }

    /// Adds a row; an empty cell is shown as `-`, and so is one that is missing.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let mut cells: Vec<String> = cells.iter().map(|cell| printable(cell)).collect();
        cells.resize(self.headers.len(), String::new());
        for cell in &mut cells {
            if cell.is_empty() {
                cell.push_str(self.nothing);
            }
        }
        self.rows.push(cells);
    }

    /// The lines of the table, the headers first, none with trailing blanks.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.headers).add_rows(&self.rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// What a terminal acts on instead of showing it.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with control characters written out (`\u{1b}`), fit for a line on a terminal.
pub(crate) fn printable(text: &str) -> String {
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// A span of time, its two largest units: `59s`, `1m 1s`, `3h 20m`, `2d 5h`.
pub(crate) fn seconds(whole: u64) -> String {
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// An amount of bytes in decimal units, as docker shows traffic: `999 B`, `1.5 kB`, `12.0 GB`.
pub(crate) fn bytes(amount: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if amount < 1_000 {
        return format!("{amount} B");
    }
    let mut scaled = amount as f64 / 1_000.0;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while scaled >= 999.95 && unit + 1 < UNITS.len() {
        scaled /= 1_000.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// The first 12 digits of an ID, as docker shortens them.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_two_units() {
        let shown: Vec<String> = [0, 59, 61, 12_000, 190_000].map(seconds).into();
        assert_eq!(shown, ["0s", "59s", "1m 1s", "3h 20m", "2d 4h"]);
    }

    #[test]
    fn bytes_show_three_to_four_digits() {
        let shown: Vec<String> = [0, 999, 1_000, 999_949, 999_999, u64::MAX].map(bytes).into();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "18.4 EB"]);
    }

    #[test]
    fn columns_stand_three_spaces_apart_without_trailing_blanks() {
        let mut table = Table::new(&["NETWORK ID", "NAME"]);
        table.row(vec!["0123456789ab".into(), "RED".into()]);
        table.row(vec!["ab".into(), "a-longer-name".into()]);
        assert_eq!(table.lines(), ["NETWORK ID     NAME", "0123456789ab   RED", "ab             a-longer-name"],);
    }

    #[test]
    fn headers_stand_alone_when_there_are_no_rows() {
        let table = Table::new(&["NETWORK", "VTEP"]);
        assert_eq!(table.lines(), ["NETWORK   VTEP"]);
    }

    #[test]
    fn empty_and_missing_cells_are_marked() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row(vec![String::new(), "x".into()]);
        assert_eq!(table.lines()[1], "-   x   -");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(&["NAME"]);
        table.row(vec!["a\x1b[31m\nb\u{202e}".into()]);
        assert_eq!(table.lines(), ["NAME", "a\\u{1b}[31m\\u{a}b\\u{202e}"]);
    }
}
