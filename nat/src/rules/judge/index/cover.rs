//! Ranges as prefixes that cover them: one, or two if these are much closer. They may hold more than the range, as what is
//! found is judged anyway; a cover that would hold half of all numbers or more is none.

/// Bits, and which of them count.
pub(super) type Prefix = (u128, u128);

/// Prefixes that cover all from `first` to `last`, numbers of so many bits. A mask of 0 is everything.
pub(super) fn cover(first: u128, last: u128, bits: u32) -> impl Iterator<Item = Prefix> {
    let free = free_bits(first, last);
    let mut covers = [Some(prefix(first, free, bits)), None];
    if free >= 2 && first <= last {
        let middle = last >> (free - 1) << (free - 1);
        let halves = [(first, middle - 1), (middle, last)];
        // Together at most half of the one.
        if halves.iter().all(|&(first, last)| free_bits(first, last) <= free - 2) {
            covers = halves.map(|(first, last)| Some(prefix(first, free_bits(first, last), bits)));
        }
    }
    covers.into_iter().flatten()
}

/// Lower bits in which two numbers differ.
fn free_bits(one: u128, other: u128) -> u32 {
    u128::BITS - (one ^ other).leading_zeros()
}

fn prefix(number: u128, free: u32, bits: u32) -> Prefix {
    if free + 1 >= bits {
        return (0, 0);
    }
    let all = u128::MAX >> (u128::BITS - bits);
    let mask = all >> free << free;
    (number & mask, mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(first: u128, last: u128, bits: u32) -> Vec<Prefix> {
        cover(first, last, bits).collect()
    }

    #[test]
    fn narrow_ranges_have_narrow_covers() {
        assert_eq!(covers(80, 80, 16), [(80, 0xffff)]);
        assert_eq!(covers(6_000, 6_007, 16), [(6_000, 0xfff8)]);
        assert_eq!(covers(8_000, 8_080, 16), [(0x1f40, 0xffc0), (0x1f80, 0xffe0)]);
        assert_eq!(covers(4_094, 4_099, 16), [(4_094, 0xfffe), (4_096, 0xfffc)]);
        assert_eq!(covers(0, 65_535, 16), [(0, 0)]);
        assert_eq!(covers(1_024, 65_535, 16), [(0, 0)]);
        assert_eq!(covers(0, u128::MAX, 128), [(0, 0)]);
        assert_eq!(covers(u128::MAX, u128::MAX, 128), [(u128::MAX, u128::MAX)]);
    }

    proptest! {
        #[test]
        fn every_number_of_the_range_is_covered(one in any::<u16>(), other in any::<u16>(), at in any::<u16>()) {
            let (first, last) = (u128::from(one.min(other)), u128::from(one.max(other)));
            let number = first + u128::from(at) % (last - first + 1);
            let prefixes = covers(first, last, 16);
            prop_assert!(prefixes.iter().any(|(bits, mask)| number & mask == *bits));
            let held: u128 = prefixes.iter().map(|(_, mask)| 0x1_0000 - mask).sum();
            prop_assert!(prefixes[0].1 == 0 || held <= 0x8000);
        }
    }
}
