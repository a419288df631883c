//! From a key's hash to its flow's slot. Grows without a pause: another table is filled a few slots at a time, while the old one
//! still answers, and becomes no smaller. As small as what was in it at once allows, because a look-up is a walk through memory.
//! Invariant: a slot is in one of the two tables, and the new one is never full before the old one is empty.

use hashbrown::HashTable;

/// Slots of the first table.
const FIRST: usize = 14_336;
/// Slots that are moved with each one that is added.
const MOVED: u32 = 4;

pub(crate) struct Index {
    table: HashTable<u32>,
    /// The one before it, until all is moved.
    old: HashTable<u32>,
    /// The first slot that was not moved.
    next: u32,
}

impl Index {
    pub(crate) fn new() -> Index {
        Index { table: HashTable::with_capacity(FIRST), old: HashTable::new(), next: 0 }
    }

    /// The slot of a hash that is the `same`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        match self.table.find(hash, |&at| same(at)) {
            Some(at) => Some(*at),
            None if self.old.is_empty() => None,
            None => self.find_old(hash, same),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_old(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.old.find(hash, |&at| same(at)).copied()
    }

    /// The slot of a hash, most likely: whether it is the same is not asked.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> Option<u32> {
        self.table.iter_hash(hash).next().or_else(|| self.old.iter_hash(hash).next()).copied()
    }

    /// Adds a slot that is not in it. All slots are below `slots`; `hash_of` knows the hashes of those in use.
    pub(crate) fn insert(&mut self, hash: u64, at: u32, slots: u32, hash_of: impl Fn(u32) -> Option<u64>) {
        // Full, be it of places whose slots were taken out.
        if self.table.len() == self.table.capacity() {
            self.settle(u32::MAX, &hash_of);
            // As many again, or what comes while all slots are moved.
            let len = self.table.len();
            let room = len.max((slots / MOVED) as usize).max(FIRST);
            self.old = std::mem::replace(&mut self.table, HashTable::with_capacity(len + room));
            self.next = 0;
        }
        self.settle(MOVED, &hash_of);
        self.table.insert_unique(hash, at, |&at| hash_of(at).unwrap_or_default());
    }

    /// Moves up to so many slots to the new table.
    pub(crate) fn settle(&mut self, most: u32, hash_of: impl Fn(u32) -> Option<u64>) {
        for _ in 0..most {
            if self.old.is_empty() {
                self.old = HashTable::new();
                return;
            }
            let at = self.next;
            self.next += 1;
            let Some(hash) = hash_of(at) else { continue };
            if let Ok(entry) = self.old.find_entry(hash, |&other| other == at) {
                entry.remove();
                self.table.insert_unique(hash, at, |&at| hash_of(at).unwrap_or_default());
            }
        }
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, at: u32) {
        for table in [&mut self.table, &mut self.old] {
            if let Ok(entry) = table.find_entry(hash, |&other| other == at) {
                entry.remove();
                return;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any will do that is known again; all but the last two bits differ.
    fn hash(at: u32) -> Option<u64> {
        Some(u64::from(at / 4).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn everything_is_found_while_it_grows() {
        let mut index = Index::new();
        let count = 5 * FIRST as u32;
        for at in 0..count {
            index.insert(hash(at).unwrap(), at, at + 1, hash);
            let known = at / 2;
            assert_eq!(index.find(hash(known).unwrap(), |other| other == known), Some(known));
            assert_eq!(index.find(hash(at + 4).unwrap(), |other| other > at), None);
        }
        assert!((0..count).all(|at| index.find(hash(at).unwrap(), |other| other == at) == Some(at)));
        let right = |at: &u32| index.guess(hash(*at).unwrap()).is_some_and(|guess| guess / 4 == at / 4);
        assert!((0..count).filter(right).count() > count as usize * 9 / 10);
        assert_eq!(index.len(), count as usize);
    }

    #[test]
    fn coming_and_going_makes_it_no_larger() {
        const SLOTS: u32 = FIRST as u32;
        let mut index = Index::new();
        let far = |key: u32| u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for key in 0..20 * SLOTS {
            // A slot belongs to the last key that had it.
            let hash_of = |at: u32| (at < SLOTS && at <= key).then(|| far(key - (key - at) % SLOTS));
            index.insert(far(key), key % SLOTS, SLOTS, hash_of);
            if let Some(gone) = key.checked_sub(SLOTS / 2) {
                index.remove(far(gone), gone % SLOTS);
            }
            assert!(index.table.capacity() <= 4 * FIRST, "{}", index.table.capacity());
        }
        assert_eq!(index.len(), FIRST / 2);
    }

    #[test]
    fn what_is_taken_out_is_gone_from_either_table() {
        let mut index = Index::new();
        let full = FIRST as u32;
        (0..=full).for_each(|at| index.insert(hash(at).unwrap(), at, at + 1, hash));
        assert!(!index.old.is_empty() && !index.table.is_empty());
        for at in [0, 1, full - 1, full] {
            index.remove(hash(at).unwrap(), at);
            assert_eq!(index.find(hash(at).unwrap(), |other| other == at), None);
        }
        assert_eq!(index.len(), full as usize - 3);
        index.settle(u32::MAX, hash);
        index.settle(1, hash);
        assert_eq!((index.old.len(), index.table.len()), (0, full as usize - 3));
    }
}
