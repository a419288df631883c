//! A packet's search through one chain: which rule it may match next. Rules of all groups that hold the packet are merged
//! by number; a group is looked up when its first rule could come before those that are known.

use super::words::{self, Words};
use super::{Group, Index};

/// What is left of the rules that one look-up found.
pub(in crate::rules::judge) struct Hit {
    next: u32,
    end: u32,
}

/// How far a packet has come in one chain. Its hits are the last ones, from `base`.
pub(in crate::rules::judge) struct Search {
    base: usize,
    /// The next group to look up.
    group: usize,
    /// The hit in hand.
    hit: usize,
    /// No other rule that may match has a lower number.
    until: u32,
}

impl Search {
    /// At the start of a chain.
    pub(in crate::rules::judge) fn new(hits: &[Hit]) -> Search {
        Search { base: hits.len(), group: 0, hit: usize::MAX, until: 0 }
    }

    /// Lets go of what was found.
    pub(in crate::rules::judge) fn leave(&self, hits: &mut Vec<Hit>) {
        hits.truncate(self.base);
    }
}

impl Index {
    /// The first rule from `at` that the packet may match. `at` never goes back.
    #[inline]
    pub(in crate::rules::judge) fn next(
        &self,
        search: &mut Search,
        packet: &Words,
        hits: &mut Vec<Hit>,
        at: u32,
    ) -> Option<u32> {
        let in_hand = hits.get_mut(search.hit).and_then(|hit| self.from(hit, at));
        match in_hand.filter(|rule| *rule <= search.until) {
            None => self.merge(search, packet, hits, at),
            found => found,
        }
    }

    fn merge(&self, search: &mut Search, packet: &Words, hits: &mut Vec<Hit>, at: u32) -> Option<u32> {
        let (mut best, mut second) = (u32::MAX, u32::MAX);
        let mut number = search.base;
        while let Some(hit) = hits.get_mut(number) {
            match self.from(hit, at) {
                None => {
                    hits.swap_remove(number);
                    continue;
                }
                Some(rule) if rule < best => (second, best, search.hit) = (best, rule, number),
                Some(rule) => second = second.min(rule),
            }
            number += 1;
        }
        while let Some(group) = self.groups.get(search.group).filter(|group| group.first <= best) {
            search.group += 1;
            let Some(mut hit) = group.find(packet) else { continue };
            let Some(rule) = self.from(&mut hit, at) else { continue };
            if rule < best {
                (second, best, search.hit) = (best, rule, hits.len());
            } else {
                second = second.min(rule);
            }
            hits.push(hit);
        }
        let later = self.groups.get(search.group).map_or(u32::MAX, |group| group.first);
        search.until = second.min(later);
        (best != u32::MAX).then_some(best)
    }

    /// Passes by what lies before `at`.
    #[inline]
    fn from(&self, hit: &mut Hit, at: u32) -> Option<u32> {
        while hit.next < hit.end {
            match self.rules.get(hit.next as usize) {
                Some(&rule) if rule >= at => return Some(rule),
                _ => hit.next += 1,
            }
        }
        None
    }
}

impl Group {
    #[inline]
    fn find(&self, packet: &Words) -> Option<Hit> {
        let hash = words::hash(packet, self.mask.iter().copied());
        let slot = self.table.find(hash, |slot| slot.hash == hash)?;
        Some(Hit { next: slot.start, end: slot.end })
    }
}
