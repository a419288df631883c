//! Shaping: frames to a port that has a rate wait in a queue until it lets them through, in order. The queue is bounded in
//! time, frames and bytes; what finds no room is dropped, so that senders slow down.

use std::collections::VecDeque;
use std::time::Duration;

use wire::{Frame, Time};

use super::{Bucket, Rate};

/// Longest time that what is ahead of a frame may need. TCP fills any queue: this is the delay that it will see.
const AHEAD: Duration = Duration::from_millis(100);
/// Longest time that a frame waits (the recommended bridge transit delay, IEEE 802.1D table 7-3).
const WAIT: Duration = Duration::from_secs(1);
/// Frames that wait. Each has a buffer of its own.
const FRAMES: usize = 1_024;
/// Bytes that wait.
const BYTES: usize = 8 << 20;

/// What the data thread may be late by without loss to the rate: timers count milliseconds, and CPUs have other work.
const LATE: Duration = Duration::from_millis(50);

/// The egress of a port with a rate.
#[derive(Debug)]
pub(crate) struct Shaper {
    bucket: Bucket,
    queue: VecDeque<Frame>,
    bytes: usize,
}

/// What becomes of a frame.
#[derive(Debug)]
pub(crate) enum Offer {
    /// It goes at once.
    Pass(Frame),
    /// It waits.
    Held,
    /// Too much waits already.
    Full(Frame),
}

impl Shaper {
    pub(crate) fn new(now: Time, rate: Rate) -> Shaper {
        Shaper { bucket: Bucket::bytes(now, rate), queue: VecDeque::new(), bytes: 0 }
    }

    /// Goes on at another rate; what waits stays.
    pub(crate) fn set(&mut self, now: Time, rate: Rate) {
        self.bucket = Bucket::bytes(now, rate);
    }

    /// Takes a frame for the port.
    pub(crate) fn offer(&mut self, now: Time, frame: Frame) -> Offer {
        let cost = Bucket::cost(frame.len());
        if self.queue.is_empty() && self.bucket.take(now, cost) {
            return Offer::Pass(frame);
        }
        if !self.queue.is_empty() {
            self.bucket.make_up(now, LATE);
        }
        let waiting = Bucket::cost(self.bytes);
        if self.queue.len() >= FRAMES
            || self.bytes >= BYTES
            || self.bucket.wait(now, waiting) > AHEAD
            || self.bucket.wait(now, waiting.saturating_add(cost)) > WAIT
        {
            return Offer::Full(frame);
        }
        self.bytes += frame.len();
        self.queue.push_back(frame);
        Offer::Held
    }

    /// The next frame whose time has come.
    pub(crate) fn release(&mut self, now: Time) -> Option<Frame> {
        let cost = Bucket::cost(self.queue.front()?.len());
        self.bucket.make_up(now, LATE);
        if !self.bucket.take(now, cost) {
            return None;
        }
        let frame = self.queue.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// When that of the first one comes; `None`: nothing waits.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.queue.front().map(|frame| self.bucket.ready_at(Bucket::cost(frame.len())))
    }

    /// Gives up what waits.
    pub(crate) fn drain(&mut self) -> VecDeque<Frame> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(number: u64, len: usize) -> Frame {
        let mut bytes = vec![0; len.max(14)];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Frame::from_bytes(&bytes)
    }

    fn number(frame: &Frame) -> u64 {
        u64::from_be_bytes(*frame.bytes().first_chunk().unwrap())
    }

    /// Sends frames as fast as they are taken for 400 ms; says how many bytes came out.
    fn saturate(rate: Rate, len: usize, late: impl Fn(u64) -> u64) -> usize {
        let start = Time::from_secs(1);
        let mut shaper = Shaper::new(start, rate);
        let mut passed = 0;
        let mut at = 0;
        while at < 400 {
            let now = start + Duration::from_millis(at);
            at += late(at);
            while let Some(frame) = shaper.release(now) {
                passed += frame.len();
            }
            loop {
                match shaper.offer(now, frame(0, len)) {
                    Offer::Pass(frame) => passed += frame.len(),
                    Offer::Held => {}
                    Offer::Full(_) => break,
                }
            }
        }
        passed
    }

    #[test]
    fn a_full_queue_keeps_the_rate_for_small_frames_and_super_frames() {
        for len in [300, 1_514, 65_549] {
            for burst in [2_000, 125_000] {
                for late in [1, 7, 30] {
                    // The queue holds a tenth of a second's, and what is not there cannot be sent.
                    let bytes = saturate(Rate { bits: 100_000_000, burst }, len, |at| 1 + at % late);
                    let least = 5_000_000 - 12_500 * late as usize;
                    assert!((least..=5_000_000 + burst as usize + 2 * len).contains(&bytes), "{bytes} bytes of {len}");
                }
            }
        }
    }

    #[test]
    fn a_slow_rate_holds_no_frame_for_longer_than_a_second() {
        let start = Time::from_secs(1);
        let mut shaper = Shaper::new(start, Rate { bits: 100_000, burst: 2_000 });
        assert!(matches!(shaper.offer(start, frame(0, 65_000)), Offer::Pass(_)), "the bucket was full");
        assert!(matches!(shaper.offer(start, frame(1, 60)), Offer::Full(_)), "five seconds are owed");
        let later = start + Duration::from_secs(6);
        assert!(matches!(shaper.offer(later, frame(2, 2_000)), Offer::Pass(_)));
        assert!(matches!(shaper.offer(later, frame(3, 1_500)), Offer::Held));
        let due = shaper.deadline().unwrap();
        assert!(shaper.release(due - Duration::from_nanos(1)).is_none());
        assert_eq!(shaper.release(due).map(|frame| number(&frame)), Some(3));
        assert_eq!(shaper.deadline(), None);
    }

    proptest! {
        /// Order is kept, what is held comes out by its deadline, and since the start never more than rate × time + burst passed.
        #[test]
        fn in_order_in_time_and_within_the_rate(
            bits in 1_000_000u64..2_000_000_000,
            burst in 2_000u32..300_000,
            frames in proptest::collection::vec((0u64..2_000_000, 60usize..9_000), 1..200),
        ) {
            let start = Time::from_secs(1);
            let mut shaper = Shaper::new(start, Rate { bits, burst });
            let (mut now, mut passed, mut last) = (start, 0u128, None);
            let mut check = |now: Time, frame: Frame| {
                passed += frame.len() as u128;
                let most = u128::from(bits) * now.since(start).as_nanos() / 8_000_000_000;
                let fits = passed <= most + u128::from(burst).max(9_000);
                let ordered = last.replace(number(&frame)) < Some(number(&frame));
                fits && ordered
            };
            for (count, (gap, len)) in frames.into_iter().enumerate() {
                now = now + Duration::from_nanos(gap);
                while let Some(due) = shaper.deadline().filter(|due| *due <= now) {
                    let frame = shaper.release(due.max(start)).expect("its time has come");
                    prop_assert!(check(due, frame));
                }
                if let Offer::Pass(frame) = shaper.offer(now, frame(count as u64, len)) {
                    prop_assert!(check(now, frame));
                }
                if let Some(due) = shaper.deadline() {
                    prop_assert!(due.since(now) <= WAIT);
                }
            }
        }
    }
}
