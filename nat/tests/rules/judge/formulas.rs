//! Matches that depend on time or chance, against the formulas of iptables-extensions(8): `limit` and `hashlimit` let through
//! what a leaky bucket of periods does (the virtual scheduling of ITU-T I.371, another way to the same end than the credit that
//! is kept here), `statistic` exactly every n-th packet, or each with its probability.

use std::collections::HashMap;
use std::time::Duration;

use nat::rules::Verdict;
use proptest::prelude::*;
use wire::Time;

use super::world::{Bench, forward, udp};

/// When the next packet would come if all came as late as they may, in nanoseconds; `None` before the first.
#[derive(Clone, Copy, Default)]
struct Schedule(Option<u64>);

impl Schedule {
    /// Whether a packet passes: periods of so many nanoseconds, `burst` of them at once.
    fn conforms(&mut self, now: u64, period: u64, burst: u64) -> bool {
        let due = self.0.unwrap_or(now).max(now);
        let conforms = due - now <= (burst - 1) * period;
        if conforms {
            self.0 = Some(due + period);
        }
        conforms
    }
}

const UNITS: [(&str, u64); 4] = [("sec", 1), ("min", 60), ("hour", 3_600), ("day", 86_400)];

/// Packets that come so long after each other, in units of a tenth of a period, and whom each is from.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u8)>> {
    proptest::collection::vec((prop_oneof![Just(0), 0..5u64, 0..25u64, 0..300u64], 0..4u8), 1..200)
}

fn frames() -> [wire::Frame; 4] {
    [1, 2, 130, 131].map(|last| udp(&format!("10.0.0.{last}:9"), "10.0.1.1:53", b"x"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn limit_is_a_leaky_bucket(
        (unit, count) in (0..UNITS.len(), 1..200u64), burst in 1..30u64, arrivals in arrivals()
    ) {
        let (name, seconds) = UNITS[unit];
        // The unit in which iptables hands it to the kernel: 1/10,000 s.
        let period = seconds * 10_000 / count * 100_000;
        let mut bench = forward(&format!("-A FORWARD -m limit --limit {count}/{name} --limit-burst {burst} -j DROP"));
        let (start, [frame, ..]) = (bench.now, frames());
        let (mut schedule, mut now) = (Schedule::default(), 0);
        for (gap, _) in arrivals {
            now += gap * period / 10;
            bench.now = start + Duration::from_nanos(now);
            prop_assert_eq!(bench.drops(&frame), schedule.conforms(now, period, burst), "{}/{} at {}", count, name, now);
        }
    }

    #[test]
    fn hashlimit_is_one_for_each_network(
        (unit, count) in (0..UNITS.len(), 1..200u64), burst in 1..30u64, arrivals in arrivals(), by_network: bool, above: bool
    ) {
        let (name, seconds) = UNITS[unit];
        let period = seconds * 1_000_000 / count * 1_000;
        let (mask, how) = (if by_network { 25 } else { 32 }, if above { "above" } else { "upto" });
        // Nothing is forgotten while it still matters.
        let mut bench = forward(&format!(
            "-A FORWARD -m hashlimit --hashlimit-name a --hashlimit-{how} {count}/{name} --hashlimit-burst {burst} \
             --hashlimit-mode srcip --hashlimit-srcmask {mask} --hashlimit-htable-expire 4000000000 -j DROP"
        ));
        let (start, frames) = (bench.now, frames());
        let (mut schedules, mut now) = (HashMap::<u8, Schedule>::new(), 0);
        for (gap, from) in arrivals {
            now += (gap * period / 10).min(1_000_000_000_000);
            bench.now = start + Duration::from_nanos(now);
            let schedule = schedules.entry(if by_network { from / 2 } else { from }).or_default();
            let wanted = schedule.conforms(now, period, burst) != above;
            prop_assert_eq!(bench.drops(&frames[usize::from(from)]), wanted, "{}/{} at {}", count, name, now);
        }
    }

    #[test]
    fn nth_is_exact(every in 1..50u32, packet in 0..50u32, not: bool) {
        let packet = packet % every;
        let not_text = if not { "! " } else { "" };
        let mut bench =
            forward(&format!("-A FORWARD -m statistic --mode nth {not_text}--every {every} --packet {packet} -j DROP"));
        let [frame, ..] = frames();
        for number in 0..200u32 {
            prop_assert_eq!(bench.drops(&frame), (number % every == packet) != not, "packet {}", number);
        }
    }

    #[test]
    fn hashlimit_of_bytes_keeps_its_rate(rate in 16..100_000u64, arrivals in arrivals(), len in 0..1_400usize) {
        let mut bench = forward(&format!(
            "-A FORWARD -m hashlimit --hashlimit-name a --hashlimit-upto {rate}b/s --hashlimit-mode srcip \
             --hashlimit-htable-expire 4000000000 -j DROP"
        ));
        let frame = udp("10.0.0.1:9", "10.0.1.1:53", &vec![b'x'; len]);
        let chunks = (len as u64 + 28) / 16 + 1;
        let (start, mut passed) = (bench.now, 0);
        for (gap, _) in arrivals {
            bench.now = bench.now + Duration::from_millis(gap * 10);
            passed += if bench.drops(&frame) { chunks } else { 0 };
            // A second's at once, and the rate; what costs more than a second has passes with all of that.
            let seconds = since(bench.now, start) + 1.0;
            let most = seconds * (rate / 16 + 1) as f64;
            prop_assert!(passed as f64 <= most.max(chunks as f64 * seconds), "{} chunks in {} s", passed, seconds);
        }
    }
}

fn since(now: Time, start: Time) -> f64 {
    now.since(start).as_secs_f64()
}

/// The statistic of a test for one degree of freedom that chance leaves below 15.1 in 9,999 of 10,000 cases.
fn chi_square(found: f64, all: f64, share: f64) -> f64 {
    let expected = all * share;
    (found - expected).powi(2) / expected + (found - expected).powi(2) / (all - expected)
}

#[test]
fn random_has_its_probability_and_no_memory() {
    const ALL: usize = 20_000;
    let [frame, ..] = frames();
    for (number, share) in [0.01, 0.1, 0.25, 0.5, 0.9].into_iter().enumerate() {
        let mut bench = forward(&format!("-A FORWARD -m statistic --mode random --probability {share} -j DROP"));
        let mut numbers = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |bench: &mut Bench| {
            // SplitMix64: whether the match turns even numbers into the wanted share is asked, not how even they are.
            numbers = numbers.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = numbers;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bench.world.random = (word ^ (word >> 31)) as u32;
            bench.verdict(&frame) == Verdict::Drop
        };
        let hits: Vec<bool> = (0..ALL).map(|_| next(&mut bench)).collect();
        let count = |these: &mut dyn Iterator<Item = bool>| these.filter(|hit| *hit).count() as f64;
        let found = chi_square(count(&mut hits.iter().copied()), ALL as f64, share);
        assert!(found < 15.1, "{share}: chi-square {found}");
        // After a hit there are as many as ever.
        let after: Vec<bool> = hits.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
        let found = chi_square(count(&mut after.iter().copied()), after.len() as f64, share);
        assert!(found < 15.1, "{share} after a hit: chi-square {found}");
    }
}

#[test]
fn never_and_always_are_certain() {
    let [frame, ..] = frames();
    for (share, wanted) in [("0", false), ("1", true)] {
        let mut bench = forward(&format!("-A FORWARD -m statistic --mode random --probability {share} -j DROP"));
        for random in [0, 1, i32::MAX as u32 - 1, i32::MAX as u32, 1 << 31, u32::MAX] {
            bench.world.random = random;
            // 1 is written as 2³¹ and asked as "below": never equal to what has 31 bits.
            assert_eq!(bench.drops(&frame), wanted, "{share} at {random}");
        }
    }
}
