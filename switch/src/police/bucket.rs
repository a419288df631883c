//! A token bucket in whole numbers: no rounding is ever in anybody's favour. Over any time it lets through at most
//! rate × time + burst, or rate × time + one unit of cost where that is more than the burst.

use std::time::Duration;

use wire::Time;

use super::Rate;

/// Parts of a bit or packet that are counted: with nanoseconds, a rate per second gives whole numbers of them.
const PARTS: u64 = 1_000_000_000;
/// Keeps the longest burst inside 64 bits.
const MAX_BURST: u32 = 128 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Bits or packets a second, which are parts a nanosecond.
    rate: u64,
    capacity: i64,
    /// Below zero after a cost that was more than the capacity.
    level: i64,
    filled: Time,
}

impl Bucket {
    /// Full, counting bits.
    pub(crate) fn bytes(now: Time, rate: Rate) -> Bucket {
        let capacity = Bucket::cost(rate.burst.clamp(1, MAX_BURST) as usize);
        Bucket { rate: rate.bits.max(1), capacity, level: capacity, filled: now }
    }

    /// Full, counting packets.
    pub(crate) fn packets(now: Time, rate: u32, burst: u32) -> Bucket {
        let capacity = Bucket::cost_of_packets(u64::from(burst.max(1)));
        Bucket { rate: u64::from(rate.max(1)), capacity, level: capacity, filled: now }
    }

    /// What a frame of `len` bytes costs.
    pub(crate) fn cost(len: usize) -> i64 {
        // The longest: 128 MiB are 2^30 bits, and 2^30 times 10^9 is below 2^60.
        (len as u64).min(u64::from(MAX_BURST)).saturating_mul(8 * PARTS) as i64
    }

    /// What so many packets cost.
    pub(crate) fn cost_of_packets(packets: u64) -> i64 {
        packets.min(u64::from(u32::MAX)).saturating_mul(PARTS) as i64
    }

    /// Goes on where `old` was: another rate is no new burst.
    pub(crate) fn after(mut self, now: Time, old: &Bucket) -> Bucket {
        let mut old = old.clone();
        old.fill(now, old.capacity);
        self.level = old.level.min(self.capacity);
        self
    }

    /// What is there when it is full.
    pub(crate) fn capacity(&self) -> i64 {
        self.capacity
    }

    /// Takes a cost out if it is there. What costs more than fits is let through by a full bucket, which then owes.
    pub(crate) fn take(&mut self, now: Time, cost: i64) -> bool {
        self.take_late(now, Duration::ZERO, cost)
    }

    /// The same for those who had to wait and would have gone before, had anybody looked: it is filled, above its capacity if
    /// need be, by what `late` brings at the most. What they do not take is gone when [`Bucket::take`] is next asked.
    pub(crate) fn take_late(&mut self, now: Time, late: Duration, cost: i64) -> bool {
        self.make_up(now, late);
        if self.level < cost.min(self.capacity) {
            return false;
        }
        self.level -= cost;
        true
    }

    /// When [`Bucket::take`] will let this cost through, if nothing else is taken before.
    pub(crate) fn ready_at(&self, cost: i64) -> Time {
        self.filled + self.wait(cost.min(self.capacity))
    }

    /// How long it takes, since it was last filled, until so much has come in, what is there included.
    pub(crate) fn wait(&self, cost: i64) -> Duration {
        let missing = cost.saturating_sub(self.level).max(0) as u64;
        Duration::from_nanos(missing.div_ceil(self.rate))
    }

    /// Fills it for [`Bucket::take_late`].
    pub(crate) fn make_up(&mut self, now: Time, late: Duration) {
        let more = (late.as_nanos() as u64).saturating_mul(self.rate).min(1 << 61) as i64;
        self.fill(now, self.capacity.saturating_add(more));
    }

    fn fill(&mut self, now: Time, most: i64) {
        let elapsed = now.since(self.filled).as_nanos();
        let room = most.saturating_sub(self.level).max(0) as u128;
        self.level = (self.level + (elapsed * u128::from(self.rate)).min(room) as i64).min(most);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(bits: u64, burst: u32) -> Rate {
        Rate { bits, burst }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Time::from_secs(5);
        let mut bucket = Bucket::bytes(start, rate(8_000, 3_000));
        assert!((0..3).all(|_| bucket.take(start, Bucket::cost(1_000))));
        assert!(!bucket.take(start, Bucket::cost(1)));
        assert_eq!(bucket.ready_at(Bucket::cost(1_000)), Time::from_secs(6), "a kilobyte a second");
        assert!(!bucket.take(start + Duration::from_nanos(999_999_999), Bucket::cost(1_000)));
        assert!(bucket.take(Time::from_secs(6), Bucket::cost(1_000)));
    }

    #[test]
    fn a_frame_longer_than_the_burst_passes_and_is_paid_off() {
        let start = Time::from_secs(1);
        let mut bucket = Bucket::bytes(start, rate(8_000, 1_000));
        assert!(bucket.take(start, Bucket::cost(5_000)), "the bucket was full");
        assert_eq!(bucket.ready_at(Bucket::cost(1_000)), Time::from_secs(6));
        assert!(!bucket.take(Time::from_secs(5), Bucket::cost(1_000)));
        assert!(bucket.take(Time::from_secs(6), Bucket::cost(1_000)));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut bucket = Bucket::bytes(Time::ZERO, rate(u64::MAX, u32::MAX));
        let end = Time::from_nanos(u64::MAX);
        assert!(bucket.take(end, Bucket::cost(usize::MAX)) && bucket.take(end, 0));
        assert!(!bucket.take(end, Bucket::cost(1)));
        let mut slow = Bucket::packets(Time::ZERO, 0, u32::MAX);
        assert!(slow.take(Time::ZERO, Bucket::cost_of_packets(u64::MAX)));
        assert_eq!(slow.ready_at(Bucket::cost_of_packets(1)), Time::from_secs(1));
    }

    #[test]
    fn what_lateness_brought_is_gone_when_nobody_waits() {
        let start = Time::from_secs(1);
        let mut bucket = Bucket::bytes(start, rate(8_000, 1_000));
        assert!(bucket.take(start, Bucket::cost(1_000)));
        let late = start + Duration::from_secs(60);
        assert!(bucket.take_late(late, Duration::from_secs(5), Bucket::cost(1_000)), "six seconds' kilobytes");
        assert!(bucket.take(late, Bucket::cost(1_000)), "a burst");
        assert!(!bucket.take(late, Bucket::cost(1)), "and no more");
    }

    #[test]
    fn another_rate_is_no_new_burst() {
        let start = Time::from_secs(1);
        let mut bucket = Bucket::bytes(start, rate(8_000, 3_000));
        assert!(bucket.take(start, Bucket::cost(2_500)));
        let mut smaller = Bucket::bytes(start, rate(16_000, 1_000)).after(start, &bucket);
        assert!(smaller.take(start, Bucket::cost(500)) && !smaller.take(start, Bucket::cost(1)));
        let later = Time::from_secs(2);
        let mut larger = Bucket::bytes(later, rate(8_000, 9_000)).after(later, &bucket);
        assert!(larger.take(later, Bucket::cost(1_500)) && !larger.take(later, Bucket::cost(1)));
    }

    proptest! {
        #[test]
        fn never_more_than_rate_times_time_and_a_burst(
            bits in 1u64..20_000_000_000,
            burst in 1u32..2_000_000,
            frames in proptest::collection::vec((0u64..3_000_000, 1usize..65_600), 1..300),
        ) {
            let start = Time::from_secs(1);
            let mut bucket = Bucket::bytes(start, rate(bits, burst));
            let (mut now, mut passed) = (start, 0u128);
            let longest = frames.iter().map(|(_, len)| *len as u128).max().unwrap_or(0);
            for (gap, len) in frames {
                now = now + Duration::from_nanos(gap);
                if bucket.take(now, Bucket::cost(len)) {
                    passed += len as u128;
                }
                let most = u128::from(bits) * now.since(start).as_nanos() / 8_000_000_000;
                prop_assert!(passed <= most + u128::from(burst).max(longest));
            }
        }

        #[test]
        fn ready_at_is_the_first_moment(
            bits in 1u64..1_000_000_000,
            burst in 1u32..200_000,
            lens in proptest::collection::vec(1usize..65_600, 1..40),
        ) {
            let mut now = Time::from_secs(1);
            let mut bucket = Bucket::bytes(now, rate(bits, burst));
            for len in lens {
                let ready = bucket.ready_at(Bucket::cost(len)).max(now);
                if ready > now {
                    prop_assert!(!bucket.clone().take(ready - Duration::from_nanos(1), Bucket::cost(len)));
                }
                prop_assert!(bucket.take(ready, Bucket::cost(len)));
                now = ready;
            }
        }
    }
}
