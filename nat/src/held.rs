//! Later fragments that came before their first: held back, by whoever owns the frames, until it comes.
//! Bounded in all: what finds no room comes back at once, so that a flood of them costs only itself.

use std::collections::VecDeque;
use std::time::Duration;

use wire::Time;

use crate::Datagram;

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
    /// The fragment itself, when there is no room for it.
    pub fn hold(&mut self, now: Time, datagram: Datagram, fragment: T) -> Result<(), T> {
        let same = self.waiting.iter().filter(|(_, other, _)| *other == datagram).count();
        if self.waiting.len() >= self.limit || same >= self.per_datagram {
            return Err(fragment);
        }
        self.waiting.push_back((now, datagram, fragment));
        Ok(())
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
