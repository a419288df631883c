//! Shaping: frames to a port that has a rate wait in a queue until it lets them through, in order. The queue is bounded in
//! time, frames and bytes; what finds no room is dropped, so that senders slow down.

use std::collections::VecDeque;
use std::time::Duration;

use wire::{Frame, Offload, Pool, Time};

use super::{Bucket, Rate, wire_len};

/// Longest time that what is ahead of a frame may need. TCP fills any queue: this is the delay that it will see.
const AHEAD: Duration = Duration::from_millis(100);
/// Longest time that a frame waits (the recommended bridge transit delay, IEEE 802.1D table 7-3).
const WAIT: Duration = Duration::from_secs(1);
/// Frames that wait.
const FRAMES: usize = 1_024;
/// Bytes that wait.
const BYTES: usize = 8 << 20;
/// Frames up to here wait in a copy: a frame's own buffer has room for the longest, and memory counts.
const COPIED: usize = Frame::MAX_LEN / 4;

/// What the data thread may be late by without loss to the rate: timers count milliseconds, and CPUs have other work.
const LATE: Duration = Duration::from_millis(50);

/// The egress of a port with a rate.
#[derive(Debug)]
pub(crate) struct Shaper {
    rate: Rate,
    bucket: Bucket,
    queue: VecDeque<Held>,
    bytes: usize,
    /// What sending those will cost.
    cost: i64,
}

/// A frame that waits, in no more memory than four times its length.
#[derive(Debug)]
struct Held {
    cost: i64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Copy(Box<[u8]>, Offload),
    Whole(Frame),
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

impl Held {
    fn new(frame: Frame, cost: i64, pool: &mut Pool) -> Held {
        let content = match frame.len() <= COPIED {
            true => {
                let copy = Content::Copy(frame.bytes().into(), frame.offload);
                pool.put(frame);
                copy
            }
            false => Content::Whole(frame),
        };
        Held { cost, content }
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Copy(bytes, _) => bytes.len(),
            Content::Whole(frame) => frame.len(),
        }
    }

    fn take(self, pool: &mut Pool) -> Frame {
        match self.content {
            Content::Copy(bytes, offload) => {
                let mut frame = pool.get();
                frame.fill(&bytes);
                frame.offload = offload;
                frame
            }
            Content::Whole(frame) => frame,
        }
    }
}

impl Shaper {
    pub(crate) fn new(now: Time, rate: Rate) -> Shaper {
        Shaper { rate, bucket: Bucket::bytes(now, rate), queue: VecDeque::new(), bytes: 0, cost: 0 }
    }

    /// Goes on at another rate. What waits stays, as far as it would be taken now; the rest comes back.
    pub(crate) fn set(&mut self, now: Time, rate: Rate, pool: &mut Pool) -> Vec<Frame> {
        if rate == self.rate {
            return Vec::new();
        }
        self.rate = rate;
        self.bucket = Bucket::bytes(now, rate).after(now, &self.bucket);
        let mut lost = Vec::new();
        for held in self.empty() {
            match self.fits(held.cost) {
                true => self.push(held),
                false => lost.push(held.take(pool)),
            }
        }
        lost
    }

    /// Bytes of the frames that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a frame for the port; it does not wait unless `may_wait`.
    pub(crate) fn offer(&mut self, now: Time, frame: Frame, may_wait: bool, pool: &mut Pool) -> Offer {
        // Others' headers may be more than its own bytes, but nobody else is to pay for them.
        let len = Bucket::cost(frame.len());
        let cost = Bucket::cost(wire_len(&frame)).min(self.bucket.capacity()).max(len);
        if self.queue.is_empty() {
            if self.bucket.take(now, cost) {
                return Offer::Pass(frame);
            }
        } else {
            self.bucket.make_up(now, LATE);
        }
        if !may_wait || !self.fits(cost) {
            return Offer::Full(frame);
        }
        self.push(Held::new(frame, cost, pool));
        Offer::Held
    }

    fn fits(&self, cost: i64) -> bool {
        self.queue.len() < FRAMES
            && self.bytes < BYTES
            && self.bucket.wait(self.cost) <= AHEAD
            && self.bucket.wait(self.cost.saturating_add(cost)) <= WAIT
    }

    fn push(&mut self, held: Held) {
        self.bytes += held.len();
        self.cost += held.cost;
        self.queue.push_back(held);
    }

    /// The next frame whose time has come.
    pub(crate) fn release(&mut self, now: Time, pool: &mut Pool) -> Option<Frame> {
        let cost = self.queue.front()?.cost;
        if !self.bucket.take_late(now, LATE, cost) {
            return None;
        }
        let held = self.queue.pop_front()?;
        self.bytes -= held.len();
        self.cost -= cost;
        Some(held.take(pool))
    }

    /// When that of the first one comes; `None`: nothing waits.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.queue.front().map(|held| self.bucket.ready_at(held.cost))
    }

    /// Gives up what waits.
    pub(crate) fn drain(&mut self, pool: &mut Pool) -> Vec<Frame> {
        self.empty().into_iter().map(|held| held.take(pool)).collect()
    }

    fn empty(&mut self) -> VecDeque<Held> {
        (self.bytes, self.cost) = (0, 0);
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use wire::Gso;

    use super::*;

    fn frame(number: u64, len: usize) -> Frame {
        let mut bytes = vec![0; len.max(14)];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Frame::from_bytes(&bytes)
    }

    fn number(frame: &Frame) -> u64 {
        u64::from_be_bytes(*frame.bytes().first_chunk().unwrap())
    }

    fn offer(shaper: &mut Shaper, now: Time, frame: Frame) -> Offer {
        shaper.offer(now, frame, true, &mut Pool::new(1))
    }

    fn release(shaper: &mut Shaper, now: Time) -> Option<Frame> {
        shaper.release(now, &mut Pool::new(1))
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
            while let Some(frame) = release(&mut shaper, now) {
                passed += frame.len();
            }
            loop {
                match offer(&mut shaper, now, frame(0, len)) {
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
        assert!(matches!(offer(&mut shaper, start, frame(0, 65_000)), Offer::Pass(_)), "the bucket was full");
        assert!(matches!(offer(&mut shaper, start, frame(1, 60)), Offer::Full(_)), "five seconds are owed");
        let later = start + Duration::from_secs(6);
        assert!(matches!(offer(&mut shaper, later, frame(2, 2_000)), Offer::Pass(_)));
        assert!(matches!(offer(&mut shaper, later, frame(3, 1_500)), Offer::Held));
        let due = shaper.deadline().unwrap();
        assert!(release(&mut shaper, due - Duration::from_nanos(1)).is_none());
        assert_eq!(release(&mut shaper, due).map(|frame| number(&frame)), Some(3));
        assert_eq!(shaper.deadline(), None);
    }

    #[test]
    fn a_lower_rate_keeps_only_what_it_sends_in_time() {
        let start = Time::from_secs(1);
        let mut shaper = Shaper::new(start, Rate { bits: 1_000_000_000, burst: 65_536 });
        let all =
            (0..900).take_while(|number| !matches!(offer(&mut shaper, start, frame(*number, 10_000)), Offer::Full(_)));
        let held = all.count() - 6;
        assert!(held > 800, "{held}");
        assert!(shaper.set(start, Rate { bits: 1_000_000_000, burst: 65_536 }, &mut Pool::new(1)).is_empty());
        let lost = shaper.set(start, Rate { bits: 1_000_000, burst: 65_536 }, &mut Pool::new(1));
        // 125 kB a second: a hundred milliseconds' are ahead of the last one.
        assert_eq!(held - lost.len(), 2);
        assert_eq!(shaper.bytes(), 20_000);
        let mut last = start;
        while let Some(due) = shaper.deadline() {
            last = due;
            assert!(release(&mut shaper, due).is_some());
        }
        assert!(last.since(start) <= WAIT);
        assert!(matches!(offer(&mut shaper, last, frame(1, 1_000)), Offer::Held), "a new one waits, for what it costs");
    }

    #[test]
    fn lateness_is_made_up_for_while_frames_wait_and_no_longer() {
        let start = Time::from_secs(1);
        let at = |ms| start + Duration::from_millis(ms);
        // A kilobyte a millisecond, and 65 at once.
        let mut shaper = Shaper::new(start, Rate { bits: 8_000_000, burst: 65_000 });
        (0..65).for_each(|_| assert!(matches!(offer(&mut shaper, start, frame(0, 1_000)), Offer::Pass(_))));
        (0..10).for_each(|_| assert!(matches!(offer(&mut shaper, start, frame(0, 1_000)), Offer::Held)));
        // So late that far more than a burst has come in.
        (0..10).for_each(|_| assert!(release(&mut shaper, at(200)).is_some()));
        let passed = (0..200).take_while(|_| matches!(offer(&mut shaper, at(200), frame(0, 1_000)), Offer::Pass(_)));
        assert_eq!(passed.count(), 65, "a burst and no more");
    }

    #[test]
    fn a_small_frame_that_waits_takes_little_memory_and_comes_out_as_it_was() {
        let (start, mut pool) = (Time::from_secs(1), Pool::new(8));
        let mut shaper = Shaper::new(start, Rate { bits: 8_000_000, burst: 65_536 });
        assert!(matches!(shaper.offer(start, frame(0, 65_536), true, &mut pool), Offer::Pass(_)));
        let mut small = frame(1, 1_514);
        small.offload = Offload::segmented(Gso::Tcp4, 700, 54, 34, 16);
        let (bytes, offload) = (small.bytes().to_vec(), small.offload);
        assert!(matches!(shaper.offer(start, small, true, &mut pool), Offer::Held));
        assert!(matches!(shaper.queue[0].content, Content::Copy(..)), "its buffer is free");
        assert!(matches!(shaper.offer(start, frame(2, 30_000), true, &mut pool), Offer::Held));
        assert!(matches!(shaper.offer(start, frame(3, 60), false, &mut pool), Offer::Full(_)));
        let out = shaper.release(start + WAIT, &mut pool).unwrap();
        assert_eq!((out.bytes(), out.offload), (&bytes[..], offload));
        assert_eq!(shaper.drain(&mut pool).iter().map(number).collect::<Vec<_>>(), [2]);
        assert_eq!((shaper.bytes(), shaper.cost), (0, 0));
    }

    #[test]
    fn a_super_frame_of_tiny_segments_pays_for_its_headers_but_leaves_no_debt() {
        let start = Time::from_secs(1);
        let tiny = || {
            let mut tiny = Frame::from_bytes(&[0; 10_054]);
            tiny.offload = Offload::segmented(Gso::Udp, 100, 54, 46, 6);
            tiny
        };
        let mut shaper = Shaper::new(start, Rate { bits: 8_000_000, burst: 15_000 });
        assert!(matches!(offer(&mut shaper, start, tiny()), Offer::Pass(_)));
        // A hundred headers of 54 bytes: the burst is used up.
        assert!(matches!(offer(&mut shaper, start, frame(0, 60)), Offer::Held));
        assert_eq!(shaper.deadline(), Some(start + Duration::from_micros(60)));
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
                    let frame = release(&mut shaper, due.max(start)).expect("its time has come");
                    prop_assert!(check(due, frame));
                }
                if let Offer::Pass(frame) = offer(&mut shaper, now, frame(count as u64, len)) {
                    prop_assert!(check(now, frame));
                }
                if let Some(due) = shaper.deadline() {
                    prop_assert!(due.since(now) <= WAIT);
                }
            }
        }
    }
}
