//! Writing down what rules want written (`-j LOG`), and who floods too much: structured, and never so much that it
//! matters to traffic.

use std::time::Duration;

use wire::Time;

use crate::{LogLine, Storm, StormLine, Switch};

/// Time between two looks. The engine keeps 64 lines in between and counts the rest.
const PERIOD: Duration = Duration::from_secs(1);

/// Lines of rules.
#[derive(Default)]
pub(super) struct Journal {
    lines: Vec<LogLine>,
    storms: Vec<StormLine>,
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
        switch.take_storms(&mut self.storms);
        for StormLine { port, kind } in self.storms.drain(..) {
            let what = match kind {
                Storm::Broadcast => "broadcasts",
                Storm::Multicast => "multicasts",
                Storm::Unknown => "frames to unknown stations",
            };
            tracing::warn!(%port, "floods more {what} than it may; they are dropped and counted (told once a minute)");
        }
        if unwritten > 0 {
            tracing::info!(target: "filter", unwritten, "more lines of rules than are written in a second");
        }
    }
}
