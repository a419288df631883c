//! A set of numbers kept as merged runs, so that the lowest number missing from it is one look-up away,
//! however many are in it. Not about addresses: the callers give the numbers their family.
//! Invariant: runs neither overlap nor touch.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    /// First number of a run to its last one.
    runs: BTreeMap<u128, u128>,
}

impl Spans {
    pub(crate) fn insert(&mut self, mut first: u128, mut last: u128) {
        if let Some((&start, &end)) = self.runs.range(..=first).next_back()
            && end.saturating_add(1) >= first
        {
            first = start;
            last = last.max(end);
        }
        // What begins inside the new run, or right behind it, becomes part of it.
        while let Some((&start, &end)) = self.runs.range(first..=last.saturating_add(1)).next() {
            self.runs.remove(&start);
            last = last.max(end);
        }
        self.runs.insert(first, last);
    }

    pub(crate) fn remove(&mut self, number: u128) {
        let Some((start, end)) = self.overlapping(number, number) else {
            return;
        };
        self.runs.remove(&start);
        if start < number {
            self.runs.insert(start, number - 1);
        }
        if number < end {
            self.runs.insert(number + 1, end);
        }
    }

    /// The last run that has a number in `first..=last`.
    pub(crate) fn overlapping(&self, first: u128, last: u128) -> Option<(u128, u128)> {
        let (&start, &end) = self.runs.range(..=last).next_back()?;
        (end >= first).then_some((start, end))
    }

    /// The lowest number of `first..=last` that is not in the set.
    pub(crate) fn lowest_missing(&self, first: u128, last: u128) -> Option<u128> {
        let free = match self.overlapping(first, first) {
            Some((_, end)) => end.checked_add(1)?,
            None => first,
        };
        (free <= last).then_some(free)
    }

    /// How many numbers of `first..=last` are in the set; takes time in proportion to the runs there.
    pub(crate) fn count(&self, first: u128, last: u128) -> u128 {
        let runs = self.runs.range(..=last).rev().take_while(|&(_, &end)| end >= first);
        runs.fold(0, |sum: u128, (&start, &end)| {
            sum.saturating_add((end.min(last) - start.max(first)).saturating_add(1))
        })
    }
}

/// An address as a number of its family.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of `family`'s family with that number; numbers beyond IPv4 become its last address.
pub(crate) fn address(number: u128, family: &IpNet) -> IpAddr {
    match family {
        IpNet::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// First and last number of a prefix, host bits or not.
pub(crate) fn bounds(cidr: &IpNet) -> (u128, u128) {
    (number(cidr.network()), number(cidr.broadcast()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_plain_set(steps in prop::collection::vec((0u128..40, 0u128..6, any::<bool>()), 0..60)) {
            let mut spans = Spans::default();
            let mut plain = BTreeSet::new();
            for (first, more, add) in steps {
                if add {
                    spans.insert(first, first + more);
                    plain.extend(first..=first + more);
                } else {
                    spans.remove(first);
                    plain.remove(&first);
                }
                let free = (5..=30).find(|n| !plain.contains(n));
                prop_assert_eq!(spans.lowest_missing(5, 30), free);
                prop_assert_eq!(spans.count(5, 30), plain.range(5..=30).count() as u128);
                let runs: Vec<_> = spans.runs.iter().collect();
                prop_assert!(runs.windows(2).all(|w| *w[0].1 + 1 < *w[1].0), "runs touch: {:?}", runs);
            }
        }
    }

    #[test]
    fn the_end_of_the_numbers_is_no_trap() {
        let mut spans = Spans::default();
        spans.insert(u128::MAX, u128::MAX);
        spans.insert(u128::MAX - 1, u128::MAX - 1);
        assert_eq!(spans.runs.len(), 1);
        assert_eq!(spans.lowest_missing(u128::MAX - 1, u128::MAX), None);
        spans.insert(0, u128::MAX);
        assert_eq!(spans.count(0, u128::MAX), u128::MAX);
        spans.remove(u128::MAX);
        assert_eq!(spans.lowest_missing(0, u128::MAX), Some(u128::MAX));
    }
}
