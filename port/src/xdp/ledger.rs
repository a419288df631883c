//! Which chunks a socket's kernel side has: those that it may receive into, and those that it is sending. What the kernel
//! hands back counts only if it is here, so that no chunk is ever in two places.

use super::umem::{CHUNK, Chunk};

/// A set of chunks.
#[derive(Debug)]
pub(super) struct Ledger {
    words: Box<[u64]>,
    count: usize,
}

impl Ledger {
    /// An empty set among so many chunks.
    pub(super) fn new(chunks: usize) -> Ledger {
        Ledger { words: vec![0; chunks.div_ceil(64)].into_boxed_slice(), count: 0 }
    }

    /// How many are in it.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Notes that the kernel has it.
    pub(super) fn insert(&mut self, chunk: Chunk) {
        if let Some(word) = self.words.get_mut(chunk as usize / 64) {
            self.count += usize::from(*word & bit(chunk) == 0);
            *word |= bit(chunk);
        }
    }

    /// The chunk that the kernel hands back by an address in it, if it had it.
    #[inline]
    pub(super) fn remove(&mut self, address: u64) -> Option<Chunk> {
        let chunk = Chunk::try_from(address / CHUNK as u64).ok()?;
        let word = self.words.get_mut(chunk as usize / 64).filter(|word| **word & bit(chunk) != 0)?;
        *word &= !bit(chunk);
        self.count -= 1;
        Some(chunk)
    }

    /// Empties it.
    pub(super) fn drain(&mut self) -> Vec<Chunk> {
        let words = std::mem::take(&mut self.words);
        self.count = 0;
        let of_word = |(index, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| index as Chunk * 64 + bit)
        };
        words.iter().enumerate().flat_map(of_word).collect()
    }
}

fn bit(chunk: Chunk) -> u64 {
    1 << (chunk % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_handed_over_comes_back_and_only_once() {
        let mut ledger = Ledger::new(100);
        [0, 63, 64, 99, 99].into_iter().for_each(|chunk| ledger.insert(chunk));
        assert_eq!(ledger.count(), 4);
        assert_eq!(ledger.remove(99 * 4096 + 256), Some(99));
        for address in [99 * 4096, 4096, 100 * 4096, u64::MAX] {
            assert_eq!(ledger.remove(address), None, "{address}");
        }
        assert_eq!((ledger.drain(), ledger.count()), (vec![0, 63, 64], 0));
        assert_eq!(ledger.remove(0), None);
    }
}
