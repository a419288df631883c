//! Forgetting: what was idle for too long, a few at a time; and what somebody asks to forget.
//! A connection that is found before the sweep reaches it is forgotten then: the sweep only frees memory and ports.

use wire::Time;

use super::dump::Filter;
use crate::conn::Conn;
use crate::tick::Tick;
use crate::{Direction, Tracker, Tuple, Zone};

impl Tracker {
    /// Looks at up to `budget` slots from where the last call stopped and forgets connections that were idle for too long.
    /// Says how many. Call it so that all slots ([`Tracker::slots`]) are looked at within some seconds.
    pub fn expire(&mut self, now: Time, budget: usize) -> usize {
        let now = Tick::of(now);
        self.fragments.expire(now, budget);
        let slots = self.table.slots();
        let mut removed = 0;
        for _ in 0..budget.min(slots as usize) {
            if self.hand >= slots {
                self.hand = 0;
            }
            let slot = self.hand;
            self.hand += 1;
            if self.table.at(slot).is_some_and(|conn| conn.expires <= now) {
                self.remove(slot);
                removed += 1;
            }
        }
        self.counters.expired += removed as u64;
        removed
    }

    /// Slots that a sweep has to look at.
    pub fn slots(&self) -> u32 {
        self.table.slots()
    }

    /// Removes every connection that `filter` matches, with mappings that nothing else uses; says how many.
    pub fn flush(&mut self, filter: &Filter) -> usize {
        self.flush_some(filter, 0, usize::MAX).0
    }

    /// The same for up to `budget` slots, starting at `from`: how many were removed, and where to go on, if there is more.
    pub fn flush_some(&mut self, filter: &Filter, from: u32, budget: usize) -> (usize, Option<u32>) {
        self.flush_conns(from, budget, &mut |conn| filter.matches(conn))
    }

    /// The same for connections with a direction whose ends, before translation, `which` accepts: the way, the zone that it
    /// comes from, who talks to whom.
    pub fn flush_where(
        &mut self,
        from: u32,
        budget: usize,
        which: &mut dyn FnMut(Direction, Zone, &Tuple) -> bool,
    ) -> (usize, Option<u32>) {
        let mut either = |conn: &Conn| {
            [Direction::Original, Direction::Reply].into_iter().any(|way| which(way, conn.zone(way), &conn.tuple(way)))
        };
        self.flush_conns(from, budget, &mut either)
    }

    fn flush_conns(&mut self, from: u32, budget: usize, which: &mut dyn FnMut(&Conn) -> bool) -> (usize, Option<u32>) {
        let slots = self.table.slots();
        let end = from.saturating_add(u32::try_from(budget).unwrap_or(u32::MAX)).min(slots);
        let mut removed = 0;
        for slot in from..end {
            if self.table.at(slot).is_some_and(&mut *which) {
                self.remove(slot);
                removed += 1;
            }
        }
        self.counters.flushed += removed as u64;
        (removed, (end < slots).then_some(end))
    }
}
