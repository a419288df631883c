//! In which order the entries of a bounded table came, zone by zone: when it is full, the oldest of the zone that has most
//! makes room, so that a flood in one network costs that network alone.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::Zone;

/// The entries' keys, or whatever finds them. No zone is kept that has none.
#[derive(Debug)]
pub struct Shares<T> {
    zones: HashMap<Zone, VecDeque<T>>,
    len: usize,
}

impl<T> Default for Shares<T> {
    fn default() -> Shares<T> {
        Shares { zones: HashMap::new(), len: 0 }
    }
}

impl<T> Shares<T> {
    /// Takes note of a zone's new entry.
    pub fn push(&mut self, zone: Zone, entry: T) {
        self.zones.entry(zone).or_default().push_back(entry);
        self.len += 1;
    }

    /// How many there are of all zones.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes out the oldest entry of the zone that has most.
    pub fn pop_of_largest(&mut self) -> Option<T> {
        let zone = self.zones.iter().max_by_key(|(_, entries)| entries.len()).map(|(zone, _)| *zone)?;
        let entries = self.zones.get_mut(&zone)?;
        let entry = entries.pop_front();
        if entries.is_empty() {
            self.zones.remove(&zone);
        }
        self.len -= usize::from(entry.is_some());
        entry
    }

    /// Takes out up to `budget` entries that are over, the oldest of each zone first.
    pub fn expire(&mut self, mut budget: usize, mut is_over: impl FnMut(&T) -> bool) {
        let len = &mut self.len;
        self.zones.retain(|_, entries| {
            while budget > 0 && entries.front().is_some_and(&mut is_over) {
                entries.pop_front();
                *len -= 1;
                budget -= 1;
            }
            !entries.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_most_makes_room() {
        let mut shares = Shares::default();
        shares.push(Zone(2), 100);
        (0..3).for_each(|n| shares.push(Zone(1), n));
        assert_eq!((shares.pop_of_largest(), shares.pop_of_largest(), shares.len()), (Some(0), Some(1), 2));
        shares.expire(8, |entry| *entry == 100);
        assert_eq!((shares.pop_of_largest(), shares.pop_of_largest(), shares.is_empty()), (Some(2), None, true));
    }
}
