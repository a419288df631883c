//! When to spin and when to sleep. Spinning saves the wake-up's latency when the next frame comes within microseconds, as
//! in request/response traffic; under bulk load it only takes the core from those who make the load.

use std::time::Duration;

use wire::Time;

/// Longest time spent spinning after the last frame.
const SPIN: Duration = Duration::from_micros(50);
/// Spinning pays while idle gaps are shorter than this, wake-up included.
const GAP_NS: u64 = 80_000;
/// Rounds that carry more than this are bulk load.
const LIGHT_BYTES: u64 = 3_000;

/// What the recent rounds were like; averages move by an eighth per round.
#[derive(Debug)]
pub(super) struct Pace {
    last_work: Time,
    mean_gap: u64,
    mean_bytes: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { last_work: Time::ZERO, mean_gap: 2 * GAP_NS, mean_bytes: 0 }
    }
}

impl Pace {
    /// Notes what a round did: frames and bytes taken.
    pub(super) fn worked(&mut self, now: Time, (frames, bytes): (usize, usize)) {
        if frames == 0 {
            return;
        }
        let gap = now.since(self.last_work).as_nanos().min(16 * u128::from(GAP_NS)) as u64;
        self.mean_gap = (self.mean_gap * 7 + gap) / 8;
        self.mean_bytes = (self.mean_bytes * 7 + bytes as u64) / 8;
        self.last_work = now;
    }

    /// Whether to look again at once instead of sleeping.
    pub(super) fn expects_work(&self, now: Time) -> bool {
        self.mean_gap < GAP_NS && self.mean_bytes < LIGHT_BYTES && now.since(self.last_work) < SPIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(gap_us: u64, bytes: usize) -> (Pace, Time) {
        let mut pace = Pace::default();
        let mut now = Time::from_secs(1);
        for _ in 0..100 {
            now = now + Duration::from_micros(gap_us);
            pace.worked(now, (1, bytes));
        }
        (pace, now)
    }

    #[test]
    fn spins_for_request_and_response_only() {
        let (pace, now) = paced(30, 66);
        assert!(pace.expects_work(now + Duration::from_micros(20)));
        assert!(!pace.expects_work(now + SPIN), "not for ever");
        assert!(!paced(30, 60_000).0.expects_work(now), "bulk load");
        let (pace, now) = paced(1_000, 66);
        assert!(!pace.expects_work(now), "frames that come seldom");
        assert!(!Pace::default().expects_work(Time::from_secs(1)), "idle");
    }
}
