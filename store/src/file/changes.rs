//! What changed lately, so that a watcher wakes for its own prefix only. In memory and bounded: who asks for more than
//! is remembered is told "maybe". It holds no values.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::key;

/// Changed keys that are remembered.
const REMEMBERED: usize = 1024;

/// The latest changes of a store.
pub(super) struct Changes {
    recent: Mutex<Recent>,
    latest: watch::Sender<u64>,
}

struct Recent {
    keys: VecDeque<(u64, String)>,
    /// Up to this revision, nothing is remembered.
    forgotten: u64,
}

impl Changes {
    /// A store that is at this revision.
    pub(super) fn new(revision: u64) -> Self {
        Changes {
            recent: Mutex::new(Recent { keys: VecDeque::new(), forgotten: revision }),
            latest: watch::Sender::new(revision),
        }
    }

    /// Notes what a committed transaction changed, and wakes.
    pub(super) fn record(&self, revision: u64, keys: impl IntoIterator<Item = String>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            recent.keys.push_back((revision, key));
        }
        while recent.keys.len() > REMEMBERED {
            if let Some((revision, _)) = recent.keys.pop_front() {
                recent.forgotten = revision;
            }
        }
        drop(recent);
        self.latest.send_replace(revision);
    }

    /// Takes note of a revision that no [`record`](Self::record) told of: a commit that failed, and yet is on the disk.
    pub(super) fn catch_up(&self, revision: u64) {
        if revision > *self.latest.borrow() {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.forgotten = revision;
            drop(recent);
            self.latest.send_replace(revision);
        }
    }

    /// Sees each later [`record`](Self::record).
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Whether something below `prefix` may have changed after `revision`.
    pub(super) fn since(&self, prefix: &str, revision: u64) -> bool {
        // A revision that is not reached yet is another store's.
        if revision == 0 || revision > *self.latest.borrow() {
            return true;
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        revision < recent.forgotten
            || recent.keys.iter().rev().take_while(|(at, _)| *at > revision).any(|(_, key)| key::is_below(key, prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_changes_below_the_prefix_count() {
        let changes = Changes::new(5);
        changes.record(6, ["a/x".to_owned()]);
        changes.record(7, ["b/y".to_owned()]);
        assert!(changes.since("a/", 5) && !changes.since("a/", 6));
        assert!(changes.since("b/", 6) && changes.since("", 6) && changes.since("b/y", 6));
        assert!(!changes.since("", 7) && !changes.since("c/", 5));
        assert!(changes.since("c/", 0) && changes.since("c/", 4) && changes.since("c/", 99));
    }

    #[test]
    fn a_revision_out_of_nowhere_wakes_once() {
        let changes = Changes::new(5);
        changes.catch_up(4);
        assert!(!changes.since("a/", 5));
        changes.catch_up(6);
        assert!(changes.since("a/", 5) && !changes.since("a/", 6));
    }

    #[test]
    fn what_is_forgotten_counts_as_changed() {
        let changes = Changes::new(1);
        for revision in 2..2000 {
            changes.record(revision, [format!("k/{revision}")]);
        }
        assert!(changes.since("other/", 100));
        assert!(!changes.since("other/", 1500));
        assert!(changes.recent.lock().unwrap().keys.len() <= REMEMBERED);
    }
}
