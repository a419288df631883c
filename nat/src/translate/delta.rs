//! How much a checksum has to change: the sum of all words taken out, complemented, and of all words put in
//! (RFC 1624 equation 3, for any number of words at once).

use wire::checksum::fold;

/// The sum of complemented old words and of new ones, not folded. Room for 32,767 words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta(u32);

impl Delta {
    /// Both changes.
    pub(crate) fn and(self, other: Delta) -> Delta {
        Delta(self.0 + other.0)
    }

    /// Puts `new` at `at`, an even distance from where the checksum starts to count. Both lengths are the caller's to check.
    pub(crate) fn replace(&mut self, bytes: &mut [u8], at: usize, new: &[u8]) {
        let old = &mut bytes[at..at + new.len()];
        for (old, new) in old.as_chunks_mut::<2>().0.iter_mut().zip(new.as_chunks::<2>().0) {
            self.0 += u32::from(!u16::from_be_bytes(*old)) + u32::from(u16::from_be_bytes(*new));
            *old = *new;
        }
    }

    /// The checksum after the change.
    pub(crate) fn update(self, checksum: u16) -> u16 {
        !self.add(!checksum)
    }

    /// A sum that is not complemented (a pseudo-header's, in a partial checksum) after the change.
    pub(crate) fn add(self, sum: u16) -> u16 {
        fold(u32::from(fold(self.0)) + u32::from(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CK-01: the example of RFC 1624 section 4, where the equation of RFC 1141 gives 0xffff.
    #[test]
    fn ck_01_many_words_at_once_are_one_after_the_other() {
        let mut delta = Delta::default();
        delta.replace(&mut [0x55, 0x55], 0, &[0x32, 0x85]);
        assert_eq!(delta.update(0xdd2f), 0x0000);
        let (mut bytes, new) = ([1, 2, 0xff, 0xff, 0, 0], [9, 9, 0, 0, 0xff, 0xff]);
        let mut step = 0x1234;
        for at in [0, 2, 4] {
            let word = |b: &[u8]| u16::from_be_bytes([b[at], b[at + 1]]);
            step = wire::checksum::update(step, word(&bytes), word(&new));
        }
        let mut delta = Delta::default();
        delta.replace(&mut bytes, 0, &new);
        assert_eq!((delta.update(0x1234), bytes), (step, new));
    }
}
