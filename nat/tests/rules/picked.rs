//! What translations pick from ranges: as the kernel does, spread, and for one client the same where that is asked for.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use nat::rules::{Family, Hook, Nat, Table, Target, load, pick};
use nat::{Address, Tuple};
use proptest::prelude::*;

fn tuple(src: &str, src_port: u16, dst: &str, dst_port: u16) -> Tuple {
    let address = |text: &str| Address::new(text.parse().unwrap()).unwrap();
    Tuple { src: address(src), dst: address(dst), src_port, dst_port, protocol: 6 }
}

/// What a rule translates to.
fn nat(hook: Hook, target: &str) -> Nat {
    let family = if target.contains("fd00") { Family::Ipv6 } else { Family::Ipv4 };
    let text = format!("*{}\n-A {hook} -p tcp -j {target}\nCOMMIT\n", Table::Nat);
    let set = load(family, &text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let chains = set.table(Table::Nat).unwrap().chains();
    match &chains.iter().flat_map(|chain| &chain.rules).next().unwrap().target {
        Target::Dnat(nat) | Target::Snat(nat) | Target::Redirect(nat) | Target::Masquerade(nat) => **nat,
        other => panic!("{other:?}"),
    }
}

fn dnat(to: &str) -> Nat {
    nat(Hook::Prerouting, &format!("DNAT --to-destination {to}"))
}

fn snat(to: &str) -> Nat {
    nat(Hook::Postrouting, &format!("SNAT --to-source {to}"))
}

#[test]
fn na_04_addresses_are_those_that_the_kernel_picks() {
    let lines = include_str!("picked.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let [kind, range, flag, src, dst, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let to = format!(
            "{range} {}",
            flag.trim_start_matches("- ").trim_matches('-').replace("persistent", "--persistent")
        );
        let tuple = tuple(src, 40_000, dst, 5_353);
        let picked = match kind {
            "dnat" => pick::destination(&dnat(&to), &tuple, 0, |_| false).ip,
            _ => pick::source(&snat(&to), &tuple).unwrap(),
        };
        assert_eq!(picked, expected.parse::<IpAddr>().unwrap(), "{line}");
    }
}

#[test]
fn na_01_ports_of_destinations() {
    for (to, port, expected) in [
        ("10.1.0.1", 80, 80),
        ("10.1.0.1:8080", 80, 8_080),
        ("10.1.0.1:8080-8090", 80, 8_080),
        ("10.1.0.1:8080-8090", 8_085, 8_085),
        ("10.1.0.1:5000-5009/1000", 1_000, 5_000),
        ("10.1.0.1:5000-5009/1000", 1_007, 5_007),
        ("10.1.0.1:5000-5009/1000", 1_012, 5_002),
        ("10.1.0.1:5000-5009/1000", 5_003, 5_003),
        ("10.1.0.1 --random", 80, 80),
        ("10.1.0.1:8080-8090 --random", 80, 8_080 + 500 % 11),
        ("10.1.0.1:1-65535 --random", 80, 501),
    ] {
        let end = pick::destination(&dnat(to), &tuple("10.0.0.1", 9, "10.9.9.9", port), 500 | 7 << 16, |_| false);
        assert_eq!((end.ip, end.port), ("10.1.0.1".parse().unwrap(), expected), "{to}");
    }
    // Ports alone leave the address; what has no ports leaves them.
    let ports = nat(Hook::Prerouting, "REDIRECT --to-ports 99");
    let mut packet = tuple("10.0.0.1", 9, "10.9.9.9", 80);
    let end = pick::destination(&ports, &packet, 0, |_| false);
    assert_eq!((end.ip, end.port), ("10.9.9.9".parse().unwrap(), 99));
    packet.protocol = 1;
    assert_eq!(pick::destination(&ports, &packet, 0, |_| false).port, 80);
}

#[test]
fn of_ports_that_are_all_taken_it_is_the_last_that_was_tried() {
    for (to, port, taken, expected) in [
        ("10.1.0.1:8080-8082", 80, 8_080..8_081, 8_081),
        ("10.1.0.1:8080-8082", 8_081, 8_081..8_082, 8_080),
        ("10.1.0.1:8080-8082", 80, 8_080..8_083, 8_082),
        ("10.1.0.1:8080-8082", 8_081, 8_080..8_083, 8_082),
        ("10.1.0.1:8080-8082/1000", 1_001, 8_080..8_083, 8_080),
        ("10.1.0.1:8080", 80, 8_080..8_081, 8_080),
    ] {
        let picked =
            pick::destination(&dnat(to), &tuple("10.0.0.1", 9, "10.9.9.9", port), 0, |end| taken.contains(&end.port));
        assert_eq!(picked.port, expected, "{to} from {port}");
    }
}

#[test]
fn chance_reaches_every_port_of_a_range() {
    let nat = dnat("10.1.0.1:8080-8089 --random");
    let packet = tuple("10.0.0.1", 9, "10.9.9.9", 8_085);
    let ports: HashSet<u16> = (0..100).map(|random| pick::destination(&nat, &packet, random, |_| false).port).collect();
    assert_eq!(ports, (8_080..=8_089).collect());
}

#[test]
fn na_02_a_source_within_the_range_stays() {
    for (to, src, port, stays) in [
        ("10.0.0.1-10.0.0.9", "10.0.0.5", 1_000, true),
        ("10.0.0.1-10.0.0.9:900-1100", "10.0.0.5", 1_000, true),
        ("10.0.0.1-10.0.0.9:900-999", "10.0.0.5", 1_000, false),
        ("10.0.0.1-10.0.0.9 --random", "10.0.0.5", 1_000, false),
        ("10.0.0.1-10.0.0.9 --random-fully", "10.0.0.5", 1_000, false),
        ("10.0.0.6-10.0.0.9", "10.0.0.5", 1_000, false),
    ] {
        // The range's own pick for these ends is another one.
        let picked = pick::source(&snat(to), &tuple(src, port, "10.9.9.1", 80)).unwrap();
        assert_eq!(picked == src.parse::<IpAddr>().unwrap(), stays, "{to}: {picked}");
    }
    assert_eq!(pick::source(&nat(Hook::Postrouting, "MASQUERADE"), &tuple("10.0.0.5", 1, "10.9.9.9", 80)), None);
}

#[test]
fn clients_are_spread_over_a_range() {
    for (to, family) in [
        ("10.1.0.1-10.1.0.10", 4),
        ("10.1.0.1-10.1.0.10 --persistent", 4),
        ("fd00:1::1-fd00:1::a", 6),
        ("fd00:1::1-fd00:1::a --persistent", 6),
    ] {
        let nat = dnat(to);
        let mut counts: HashMap<IpAddr, u32> = HashMap::new();
        for number in 0..10_000 {
            let (high, low) = (number / 250, number % 250);
            let packet = match family {
                4 => tuple(&format!("10.0.{high}.{low}"), 9, "10.9.9.9", 80),
                _ => tuple(&format!("fd00::{high:x}:{low:x}"), 9, "fd00:9::9", 80),
            };
            *counts.entry(pick::destination(&nat, &packet, 0, |_| false).ip).or_default() += 1;
        }
        assert!(counts.len() == 10 && counts.values().all(|count| (800..1_200).contains(count)), "{to}: {counts:?}");
    }
}

#[test]
fn na_04_one_client_keeps_its_address_if_that_is_asked_for() {
    for (to, few) in [("10.1.0.1-10.1.0.10 --persistent", true), ("10.1.0.1-10.1.0.10", false)] {
        let (there, here) = (dnat(to), snat(to));
        let ends = (0..250).map(|number| tuple("10.0.0.1", 9, &format!("10.9.9.{number}"), 80));
        let picked: HashSet<_> = ends
            .map(|packet| (pick::destination(&there, &packet, 0, |_| false).ip, pick::source(&here, &packet)))
            .collect();
        assert_eq!(picked.len() == 1, few, "{to}: {picked:?}");
    }
}

proptest! {
    #[test]
    fn what_is_picked_lies_in_the_range(
        first in any::<u32>(),
        more in 0u32..100_000,
        src in any::<u32>(),
        dst in any::<u32>(),
        ports in any::<[u16; 4]>(),
        random in any::<u32>(),
        flags in any::<[bool; 3]>(),
    ) {
        let ip = |number: u32| std::net::Ipv4Addr::from(number);
        let last = first.saturating_add(more);
        let (low, high) = (ports[0].min(ports[1]), ports[0].max(ports[1]));
        let base = if flags[0] { format!("/{}", ports[2]) } else { String::new() };
        let words = [("--random", flags[1]), ("--persistent", flags[2])];
        let words: String = words.iter().filter(|(_, on)| *on).map(|(word, _)| format!(" {word}")).collect();
        prop_assume!(low > 0);
        let nat = dnat(&format!("{}-{}:{low}-{high}{base}{words}", ip(first), ip(last)));
        let packet = tuple(&ip(src).to_string(), 9, &ip(dst).to_string(), ports[3]);
        let end = pick::destination(&nat, &packet, random, |_| false);
        prop_assert!(IpAddr::V4(ip(first)) <= end.ip && end.ip <= IpAddr::V4(ip(last)));
        prop_assert!(low <= end.port && end.port <= high);
        prop_assert_eq!(pick::destination(&nat, &packet, random, |_| false), end);
    }
}
