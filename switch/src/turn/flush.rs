//! Ending connections because somebody asked for it: a slice of the table in each round, so that traffic does not wait.

use std::collections::VecDeque;

use nat::Filter;

use super::handle::Flushed;
use crate::Switch;

/// Slots of the table in one round; some tenths of a millisecond.
const SLICE: usize = 16_384;

/// Requests, one after the other.
#[derive(Default)]
pub(super) struct Flushes {
    waiting: VecDeque<(Filter, Flushed)>,
    at: u32,
    removed: usize,
}

impl Flushes {
    pub(super) fn push(&mut self, filter: Filter, done: Flushed) {
        self.waiting.push_back((filter, done));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Does a part of what is to be done.
    pub(super) fn work(&mut self, switch: &mut Switch) {
        let Some((filter, _)) = self.waiting.front() else { return };
        let (removed, next) = switch.flush_some(filter, self.at, SLICE);
        self.removed += removed;
        self.at = next.unwrap_or(0);
        if next.is_none()
            && let Some((_, done)) = self.waiting.pop_front()
        {
            done(std::mem::take(&mut self.removed));
        }
    }
}
