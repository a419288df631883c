//! Waiting for changes: Consul's blocking queries, made safe to call in a loop. Three traps are dealt with here:
//! an index that goes back, a server that came back with another history, and answers that come without a change.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Consul;
use super::servers::back_off;
use crate::{Error, Snapshot};

/// How many watches of one prefix may follow each other at once ...
const BURST: f64 = 8.0;
/// ... and how many a second in the long run. Changes in between are seen as one.
const PER_SECOND: f64 = 20.0;
/// Rest after the first answer that told nothing new; doubles up to the longest.
const FIRST_REST: Duration = Duration::from_millis(50);
/// Longest rest: how late the return of a lost store may be noticed.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// Prefixes whose pace is remembered; beyond, all are forgotten, which costs a burst each.
const PREFIXES: usize = 1024;

/// The pace of each watched prefix.
#[derive(Default)]
pub(super) struct Pace {
    prefixes: Mutex<HashMap<String, Track>>,
}

#[derive(Clone, Copy)]
struct Track {
    tokens: f64,
    filled: Instant,
    /// Answers in a row that told nothing new and came at once, and errors.
    idle: u32,
    rest_until: Instant,
    /// Whether the last try failed: what comes back may have another history, under the same index.
    failed: bool,
}

/// How a watch ended.
enum End {
    News,
    NothingNew,
    Failed,
}

impl Pace {
    /// How long to wait before the next watch of a prefix, and whether the last one failed.
    fn begin(&self, prefix: &str) -> (Duration, bool) {
        let now = Instant::now();
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        if prefixes.len() >= PREFIXES && !prefixes.contains_key(prefix) {
            prefixes.clear();
        }
        let track = prefixes.entry(prefix.to_owned()).or_insert(Track {
            tokens: BURST,
            filled: now,
            idle: 0,
            rest_until: now,
            failed: false,
        });
        let gained = now.duration_since(track.filled).as_secs_f64() * PER_SECOND;
        // Watches that were given up took their turn too, but they must not delay the others without end.
        track.tokens = ((track.tokens + gained).min(BURST) - 1.0).max(-2.0);
        track.filled = now;
        let debt = Duration::from_secs_f64((-track.tokens).max(0.0) / PER_SECOND);
        let rest = track.rest_until.saturating_duration_since(now);
        (rest.max(debt).min(LONGEST_REST), track.failed)
    }

    fn end(&self, prefix: &str, end: End) {
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(track) = prefixes.get_mut(prefix) else {
            return;
        };
        track.failed = matches!(end, End::Failed);
        track.idle = match end {
            End::News => 0,
            End::NothingNew | End::Failed => track.idle.saturating_add(1),
        };
        if track.idle > 0 {
            track.rest_until = Instant::now() + back_off(track.idle, FIRST_REST, LONGEST_REST);
        }
    }
}

impl Consul {
    pub(super) async fn wait_for_change(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        let (rest, failed) = self.pace.begin(prefix);
        tokio::time::sleep(rest).await;
        let started = Instant::now();
        let after = (revision > 0 && !failed).then_some(revision);
        let mut result = self.read(prefix, after).await;
        if let (Some(after), Ok(snapshot)) = (after, &result)
            && snapshot.revision < after
        {
            // Restored, or the newest key's tombstone was reaped: what was read may be from before. Start again.
            result = self.read(prefix, None).await;
        }
        let end = match &result {
            Err(_) => End::Failed,
            Ok(snapshot) if snapshot.revision != revision => End::News,
            // Nothing changed for as long as was asked for: no reason to rest.
            Ok(_) if started.elapsed() > Duration::from_secs(1) => End::News,
            Ok(_) => End::NothingNew,
        };
        self.pace.end(prefix, end);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changes_pass_in_a_burst_and_then_at_the_rate() {
        let pace = Pace::default();
        for _ in 0..8 {
            assert_eq!(pace.begin("a/").0, Duration::ZERO);
            pace.end("a/", End::News);
        }
        let (rest, _) = pace.begin("a/");
        assert!(rest > Duration::from_millis(40) && rest <= Duration::from_millis(50));
        assert_eq!(pace.begin("b/").0, Duration::ZERO, "each prefix has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_without_news_slow_the_loop_down_and_news_end_that() {
        let pace = Pace::default();
        let mut total = Duration::ZERO;
        for _ in 0..20 {
            let (rest, _) = pace.begin("a/");
            tokio::time::sleep(rest).await;
            total += rest;
            pace.end("a/", End::NothingNew);
        }
        assert!(total > Duration::from_secs(10), "{total:?}");
        let (rest, failed) = pace.begin("a/");
        assert!(rest <= LONGEST_REST && !failed);
        tokio::time::sleep(rest).await;
        pace.end("a/", End::News);
        assert_eq!(pace.begin("a/").0, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_watch_starts_from_nothing() {
        let pace = Pace::default();
        pace.begin("a/");
        pace.end("a/", End::Failed);
        let (rest, failed) = pace.begin("a/");
        assert!(failed && rest > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_were_given_up_delay_little() {
        let pace = Pace::default();
        for _ in 0..1000 {
            pace.begin("a/");
        }
        assert!(pace.begin("a/").0 <= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let pace = Pace::default();
        for i in 0..10 * PREFIXES {
            pace.begin(&i.to_string());
        }
        assert!(pace.prefixes.lock().unwrap().len() <= PREFIXES);
    }
}
