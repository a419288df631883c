//! How much a checksum has to change: the sum of all words taken out, complemented, and of all words put in
//! (RFC 1624 equation 3, for any number of words at once).

use wire::checksum::fold;

/// The sum of complemented old words and of new ones, not folded: two words at once, because 2^16 is 1 here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta(u64);

impl Delta {
    /// Both changes.
    #[inline]
    pub(crate) fn and(self, other: Delta) -> Delta {
        Delta(self.0 + other.0)
    }

    /// Puts `new` at `at`, an even distance from where the checksum starts to count. Both lengths are the caller's to check.
    #[inline]
    pub(crate) fn replace(&mut self, bytes: &mut [u8], at: usize, new: &[u8]) {
        let old = &mut bytes[at..at + new.len()];
        let (old, old_rest) = old.as_chunks_mut::<4>();
        let (new, new_rest) = new.as_chunks::<4>();
        for (old, new) in old.iter_mut().zip(new) {
            self.0 += u64::from(!u32::from_be_bytes(*old)) + u64::from(u32::from_be_bytes(*new));
            *old = *new;
        }
        for (old, new) in old_rest.as_chunks_mut::<2>().0.iter_mut().zip(new_rest.as_chunks::<2>().0) {
            self.0 += u64::from(!u16::from_be_bytes(*old)) + u64::from(u16::from_be_bytes(*new));
            *old = *new;
        }
    }

    /// The checksum after the change.
    #[inline]
    pub(crate) fn update(self, checksum: u16) -> u16 {
        !self.add(!checksum)
    }

    /// A sum that is not complemented (a pseudo-header's, in a partial checksum) after the change.
    #[inline]
    pub(crate) fn add(self, sum: u16) -> u16 {
        let half = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let quarter = (half >> 16) + (half & 0xffff);
        fold(u32::from(fold(quarter as u32)) + u32::from(sum))
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
