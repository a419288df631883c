//! What happened lately, for people: the last thousand events. Not a log of everything, and never per frame.

use std::collections::VecDeque;
use std::time::SystemTime;

/// Most events kept.
const KEPT: usize = 1000;

/// Something worth telling.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub time: SystemTime,
    /// snake_case.
    pub kind: &'static str,
    /// The network, port, host or row.
    pub object: String,
    /// What.
    pub text: String,
}

/// The last events, oldest first.
#[derive(Debug, Default)]
pub struct EventLog(VecDeque<Event>);

impl EventLog {
    /// Adds one; the oldest goes when there are too many.
    pub fn insert(&mut self, event: Event) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// All that are kept, oldest first.
    pub fn dump(&self) -> impl Iterator<Item = &Event> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut log = EventLog::default();
        for n in 0..1005 {
            log.insert(Event {
                time: SystemTime::UNIX_EPOCH,
                kind: "test",
                object: n.to_string(),
                text: String::new(),
            });
        }
        assert_eq!(log.dump().count(), 1000);
        assert_eq!(log.dump().next().map(|event| event.object.as_str()), Some("5"));
    }
}
