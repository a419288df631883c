//! Lists of addresses by chance, as `ipset save` prints them, one of each kind, and rules that look packets up in them. The
//! kernel has them from `ipset restore`, the switch with its rules.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nat::rules::Family;

use crate::random::Random;
use crate::world::{HOSTS, address};

const KINDS: [&str; 4] = ["hash:ip", "hash:net", "hash:ip,port", "hash:net,port"];
/// Entries of a list, at most.
const ENTRIES: usize = 5;

/// The lists, as text.
pub(crate) fn random(family: Family, random: &mut Random) -> String {
    let mut text = String::new();
    for (number, kind) in KINDS.iter().enumerate() {
        let of = if family == Family::Ipv4 { "inet" } else { "inet6" };
        text += &format!("create l{number} {kind} family {of}\n");
        let mut entries = BTreeSet::new();
        for _ in 0..1 + random.below(ENTRIES) {
            let mut entry = entry(family, random, kind.starts_with("hash:net"));
            if kind.ends_with(",port") {
                entry = format!("{entry},{}", port(family, random));
            }
            if entries.insert(entry.clone()) {
                let excepted = kind.starts_with("hash:net") && random.percent(25);
                text += &format!("add l{number} {entry}{}\n", if excepted { " nomatch" } else { "" });
            }
        }
    }
    text
}

fn entry(family: Family, random: &mut Random, network: bool) -> String {
    let host = address(family, random.below(2), random.below(HOSTS));
    if !network {
        return host.to_string();
    }
    match host {
        IpAddr::V4(host) => {
            let length = random.pick(&[32u8, 31, 30, 24, 8]);
            format!("{}/{length}", Ipv4Addr::from_bits(host.to_bits() & (u32::MAX << (32 - length))))
        }
        IpAddr::V6(host) => {
            let length = random.pick(&[128u8, 127, 126, 64, 16]);
            format!("{}/{length}", Ipv6Addr::from_bits(host.to_bits() & (u128::MAX << (128 - length))))
        }
    }
}

fn port(family: Family, random: &mut Random) -> &'static str {
    let query = if family == Family::Ipv4 { "icmp:8/0" } else { "icmpv6:128/0" };
    random.pick(&["tcp:80", "tcp:5000", "udp:80", "udp:5000", "udp:443", query, "253:0"])
}

/// A rule's question. Ports are not asked for where they are picked by chance.
pub(crate) fn matching(random: &mut Random, not: &str, ports: bool) -> String {
    let number = random.below(if ports { KINDS.len() } else { 2 });
    let mut side = || random.pick(&["src", "dst"]);
    match KINDS[number].contains(',') {
        true => format!("-m set {not}--match-set l{number} {},{}", side(), side()),
        false => format!("-m set {not}--match-set l{number} {}", side()),
    }
}
