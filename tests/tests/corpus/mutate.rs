//! Mutations of an input: a few random edits at a time. The same input always gives the same ones.

/// Values at which length and counter fields turn over.
const EDGES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 8];

/// An endless row of mutations.
pub(crate) struct Mutations<'a> {
    input: &'a [u8],
    other: &'a [u8],
    bytes: Vec<u8>,
    state: u64,
}

impl<'a> Mutations<'a> {
    /// Of `input`, with pieces of `other`; `name` is the seed of the random numbers.
    pub(crate) fn new(name: &str, input: &'a [u8], other: &'a [u8]) -> Mutations<'a> {
        let state = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Mutations { input, other, bytes: Vec::new(), state }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(self.input);
        for _ in 0..=self.below(4) {
            self.edit();
        }
        &self.bytes
    }

    fn edit(&mut self) {
        if self.bytes.is_empty() {
            self.bytes.push(0);
        }
        let at = self.below(self.bytes.len());
        let len = 1 + self.below(16.min(self.bytes.len() - at));
        match self.below(9) {
            0 => self.bytes[at] ^= 1 << self.below(8),
            1 => self.bytes[at] = EDGES[self.below(EDGES.len())],
            2 => self.bytes[at] = self.below(256) as u8,
            3 => self.bytes[at] = self.bytes[at].wrapping_add(1),
            4 => {
                let edge = EDGES[self.below(EDGES.len())];
                self.bytes[at..at + len].fill(edge);
            }
            5 => self.bytes.truncate(at),
            6 => drop(self.bytes.drain(at..at + len)),
            7 => self.bytes.extend_from_within(at..at + len),
            _ => {
                let from = self.below(self.other.len().max(1)).min(self.other.len());
                let piece = &self.other[from..self.other.len().min(from + len)];
                self.bytes.splice(at..at, piece.iter().copied());
            }
        }
    }

    /// SplitMix64.
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}
