//! Which public port to try, in which order: the own one, then others of its class and parity from a random one on, then of
//! its class. Never more than [`MAX_ATTEMPTS`], so that a full range costs a bounded time (NA-03); far apart, so that a block
//! of ports that others hold does not swallow all attempts.

use std::ops::RangeInclusive;

use wire::protocol;

/// Ports that are tried before a connection is refused.
pub(crate) const MAX_ATTEMPTS: usize = 128;
/// Of these, with the same parity.
const SAME_PARITY: usize = 96;

/// Where a port may come from.
#[derive(Clone, Debug)]
pub(crate) enum Ports {
    /// The own port, else one of its class.
    OfClass,
    /// One of the class; the own one is not preferred.
    RandomOfClass,
    /// One of these; the own one if it is among them.
    Within(RangeInclusive<u16>),
    /// One of these; the own one is not preferred.
    RandomWithin(RangeInclusive<u16>),
}

/// The ports that may stand for `port`: privileged ones for privileged ones (RFC 4787 REQ-3; netfilter keeps those below
/// 512 apart too), any identifier for an ICMP identifier.
fn class(protocol_number: u8, port: u16) -> RangeInclusive<u16> {
    match port {
        _ if matches!(protocol_number, protocol::ICMP | protocol::ICMPV6) => 0..=u16::MAX,
        0..=511 => 1..=511,
        512..=1023 => 512..=1023,
        _ => 1024..=u16::MAX,
    }
}

/// The ports to try for `port`, at most [`MAX_ATTEMPTS`].
pub(crate) fn candidates(
    protocol_number: u8,
    port: u16,
    ports: &Ports,
    random: &mut dyn FnMut() -> u64,
) -> impl Iterator<Item = u16> + use<> {
    let (range, prefer) = match ports {
        Ports::OfClass => (class(protocol_number, port), true),
        Ports::RandomOfClass => (class(protocol_number, port), false),
        Ports::Within(range) => (range.clone(), true),
        Ports::RandomWithin(range) => (range.clone(), false),
    };
    let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    let own = (prefer && range.contains(&port)).then_some(port);
    // Ports of either parity in the range, counted from its first.
    let of_parity = move |parity: u32| {
        let lowest = first + (first + parity) % 2;
        (lowest, (last + 2).saturating_sub(lowest) / 2)
    };
    let parity = u32::from(port) % 2;
    let run = move |start: u64, parity: u32, len: usize| {
        let (lowest, count) = of_parity(parity);
        let (count, stride) = (u64::from(count), stride(u64::from(count)));
        (0..count.min(len as u64))
            .map(move |step| (u64::from(lowest) + (start % count + step * stride) % count * 2) as u16)
    };
    let others = run(random(), parity, SAME_PARITY).chain(run(random(), 1 - parity, MAX_ATTEMPTS - SAME_PARITY - 1));
    own.into_iter().chain(others)
}

/// A step that comes to every one of `count` places before it comes to any twice, and spreads them evenly on the way: the
/// golden section, or the next number that shares no factor with `count`.
fn stride(count: u64) -> u64 {
    let shares_factor = |step: u64| {
        let (mut a, mut b) = (count, step);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a != 1
    };
    let golden = (count * 618 / 1000).max(1);
    (golden..=count).find(|&step| !shares_factor(step)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(number: u8, port: u16, ports: &Ports, seed: u64) -> Vec<u16> {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 16
        };
        candidates(number, port, ports, &mut random).collect()
    }

    proptest! {
        #[test]
        fn nu_04_and_na_02_candidates_stay_in_the_class_and_are_few(port: u16, seed: u64, udp: bool) {
            let number = if udp { protocol::UDP } else { protocol::TCP };
            let tried = all(number, port, &Ports::OfClass, seed);
            prop_assert!(!tried.is_empty() && tried.len() <= MAX_ATTEMPTS, "NA-03");
            prop_assert!(port == 0 || tried[0] == port, "its own first");
            let class = class(number, port);
            prop_assert!(tried.iter().all(|other| class.contains(other)));
            prop_assert!(!tried.contains(&0));
            let same = tried.iter().take(SAME_PARITY).all(|other| other % 2 == port % 2);
            prop_assert!(same, "NU-05: the same parity first");
            prop_assert!(tried.iter().any(|other| other % 2 != port % 2), "then the other");
        }

        #[test]
        fn a_range_is_kept_whatever_it_is(a: u16, b: u16, port: u16, seed: u64) {
            let range = a.min(b)..=a.max(b);
            for ports in [Ports::Within(range.clone()), Ports::RandomWithin(range.clone())] {
                let tried = all(protocol::UDP, port, &ports, seed);
                prop_assert!(!tried.is_empty() && tried.len() <= MAX_ATTEMPTS);
                prop_assert!(tried.iter().all(|other| range.contains(other)));
            }
        }
    }

    #[test]
    fn small_ranges_are_tried_whole() {
        for len in 1..=62 {
            let mut tried = all(protocol::TCP, 9, &Ports::Within(1000..=999 + len), 7);
            tried.sort_unstable();
            tried.dedup();
            assert_eq!(tried.len(), usize::from(len), "{len}");
        }
    }

    #[test]
    fn nu_19_the_start_is_random() {
        let mut firsts: Vec<_> =
            (0..200).map(|seed| all(protocol::UDP, 5000, &Ports::RandomOfClass, seed * 77_777)[0]).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert!(firsts.len() > 150, "{}", firsts.len());
    }
}
