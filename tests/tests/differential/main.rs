//! The kernel's iptables and the switch side by side: the same random rules in a router namespace and in the engine, the
//! same packets through both. What comes out where, every byte of it, every counter and every tracked connection must be the
//! same. What is known to differ is listed in docs/differences.md, and is left out where packets and rules are made.
//!
//! `DIFFERENTIAL=SETSxPACKETS[@SEED][#SET]` asks for more, for others, or for one set alone.

mod bytes;
mod compare;
mod ends;
mod kernel;
mod lists;
mod ours;
mod picks;
mod random;
mod rules;
mod shrink;
mod talk;
mod world;

use nat::rules::Family;

use kernel::Tables;
use random::Random;
use rules::Rules;
use shrink::Case;

/// What `make test` runs.
const USUAL: &str = "100x100@1";
/// Runs in which a set differs before it is said to.
const TRIES: usize = 4;
/// Rules of a set, about.
const RULES: usize = 24;

/// What to run: sets, packets for each, the seed; and the one set that is wanted, if not all.
struct Asked {
    sets: std::ops::Range<usize>,
    packets: usize,
    seed: u64,
}

impl Asked {
    fn read(text: &str) -> Option<Asked> {
        let (text, only) = text.split_once('#').map_or((text, None), |(text, only)| (text, Some(only)));
        let (sizes, seed) = text.split_once('@').unwrap_or((text, "1"));
        let (sets, packets) = sizes.split_once('x')?;
        let mut sets = 0..sets.parse().ok()?;
        if let Some(only) = only {
            let only = only.parse().ok()?;
            sets = only..only + 1;
        }
        Some(Asked { sets, packets: packets.parse().ok()?, seed: seed.parse().ok()? })
    }

    fn of_environment() -> Asked {
        let text = std::env::var("DIFFERENTIAL").unwrap_or_else(|_| USUAL.to_owned());
        Asked::read(&text).unwrap_or_else(|| panic!("DIFFERENTIAL={text}: not SETSxPACKETS[@SEED][#SET]"))
    }
}

/// Every second set is IPv6, every fourth is given to iptables-nft.
fn kind(number: usize) -> (Family, Tables) {
    let family = if number.is_multiple_of(2) { Family::Ipv4 } else { Family::Ipv6 };
    (family, if number % 8 < 6 { Tables::Legacy } else { Tables::Nft })
}

#[test]
fn rules_mean_what_they_mean_to_the_kernel() {
    let asked = Asked::of_environment();
    let mut failed = Vec::new();
    for number in asked.sets.clone() {
        let (family, tables) = kind(number);
        let mut random = Random::of(asked.seed, number as u64);
        let rules = Rules::random(family, &mut random, RULES);
        // The kernel says nothing about IPv6 datagrams that it has put together and translated.
        let cuts = !(rules.read_lengths() || rules.translate && family == Family::Ipv6);
        // Time passes after each of them where connections are counted, and two seconds make a UDP exchange a stream.
        let packets = if rules.count_connections() { asked.packets.min(100) } else { asked.packets };
        let translate = rules.translate;
        let case = Case { tables, rules, events: talk::events(family, random, packets, cuts, translate) };
        // A busy host puts off what the kernel sends, and ports that it picks by chance may be anybody's: what differs
        // differs again, and again.
        let differs = || case.difference().unwrap_or_else(|error| panic!("set {number}: {error:#}"));
        let again = (1..TRIES).try_fold(differs(), |known, _| known.is_some().then(differs)).flatten();
        if let Some((_, what)) = again {
            println!("set {number}: {what}");
            failed.push((number, case));
        }
    }
    let (packets, seed) = (asked.packets, asked.seed);
    println!("{} sets of rules, {packets} packets each, seed {seed}: {} differ", asked.sets.len(), failed.len());
    if let Some((number, case)) = failed.first() {
        panic!("set {number} of seed {seed} differs; made smaller:\n{}", case.smaller());
    }
}
