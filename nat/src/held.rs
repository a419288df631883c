//! Later fragments that came before their first: held back, by whoever owns the frames, until it comes.
//! Bounded in all: what finds no room comes back at once, and when there is none, the newest of the zone that has most: a
//! flood costs only its own network.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use wire::Time;

use crate::{Datagram, Zone};

/// What waits for the first fragment of a datagram; `T` is the caller's frame with what belongs to it.
#[derive(Debug)]
pub struct Held<T> {
    waiting: VecDeque<(Time, Datagram, T)>,
    limit: usize,
    per_datagram: usize,
    patience: Duration,
}

impl<T> Held<T> {
    /// Room for `limit` fragments, `per_datagram` of one datagram, each for at most `patience`.
    pub fn new(limit: usize, per_datagram: usize, patience: Duration) -> Held<T> {
        Held { waiting: VecDeque::new(), limit, per_datagram, patience }
    }

    /// Holds a fragment back.
    ///
    /// # Errors
    /// The fragment for which there is no room: this one, or one of a zone that has more of them.
    pub fn hold(&mut self, now: Time, datagram: Datagram, fragment: T) -> Result<(), T> {
        let same = self.waiting.iter().filter(|(_, other, _)| *other == datagram).count();
        if same >= self.per_datagram {
            return Err(fragment);
        }
        let entry = (now, datagram, fragment);
        if self.waiting.len() < self.limit {
            self.waiting.push_back(entry);
            return Ok(());
        }
        match self.newest_of_larger(datagram.zone()).and_then(|at| self.waiting.remove(at)) {
            Some((_, _, other)) => {
                self.waiting.push_back(entry);
                Err(other)
            }
            None => Err(entry.2),
        }
    }

    /// Where the newest fragment of the zone that has most is, if that one would still not have fewer than `zone`.
    fn newest_of_larger(&self, zone: Zone) -> Option<usize> {
        let mut shares: HashMap<Zone, usize> = HashMap::new();
        for (_, datagram, _) in &self.waiting {
            *shares.entry(datagram.zone()).or_default() += 1;
        }
        let own = shares.get(&zone).copied().unwrap_or(0);
        let (largest, _) = shares.into_iter().max_by_key(|(_, most)| *most).filter(|(_, most)| *most > own + 1)?;
        self.waiting.iter().rposition(|(_, datagram, _)| datagram.zone() == largest)
    }

    /// Takes out all fragments of a datagram, in the order in which they came.
    pub fn release(&mut self, datagram: &Datagram, out: &mut Vec<T>) {
        for _ in 0..self.waiting.len() {
            match self.waiting.pop_front() {
                Some((_, other, fragment)) if other == *datagram => out.push(fragment),
                Some(entry) => self.waiting.push_back(entry),
                None => return,
            }
        }
    }

    /// When the one that waits for longest will have waited in vain.
    pub fn deadline(&self) -> Option<Time> {
        self.waiting.front().map(|(since, ..)| *since + self.patience)
    }

    /// Takes out one fragment that has waited in vain.
    pub fn expire(&mut self, now: Time) -> Option<T> {
        if now < self.deadline()? {
            return None;
        }
        self.waiting.pop_front().map(|(_, _, fragment)| fragment)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits: then no first fragment needs to be looked up.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
