//! What a runtime writes is refused or has an id; a process is a positive number. The bundle is not opened: its path
//! comes from the input.

use ctl::oci::{State, parse_networks};

/// The input is the hook's standard input.
pub fn run(data: &[u8]) {
    let state = match State::parse(data) {
        Ok(state) => state,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(!state.id.is_empty());
    assert!(state.process().is_none_or(|pid| pid > 0 && Some(i64::from(pid)) == state.pid));
    let annotations = state.annotations.iter().flatten();
    for text in annotations.filter_map(|(_, value)| value.as_str()) {
        let _ = parse_networks(text);
    }
}
