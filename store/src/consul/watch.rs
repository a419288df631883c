//! Waiting for changes: Consul's blocking queries, made safe to call in a loop. Four traps are dealt with here:
//! an index that goes back, a server that came back with another history, one that came back and has not read all of
//! its own yet, and answers that come without a change.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Consul;
use super::kv::Age;
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
    /// The revision that was returned last.
    seen: u64,
}

/// What a watch begins with.
struct Start {
    /// How long to wait first.
    rest: Duration,
    /// Whether the last watch failed.
    failed: bool,
    /// The revision that was returned last, also before a failure; 0: none.
    seen: u64,
}

/// How a watch ended.
enum End {
    News(u64),
    NothingNew,
    Failed,
}

impl Pace {
    /// What the next watch of a prefix begins with.
    fn begin(&self, prefix: &str) -> Start {
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
            seen: 0,
        });
        let gained = now.duration_since(track.filled).as_secs_f64() * PER_SECOND;
        // Watches that were given up took their turn too, but they must not delay the others without end.
        track.tokens = ((track.tokens + gained).min(BURST) - 1.0).max(-2.0);
        track.filled = now;
        let debt = Duration::from_secs_f64((-track.tokens).max(0.0) / PER_SECOND);
        let rest = track.rest_until.saturating_duration_since(now);
        Start { rest: rest.max(debt).min(LONGEST_REST), failed: track.failed, seen: track.seen }
    }

    fn end(&self, prefix: &str, end: End) {
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(track) = prefixes.get_mut(prefix) else {
            return;
        };
        track.failed = matches!(end, End::Failed);
        track.idle = match end {
            End::News(revision) => {
                track.seen = revision;
                0
            }
            End::NothingNew | End::Failed => track.idle.saturating_add(1),
        };
        if track.idle > 0 {
            track.rest_until = Instant::now() + back_off(track.idle, FIRST_REST, LONGEST_REST);
        }
    }
}

impl Consul {
    pub(super) async fn wait_for_change(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        let Start { rest, failed, seen } = self.pace.begin(prefix);
        tokio::time::sleep(rest).await;
        let started = Instant::now();
        let after = (revision > 0 && !failed).then_some(revision);
        let mut result = self.read(prefix, after.map_or_else(|| self.now(), Age::After)).await;
        // Restored, or the newest key's tombstone was reaped: what was read may be from before. Or, where any server
        // may answer, this one is behind those that answered before. Only the leader can tell.
        let sure = after.is_none() && !self.stale;
        if !sure && result.as_ref().is_ok_and(|snapshot| snapshot.revision < after.unwrap_or(seen)) {
            result = self.read(prefix, Age::Latest).await;
        }
        let end = match &result {
            Err(_) => End::Failed,
            Ok(snapshot) if snapshot.revision != revision => End::News(snapshot.revision),
            // Nothing changed for as long as was asked for: no reason to rest.
            Ok(_) if started.elapsed() > Duration::from_secs(1) => End::News(revision),
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
            assert_eq!(pace.begin("a/").rest, Duration::ZERO);
            pace.end("a/", End::News(1));
        }
        let rest = pace.begin("a/").rest;
        assert!(rest > Duration::from_millis(40) && rest <= Duration::from_millis(50));
        assert_eq!(pace.begin("b/").rest, Duration::ZERO, "each prefix has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_without_news_slow_the_loop_down_and_news_end_that() {
        let pace = Pace::default();
        let mut total = Duration::ZERO;
        for _ in 0..20 {
            let rest = pace.begin("a/").rest;
            tokio::time::sleep(rest).await;
            total += rest;
            pace.end("a/", End::NothingNew);
        }
        assert!(total > Duration::from_secs(10), "{total:?}");
        let Start { rest, failed, .. } = pace.begin("a/");
        assert!(rest <= LONGEST_REST && !failed);
        tokio::time::sleep(rest).await;
        pace.end("a/", End::News(1));
        assert_eq!(pace.begin("a/").rest, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_watch_starts_from_nothing() {
        let pace = Pace::default();
        pace.begin("a/");
        pace.end("a/", End::News(7));
        pace.begin("a/");
        pace.end("a/", End::Failed);
        let Start { rest, failed, seen } = pace.begin("a/");
        assert!(failed && rest > Duration::ZERO);
        assert_eq!(seen, 7, "what was known is still known");
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_were_given_up_delay_little() {
        let pace = Pace::default();
        for _ in 0..1000 {
            pace.begin("a/");
        }
        assert!(pace.begin("a/").rest <= Duration::from_millis(100));
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
