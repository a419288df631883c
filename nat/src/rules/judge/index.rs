//! Finds the rules of a chain that a packet may match without asking every rule: tuple space search. Rules that pin the
//! same header fields under the same mask are a group, a hash from those fields to rule numbers; a packet costs one look-up
//! for each group, however many rules it has. Numbers of all groups are merged, and groups that begin further down are
//! left for later, so the rules found come in the chain's order. They are then judged as if each had come up in turn.
//!
//! Tuple space and not a decision tree: rules with side effects, jumps and returns need all candidates in order and not
//! the best one, building takes time and room in proportion to the rules, and none is stored more than sixteen times.
//! Invariant: a rule that is not found would not have matched, changed anything, or dropped the packet as malformed.

mod cover;
mod pins;
mod search;
#[cfg(test)]
mod tests;
mod words;

use hashbrown::hash_map::Entry as Place;
use hashbrown::{HashMap, HashTable};

use crate::rules::{Family, Rule};
use pins::Pins;
pub(super) use search::{Hit, Search};
pub(super) use words::Words;

/// Chains with fewer rules are walked.
const LEAST_RULES: usize = 16;
/// Groups with fewer are not worth a look-up: each of their rules is asked.
const LEAST_GROUP: u32 = 3;

/// The rules of one chain, by what they pin.
pub(super) struct Index {
    /// In the order of their first rules.
    groups: Box<[Group]>,
    /// Rule numbers, ascending from a slot's start to its end.
    rules: Box<[u32]>,
}

/// Rules that pin the same.
struct Group {
    /// The words with anything pinned, and which bits of them.
    mask: Box<[(u8, u64)]>,
    /// The lowest number in it.
    first: u32,
    table: HashTable<Slot>,
}

/// Rules that pin the same fields to the same values; or to others, if hashes collide.
struct Slot {
    hash: u64,
    start: u32,
    end: u32,
}

/// One way to match a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    group: u32,
    hash: u64,
    rule: u32,
}

impl Index {
    /// Sorts a chain's rules into groups, numbered from `first`. `None` if that would spare nothing.
    pub(super) fn of(family: Family, rules: &[Rule], first: u32) -> Option<Index> {
        if rules.len() < LEAST_RULES {
            return None;
        }
        let (mut entries, masks) = entries(family, rules, first);
        let mut sizes = vec![0; masks.len()];
        entries.iter().for_each(|entry| sizes[entry.group as usize] += 1);
        // The first group is that of rules which pin nothing.
        for entry in entries.iter_mut().filter(|entry| sizes[entry.group as usize] < LEAST_GROUP) {
            (entry.group, entry.hash) = (0, words::NOTHING);
        }
        entries.sort_unstable();
        entries.dedup();
        let mut index = Index { groups: Box::default(), rules: entries.iter().map(|entry| entry.rule).collect() };
        let mut groups = Vec::new();
        let mut start = 0;
        for same in entries.chunk_by(|one, other| one.group == other.group) {
            let mask: Box<[_]> = masks.get(same[0].group as usize)?.pinned().collect();
            if mask.is_empty() && same.len() == rules.len() {
                return None;
            }
            let (group, end) = (Group::of(mask, same, start), start + same.len() as u32);
            groups.push(group);
            start = end;
        }
        groups.sort_by_key(|group| group.first);
        index.groups = groups.into();
        Some(index)
    }
}

impl Group {
    fn of(mask: Box<[(u8, u64)]>, entries: &[Entry], mut start: u32) -> Group {
        let slots = entries.chunk_by(|one, other| one.hash == other.hash);
        let mut table = HashTable::with_capacity(slots.clone().count());
        for same in slots {
            let (hash, end) = (same[0].hash, start + same.len() as u32);
            table.insert_unique(hash, Slot { hash, start, end }, |slot| slot.hash);
            start = end;
        }
        Group { mask, first: entries.iter().map(|entry| entry.rule).min().unwrap_or(u32::MAX), table }
    }
}

/// All ways to match all rules, and the groups' masks, of which the first is empty.
fn entries(family: Family, rules: &[Rule], first: u32) -> (Vec<Entry>, Vec<Words>) {
    let (mut entries, mut masks) = (Vec::with_capacity(rules.len()), vec![Words::default()]);
    let mut numbers: HashMap<Words, u32> = HashMap::new();
    numbers.insert(Words::default(), 0);
    let mut pins = Pins::default();
    for (rule, number) in rules.iter().zip(first..) {
        for pin in pins.of(family, rule) {
            let group = match numbers.entry(pin.mask) {
                Place::Occupied(known) => *known.get(),
                Place::Vacant(new) => {
                    masks.push(pin.mask);
                    *new.insert(masks.len() as u32 - 1)
                }
            };
            entries.push(Entry { group, hash: words::hash(&pin.value, pin.mask.pinned()), rule: number });
        }
    }
    (entries, masks)
}
