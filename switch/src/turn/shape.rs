//! Ports with an egress rate: whose frames wait, and until when. The queues are [`Shaper`]s; this keeps their deadlines in
//! order, so that a round looks only at those that are due.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use wire::{Frame, Pool, Time};

use crate::PortId;
use crate::police::{Offer, Rate, Shaper};

/// Bytes that wait for all ports together: as much as sixteen full queues.
const BYTES: usize = 128 << 20;

/// The shapers of all ports that have one.
#[derive(Debug, Default)]
pub(super) struct Shapers {
    ports: HashMap<PortId, Shaped>,
    /// Ports whose frames wait, by when the first of them may go.
    waiting: BTreeSet<(Time, PortId)>,
    /// Bytes that wait.
    bytes: usize,
}

#[derive(Debug)]
struct Shaped {
    shaper: Shaper,
    /// Where it is in `waiting`.
    due: Option<Time>,
}

impl Shapers {
    /// Whether no port has a rate.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Sets a port's rate; what no longer can wait comes back. Or takes it away; then all that waited comes back, to be sent.
    pub(super) fn set(&mut self, now: Time, id: PortId, rate: Option<Rate>, pool: &mut Pool) -> Vec<Frame> {
        let Some(rate) = rate else {
            let freed = self.clear(id, pool);
            self.ports.remove(&id);
            return freed;
        };
        if !self.ports.contains_key(&id) {
            self.ports.insert(id, Shaped { shaper: Shaper::new(now, rate), due: None });
        }
        let lost = self.with(id, |shaper| shaper.set(now, rate, pool)).unwrap_or_default();
        self.track(id);
        lost
    }

    /// Takes a frame for a port.
    pub(super) fn offer(&mut self, now: Time, id: PortId, frame: Frame, pool: &mut Pool) -> Offer {
        let may_wait = self.bytes < BYTES;
        let Some(shaped) = self.ports.get_mut(&id) else { return Offer::Pass(frame) };
        let len = frame.len();
        let offer = shaped.shaper.offer(now, frame, may_wait, pool);
        if matches!(offer, Offer::Held) {
            self.bytes += len;
            if shaped.due.is_none() {
                self.track(id);
            }
        }
        offer
    }

    /// A frame whose time has come, and its port.
    pub(super) fn due(&mut self, now: Time, pool: &mut Pool) -> Option<(PortId, Frame)> {
        loop {
            let id = self.waiting.first().filter(|(due, _)| *due <= now)?.1;
            let frame = self.with(id, |shaper| shaper.release(now, pool)).flatten();
            self.track(id);
            if let Some(frame) = frame {
                return Some((id, frame));
            }
        }
    }

    /// When the next one's comes.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Gives up what waits for a port whose link is gone; its rate stays.
    pub(super) fn clear(&mut self, id: PortId, pool: &mut Pool) -> Vec<Frame> {
        let freed = self.with(id, |shaper| shaper.drain(pool)).unwrap_or_default();
        self.track(id);
        freed
    }

    /// Does something to a port's shaper, and notes what waits then.
    fn with<T>(&mut self, id: PortId, work: impl FnOnce(&mut Shaper) -> T) -> Option<T> {
        let shaper = &mut self.ports.get_mut(&id)?.shaper;
        let before = shaper.bytes();
        let done = work(shaper);
        self.bytes = self.bytes - before + shaper.bytes();
        Some(done)
    }

    /// Notes when the first frame of a port may go now.
    fn track(&mut self, id: PortId) {
        let Some(shaped) = self.ports.get_mut(&id) else { return };
        if let Some(due) = shaped.due.take() {
            self.waiting.remove(&(due, id));
        }
        shaped.due = shaped.shaper.deadline();
        self.waiting.extend(shaped.due.map(|due| (due, id)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SLOW: Rate = Rate { bits: 8_000_000, burst: 1_000 };

    #[test]
    fn ports_are_released_by_their_deadlines_and_a_rate_taken_away_frees_all() {
        let (mut shapers, start, pool) = (Shapers::default(), Time::from_secs(1), &mut Pool::new(4));
        let frame = |len: usize| Frame::from_bytes(&vec![0; len]);
        for id in [1, 2] {
            assert!(shapers.set(start, PortId(id), Some(SLOW), pool).is_empty());
            assert!(matches!(shapers.offer(start, PortId(id), frame(1_000), pool), Offer::Pass(_)));
        }
        assert!(matches!(shapers.offer(start, PortId(3), frame(60), pool), Offer::Pass(_)), "no rate");
        assert!(matches!(shapers.offer(start, PortId(1), frame(1_000), pool), Offer::Held));
        assert!(matches!(shapers.offer(start, PortId(2), frame(500), pool), Offer::Held));
        assert!(matches!(shapers.offer(start, PortId(2), frame(500), pool), Offer::Held));
        assert!(shapers.due(start, pool).is_none());
        // A byte takes a microsecond.
        let at = |us: u64| start + Duration::from_micros(us);
        assert_eq!(shapers.next_deadline(), Some(at(500)));
        let (first, _) = shapers.due(at(500), pool).unwrap();
        assert_eq!((first, shapers.next_deadline()), (PortId(2), Some(at(1_000))));
        let mut ids = [shapers.due(at(1_000), pool).unwrap().0, shapers.due(at(1_000), pool).unwrap().0];
        ids.sort_unstable();
        assert_eq!((ids, shapers.next_deadline()), ([PortId(1), PortId(2)], None));
        assert!(matches!(shapers.offer(at(1_000), PortId(1), frame(800), pool), Offer::Held));
        assert_eq!(shapers.clear(PortId(1), pool).len(), 1);
        assert!(
            matches!(shapers.offer(at(1_000), PortId(1), frame(800), pool), Offer::Held),
            "the rate is still there"
        );
        assert_eq!(shapers.set(at(1_000), PortId(1), None, pool).len(), 1);
        assert_eq!((shapers.next_deadline(), shapers.bytes), (None, 0));
    }

    #[test]
    fn what_waits_for_all_ports_together_is_bounded() {
        let (mut shapers, start, pool) = (Shapers::default(), Time::from_secs(1), &mut Pool::new(4));
        let fast = Rate { bits: 10_000_000_000, burst: 1_000 };
        for id in 0..20 {
            assert!(shapers.set(start, PortId(id), Some(fast), pool).is_empty());
            let frame = || Frame::from_bytes(&[0; 60_000]);
            while !matches!(shapers.offer(start, PortId(id), frame(), pool), Offer::Full(_)) {}
        }
        assert!((BYTES..BYTES + 60_000).contains(&shapers.bytes), "{}", shapers.bytes);
        (0..20).for_each(|id| drop(shapers.set(start, PortId(id), None, pool)));
        assert_eq!(shapers.bytes, 0);
    }
}
