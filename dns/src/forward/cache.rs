//! Answers that are still good. Bounded by bytes; when it is full, whoever has most in it loses what it has not used for
//! longest, so that a client that asks for ever new names displaces its own network's answers only.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;

use super::answer::Answer;
use super::question::Question;

/// What an entry costs besides its texts: its places in three tables.
const ENTRY: usize = 200;

#[derive(Debug)]
struct Entry {
    answer: Answer,
    owner: u64,
    since: Duration,
    used: u64,
}

/// What one owner has in the cache.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    /// By last use.
    order: BTreeMap<u64, Question>,
}

/// The cache.
#[derive(Debug)]
pub(super) struct Cache {
    room: usize,
    bytes: usize,
    entries: HashMap<Question, Entry>,
    shares: HashMap<u64, Share>,
    clock: u64,
}

impl Cache {
    /// An empty one of at most `room` bytes.
    pub(super) fn new(room: usize) -> Cache {
        Cache { room, bytes: 0, entries: HashMap::new(), shares: HashMap::new(), clock: 0 }
    }

    /// An answer and its age.
    pub(super) fn get(&mut self, now: Duration, question: &Question) -> Option<(&Answer, Duration)> {
        let entry = self.entries.get(question)?;
        if now.saturating_sub(entry.since) >= entry.answer.life {
            self.remove(question);
            return None;
        }
        self.clock += 1;
        let entry = self.entries.get_mut(question)?;
        if let Some(share) = self.shares.get_mut(&entry.owner)
            && let Some(question) = share.order.remove(&entry.used)
        {
            share.order.insert(self.clock, question);
            entry.used = self.clock;
        }
        Some((&entry.answer, now.saturating_sub(entry.since)))
    }

    /// Keeps an answer on behalf of an owner, if it may be kept.
    pub(super) fn insert(&mut self, now: Duration, owner: u64, question: Question, answer: Answer) {
        self.remove(&question);
        let bytes = size(&question, &answer);
        if answer.life.is_zero() || bytes > self.room / 8 {
            return;
        }
        while self.bytes + bytes > self.room {
            let most = self.shares.values().max_by_key(|share| share.bytes);
            let Some(oldest) = most.and_then(|share| share.order.values().next()).cloned() else { return };
            self.remove(&oldest);
        }
        self.clock += 1;
        self.bytes += bytes;
        let share = self.shares.entry(owner).or_default();
        share.bytes += bytes;
        share.order.insert(self.clock, question.clone());
        self.entries.insert(question, Entry { answer, owner, since: now, used: self.clock });
    }

    fn remove(&mut self, question: &Question) {
        let Some(entry) = self.entries.remove(question) else { return };
        let bytes = size(question, &entry.answer);
        self.bytes -= bytes;
        let Some(share) = self.shares.get_mut(&entry.owner) else { return };
        share.bytes -= bytes;
        share.order.remove(&entry.used);
        if share.order.is_empty() {
            self.shares.remove(&entry.owner);
        }
    }

    /// Forgets everything; how many answers that were.
    pub(super) fn flush(&mut self) -> usize {
        let count = self.entries.len();
        *self = Cache { clock: self.clock, ..Cache::new(self.room) };
        count
    }

    /// Answers, good or over, and their bytes.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}

fn size(question: &Question, answer: &Answer) -> usize {
    2 * question.size() + answer.size() + ENTRY
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::Heard;
    use super::*;
    use crate::Query;

    /// An answer of one address with that TTL.
    fn pair(number: u32, ttl: u32) -> (Question, Answer) {
        let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8];
        query.extend_from_slice(format!("{number:08}").as_bytes());
        query.extend_from_slice(&[0, 0, 1, 0, 1]);
        let question = Question::of(&Query::parse(&query).unwrap());
        let mut reply = query;
        (reply[2], reply[7]) = (0x81, 1);
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        reply.extend_from_slice(&ttl.to_be_bytes());
        reply.extend_from_slice(&[0, 4, 10, 0, 0, 1]);
        let Heard::Settled(answer) = Heard::read(&question, 1, &reply) else { panic!() };
        (question, answer)
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_ages_and_ends() {
        let mut cache = Cache::new(10_000);
        let (question, answer) = pair(1, 30);
        cache.insert(at(100), 1, question.clone(), answer);
        assert_eq!(cache.get(at(129), &question).map(|(_, age)| age), Some(at(29)));
        assert!(cache.get(at(130), &question).is_none());
        assert_eq!(cache.usage(), (0, 0));
        let (question, answer) = pair(1, 0);
        cache.insert(at(100), 1, question.clone(), answer);
        assert!(cache.get(at(100), &question).is_none(), "not to be kept");
    }

    #[test]
    fn a_flood_displaces_its_own() {
        let mut cache = Cache::new(20_000);
        let (mine, answer) = pair(0, 1_000);
        cache.insert(at(0), 1, mine.clone(), answer);
        for number in 1..1_000 {
            let (question, answer) = pair(number, 1_000);
            cache.insert(at(1), 2, question, answer);
        }
        assert!(cache.get(at(2), &mine).is_some());
        assert!(cache.get(at(2), &pair(999, 1).0).is_some() && cache.get(at(2), &pair(1, 1).0).is_none());
    }

    proptest! {
        #[test]
        fn bytes_are_counted_whatever_happens(steps in prop::collection::vec((0..3_u8, 0..3_u64, 0..40_u32), 1..300)) {
            let mut cache = Cache::new(6_000);
            for (time, (what, owner, number)) in steps.into_iter().enumerate() {
                let (question, answer) = pair(number, number + 1);
                match what {
                    0 => drop(cache.get(at(time as u64), &question)),
                    1 => cache.insert(at(time as u64), owner, question, answer),
                    _ => cache.remove(&question),
                }
                let total: usize = cache.entries.iter().map(|(question, entry)| size(question, &entry.answer)).sum();
                let shares: usize = cache.shares.values().map(|share| share.bytes).sum();
                let ordered: usize = cache.shares.values().map(|share| share.order.len()).sum();
                prop_assert!(cache.bytes <= cache.room);
                prop_assert_eq!((total, shares, ordered), (cache.bytes, cache.bytes, cache.entries.len()));
            }
            cache.flush();
            prop_assert_eq!(cache.usage(), (0, 0));
        }
    }
}
