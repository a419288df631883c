//! Which of several servers to ask: the one that answered last, then the others, those that failed lately last of all.
//! It sends nothing. A server that is down is never given up: with all of them down, all are tried.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

/// First back-off of a server that failed; doubles with each further failure.
const FIRST: Duration = Duration::from_millis(250);

/// Longest back-off.
const LONGEST: Duration = Duration::from_secs(10);

/// The servers of one cluster. Safe to share; no lock is held across a wait.
pub(super) struct Servers {
    list: Vec<Server>,
    /// Index of the one that answered last.
    current: AtomicUsize,
}

struct Server {
    /// `http://host:port`
    base: String,
    health: Mutex<Health>,
}

#[derive(Clone, Copy, Default)]
struct Health {
    /// In a row.
    failures: u32,
    /// Not asked before this while another server may answer.
    rest_until: Option<Instant>,
}

impl Servers {
    pub(super) fn new(bases: impl IntoIterator<Item = String>) -> Self {
        let list = bases.into_iter().map(|base| Server { base, health: Mutex::default() }).collect();
        Servers { list, current: AtomicUsize::new(0) }
    }

    /// All servers in the order in which to try them now.
    pub(super) fn order(&self) -> Vec<usize> {
        let now = Instant::now();
        let first = self.current.load(Ordering::Relaxed);
        let count = self.list.len();
        let mut order: Vec<usize> = (0..count).map(|i| (first + i) % count).collect();
        // A stable sort: those that do not rest keep their turn, the others follow by the end of their rest.
        order.sort_by_key(|&i| self.health(i).rest_until.filter(|end| *end > now));
        order
    }

    /// `http://host:port` of a server that [`order`](Self::order) named.
    pub(super) fn base(&self, server: usize) -> &str {
        &self.list[server].base
    }

    pub(super) fn succeeded(&self, server: usize) {
        self.current.store(server, Ordering::Relaxed);
        self.set(server, Health::default());
    }

    pub(super) fn failed(&self, server: usize) {
        let failures = self.health(server).failures.saturating_add(1);
        self.set(server, Health { failures, rest_until: Some(Instant::now() + back_off(failures, FIRST, LONGEST)) });
    }

    fn health(&self, server: usize) -> Health {
        *self.list[server].health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, server: usize, health: Health) {
        *self.list[server].health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// How long to rest after a number of failures in a row (from 1): doubling from `first` to `longest`, and of that a
/// random part between half and all, so that many hosts do not come back at once.
pub(super) fn back_off(failures: u32, first: Duration, longest: Duration) -> Duration {
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Servers {
        Servers::new(["a", "b", "c"].map(str::to_owned))
    }

    #[test]
    fn a_failed_server_comes_last_and_the_one_that_answers_first() {
        let servers = three();
        assert_eq!(servers.order(), [0, 1, 2]);
        servers.failed(0);
        assert_eq!(servers.order(), [1, 2, 0]);
        servers.succeeded(2);
        assert_eq!(servers.order(), [2, 1, 0]);
        assert_eq!(servers.base(2), "c");
    }

    #[test]
    fn with_all_failed_all_are_still_tried() {
        let servers = three();
        for i in 0..3 {
            servers.failed(i);
        }
        let mut order = servers.order();
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        for failures in 1..100 {
            let rest = back_off(failures, FIRST, LONGEST);
            assert!(rest >= FIRST / 2 && rest <= LONGEST, "{failures}: {rest:?}");
        }
        assert!(back_off(100, FIRST, LONGEST) >= LONGEST / 2);
    }
}
