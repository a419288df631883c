//! Writing down what rules want written (`-j LOG`): structured, and never so much that it matters to traffic.

use std::time::Duration;

use wire::Time;

use crate::{LogLine, Switch};

/// Time between two looks. The engine keeps 64 lines in between and counts the rest.
const PERIOD: Duration = Duration::from_secs(1);

/// Lines of rules.
#[derive(Default)]
pub(super) struct Journal {
    lines: Vec<LogLine>,
    next: Time,
}

impl Journal {
    pub(super) fn write(&mut self, now: Time, switch: &mut Switch) {
        if now < self.next || !switch.has_log() {
            return;
        }
        self.next = now + PERIOD;
        let unwritten = switch.take_log(&mut self.lines);
        for LogLine { prefix, level, input, output, packet, len } in self.lines.drain(..) {
            // syslog's 0 to 4 are warnings and worse.
            match level {
                0..=4 => tracing::warn!(target: "filter", %prefix, %input, %output, ?packet, len),
                _ => tracing::info!(target: "filter", %prefix, %input, %output, ?packet, len),
            }
        }
        if unwritten > 0 {
            tracing::info!(target: "filter", unwritten, "more lines of rules than are written in a second");
        }
    }
}
