//! When to spin and when to sleep. A thread that sleeps has to be woken, on a virtual machine often through a halted CPU:
//! that costs more than forwarding a 64 KB super-frame, for the one who wakes as for the one who is woken. So while frames
//! come close together the loop looks again for a while before it sleeps; it offers its CPU to others at every look.

use std::hint::spin_loop;
use std::thread::yield_now;
use std::time::Duration;

use wire::Time;

/// Longest time spent spinning after the last frame.
const SPIN: Duration = Duration::from_micros(100);
/// Spinning pays while idle gaps are shorter than this, wake-up included.
const GAP_NS: u64 = 80_000;
/// Pauses between two looks, a few microseconds in all: a hyperthread beside this one has the core meanwhile.
const PAUSES: usize = 100;

/// What the recent rounds were like; the averages move by an eighth per round.
#[derive(Debug)]
pub(super) struct Pace {
    last_work: Time,
    mean_gap: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { last_work: Time::ZERO, mean_gap: 2 * GAP_NS }
    }
}

impl Pace {
    /// Notes a round that took frames.
    pub(super) fn worked(&mut self, now: Time) {
        // One long pause is forgotten after some rounds, whatever its length.
        let gap = now.since(self.last_work).as_nanos().min(16 * u128::from(GAP_NS)) as u64;
        self.mean_gap = (self.mean_gap * 7 + gap) / 8;
        self.last_work = now;
    }

    /// When the last frame was there.
    pub(super) fn last_work(&self) -> Time {
        self.last_work
    }

    /// Whether to look again at once instead of sleeping.
    pub(super) fn expects_work(&self, now: Time) -> bool {
        self.mean_gap < GAP_NS && now.since(self.last_work) < SPIN
    }

    /// What a round without work does before the next look.
    pub(super) fn idle(&self, now: Time) {
        if self.expects_work(now) {
            yield_now();
            (0..PAUSES).for_each(|_| spin_loop());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(gap_us: u64) -> (Pace, Time) {
        let mut pace = Pace::default();
        let mut now = Time::from_secs(1);
        for _ in 0..100 {
            now = now + Duration::from_micros(gap_us);
            pace.worked(now);
        }
        (pace, now)
    }

    #[test]
    fn spins_while_frames_come_close_together_only() {
        let (pace, now) = paced(30);
        assert!(pace.expects_work(now + Duration::from_micros(20)));
        assert!(!pace.expects_work(now + SPIN), "not for ever");
        let (pace, now) = paced(1_000);
        assert!(!pace.expects_work(now), "frames that come seldom");
        assert!(!Pace::default().expects_work(Time::from_secs(1)), "idle");
    }
}
