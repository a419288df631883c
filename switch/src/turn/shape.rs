//! Ports with an egress rate: whose frames wait, and until when. The queues are [`Shaper`]s; this keeps their deadlines in
//! order, so that a round looks only at those that are due.

use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;
use wire::{Frame, Time};

use crate::PortId;
use crate::police::{Offer, Rate, Shaper};

/// The shapers of all ports that have one.
#[derive(Debug, Default)]
pub(super) struct Shapers {
    ports: HashMap<PortId, Shaped>,
    /// Ports whose frames wait, by when the first of them may go.
    waiting: BTreeSet<(Time, PortId)>,
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

    /// Sets a port's rate, or takes it away; then what waited comes back, to be sent at once.
    pub(super) fn set(&mut self, now: Time, id: PortId, rate: Option<Rate>) -> VecDeque<Frame> {
        let Some(rate) = rate else {
            let freed = self.clear(id);
            self.ports.remove(&id);
            return freed;
        };
        match self.ports.get_mut(&id) {
            Some(shaped) => shaped.shaper.set(now, rate),
            None => drop(self.ports.insert(id, Shaped { shaper: Shaper::new(now, rate), due: None })),
        }
        self.track(id);
        VecDeque::new()
    }

    /// Takes a frame for a port.
    pub(super) fn offer(&mut self, now: Time, id: PortId, frame: Frame) -> Offer {
        let Some(shaped) = self.ports.get_mut(&id) else { return Offer::Pass(frame) };
        let offer = shaped.shaper.offer(now, frame);
        if shaped.due.is_none() && matches!(offer, Offer::Held) {
            self.track(id);
        }
        offer
    }

    /// A frame whose time has come, and its port.
    pub(super) fn due(&mut self, now: Time) -> Option<(PortId, Frame)> {
        loop {
            let id = self.waiting.first().filter(|(due, _)| *due <= now)?.1;
            let frame = self.ports.get_mut(&id).and_then(|shaped| shaped.shaper.release(now));
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
    pub(super) fn clear(&mut self, id: PortId) -> VecDeque<Frame> {
        let freed = self.ports.get_mut(&id).map(|shaped| shaped.shaper.drain()).unwrap_or_default();
        self.track(id);
        freed
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
        let (mut shapers, start) = (Shapers::default(), Time::from_secs(1));
        let frame = |len: usize| Frame::from_bytes(&vec![0; len]);
        for id in [1, 2] {
            assert!(shapers.set(start, PortId(id), Some(SLOW)).is_empty());
            assert!(matches!(shapers.offer(start, PortId(id), frame(1_000)), Offer::Pass(_)));
        }
        assert!(matches!(shapers.offer(start, PortId(3), frame(60)), Offer::Pass(_)), "no rate");
        assert!(matches!(shapers.offer(start, PortId(1), frame(1_000)), Offer::Held));
        assert!(matches!(shapers.offer(start, PortId(2), frame(500)), Offer::Held));
        assert!(matches!(shapers.offer(start, PortId(2), frame(500)), Offer::Held));
        assert!(shapers.due(start).is_none());
        // A byte takes a microsecond.
        let at = |us: u64| start + Duration::from_micros(us);
        assert_eq!(shapers.next_deadline(), Some(at(500)));
        let (first, _) = shapers.due(at(500)).unwrap();
        assert_eq!((first, shapers.next_deadline()), (PortId(2), Some(at(1_000))));
        let mut ids = [shapers.due(at(1_000)).unwrap().0, shapers.due(at(1_000)).unwrap().0];
        ids.sort_unstable();
        assert_eq!((ids, shapers.next_deadline()), ([PortId(1), PortId(2)], None));
        assert!(matches!(shapers.offer(at(1_000), PortId(1), frame(800)), Offer::Held));
        assert_eq!(shapers.clear(PortId(1)).len(), 1);
        assert!(matches!(shapers.offer(at(1_000), PortId(1), frame(800)), Offer::Held), "the rate is still there");
        assert_eq!(shapers.set(at(1_000), PortId(1), None).len(), 1);
        assert_eq!(shapers.next_deadline(), None);
    }
}
