//! How long to wait after a failure: doubling, bounded, with jitter so that many hosts do not come back as one.

use std::time::Duration;

use rand::RngExt as _;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(3);

/// The next wait.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff(FIRST)
    }

    /// It worked: the next failure is a first one again.
    pub(super) fn reset(&mut self) {
        self.0 = FIRST;
    }

    /// Between half of the current wait and all of it; the next one is longer.
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(MOST);
        wait.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_starts_again() {
        let mut backoff = Backoff::new();
        assert!(backoff.next() <= FIRST);
        for _ in 0..20 {
            assert!(backoff.next() <= MOST);
        }
        assert!(backoff.next() >= MOST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
