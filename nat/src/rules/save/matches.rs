//! Matches as text, their options in the order in which iptables writes them.

use std::fmt::{self, Write};

use super::word::{list, negation, ports, quoted, range, says_nothing};
use crate::rules::address::ip;
use crate::rules::load::{ADDRESSES, CERTAIN, FLAGS, PORTS};
use crate::rules::names::kind;
use crate::rules::rate::unit;
use crate::rules::{
    Compare, Conntrack, Family, Hashlimit, Limit, Match, Not, Ports, PortsOf, Quota, States, Statistic, Statuses, Tcp,
    Word,
};

pub(super) fn write(out: &mut String, family: Family, one: &Match) -> fmt::Result {
    let bits = family.bits();
    match one {
        Match::Tcp(tcp) => write_tcp(out, tcp),
        Match::Udp(source, destination) => {
            out.push_str(" -m udp");
            write_ports(out, *source, *destination)
        }
        Match::Icmp(Not { not, value }) => {
            let (name, option) = match family {
                Family::Ipv4 => ("icmp", "icmp-type"),
                Family::Ipv6 => ("icmp6", "icmpv6-type"),
            };
            write!(out, " -m {name}{} --{option} ", negation(*not))?;
            match (family, value.kind, value.code) {
                (Family::Ipv4, 255, _) => write!(out, "any"),
                (_, kind, None) => write!(out, "{kind}"),
                (_, kind, Some(code)) => write!(out, "{kind}/{code}"),
            }
        }
        Match::Multiport(of, Not { not, value }) => {
            let option = match of {
                PortsOf::Source => "sports",
                PortsOf::Destination => "dports",
                PortsOf::Either => "ports",
            };
            write!(out, " -m multiport{} --{option} ", negation(*not))?;
            for (at, range) in value.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                write!(out, "{comma}{}", ports(*range, ':'))?;
            }
            Ok(())
        }
        Match::Iprange(ranges) => {
            out.push_str(" -m iprange");
            for (option, range) in ["src-range", "dst-range"].iter().zip(ranges.iter()) {
                if let Some(Not { not, value }) = range {
                    let (first, last) = (ip(family, value.first), ip(family, value.last));
                    write!(out, "{} --{option} {first}-{last}", negation(*not))?;
                }
            }
            Ok(())
        }
        Match::State(states) => {
            write!(out, " -m state{} --state {}", negation(states.not), list(state_names(states.value)))
        }
        Match::Conntrack(wanted) => write_conntrack(out, family, wanted),
        Match::Mac(mac) => write!(out, " -m mac{} --mac-source {}", negation(mac.not), mac.value),
        Match::Limit(limit) => {
            let (unit, _, count) = unit(limit.period.into(), Limit::SCALE);
            write!(out, " -m limit --limit {count}/{unit}")?;
            if limit.burst != Limit::BURST {
                write!(out, " --limit-burst {}", limit.burst)?;
            }
            Ok(())
        }
        Match::Hashlimit(limit) => write_hashlimit(out, bits, limit),
        Match::Connlimit(limit) => {
            let option = if limit.above { "above" } else { "upto" };
            let side = if limit.by_destination { "daddr" } else { "saddr" };
            write!(out, " -m connlimit --connlimit-{option} {} --connlimit-mask {}", limit.limit, limit.prefix)?;
            write!(out, " --connlimit-{side}")
        }
        Match::Comment(text) => write!(out, " -m comment --comment {}", quoted(text)),
        Match::Mark(mark) => write!(out, " -m mark{} --mark {}", negation(mark.not), word32(mark.value)),
        Match::Connmark(mark) => write!(out, " -m connmark{} --mark {}", negation(mark.not), word32(mark.value)),
        Match::AddrType(kinds) => {
            out.push_str(" -m addrtype");
            for (option, kinds) in [("src-type", kinds.source), ("dst-type", kinds.destination)] {
                if let Some(Not { not, value }) = kinds {
                    let named = kind::NAMES.iter().enumerate().filter(move |(bit, _)| value & (1 << bit) != 0);
                    write!(out, "{} --{option} {}", negation(not), list(named.map(|(_, name)| *name)))?;
                }
            }
            out.push_str(if kinds.limit_in { " --limit-iface-in" } else { "" });
            out.push_str(if kinds.limit_out { " --limit-iface-out" } else { "" });
            Ok(())
        }
        Match::Length(length) => {
            write!(out, " -m length{} --length {}", negation(length.not), ports(length.value, ':'))
        }
        Match::Ttl(compare, value) => {
            let name = if family == Family::Ipv4 { "ttl" } else { "hl" };
            let (not, option) = match compare {
                Compare::Equal => (false, "eq"),
                Compare::Unequal => (true, "eq"),
                Compare::Less => (false, "lt"),
                Compare::Greater => (false, "gt"),
            };
            write!(out, " -m {name}{} --{name}-{option} {value}", negation(not))
        }
        Match::RoutingHeader(wanted) => {
            out.push_str(" -m rt");
            if let Some(Not { not, value }) = wanted.kind {
                write!(out, "{} --rt-type {value}", negation(not))?;
            }
            if let Some(Not { not, value }) = wanted.left {
                write!(out, "{} --rt-segsleft {}", negation(not), range(value, ':'))?;
            }
            if let Some(Not { not, value }) = wanted.len {
                write!(out, "{} --rt-len {value}", negation(not))?;
            }
            Ok(())
        }
        Match::Dscp(dscp) => write!(out, " -m dscp{} --dscp 0x{:02x}", negation(dscp.not), dscp.value),
        Match::Tos(Not { not, value: Word { value, mask } }) => {
            write!(out, " -m tos{} --tos 0x{value:02x}/0x{mask:02x}", negation(*not))
        }
        Match::Set(test) => {
            let sides = test.source.iter().map(|&source| if source { "src" } else { "dst" });
            let Not { not, value: set } = &test.set;
            write!(out, " -m set{} --match-set {} {}", negation(*not), set.name, list(sides))
        }
        Match::Statistic(Statistic::Random(share)) => {
            let probability = f64::from(share.value) / CERTAIN;
            write!(out, " -m statistic --mode random{} --probability {probability:.11}", negation(share.not))
        }
        Match::Statistic(Statistic::Nth { every, packet }) => {
            let not = negation(every.not);
            write!(out, " -m statistic --mode nth{not} --every {} --packet {packet}", every.value)
        }
    }
}

/// A mask of all bits is not written.
fn word32(word: Word<u32>) -> impl fmt::Display {
    fmt::from_fn(move |f| match word {
        Word { value, mask: u32::MAX } => write!(f, "0x{value:x}"),
        Word { value, mask } => write!(f, "0x{value:x}/0x{mask:x}"),
    })
}

fn write_ports(out: &mut String, source: Not<Ports>, destination: Not<Ports>) -> fmt::Result {
    for (option, wanted) in [("sport", source), ("dport", destination)] {
        if !says_nothing(wanted) {
            write!(out, "{} --{option} {}", negation(wanted.not), ports(wanted.value, ':'))?;
        }
    }
    Ok(())
}

fn write_tcp(out: &mut String, tcp: &Tcp) -> fmt::Result {
    out.push_str(" -m tcp");
    write_ports(out, tcp.source, tcp.destination)?;
    if let Some(option) = tcp.option {
        write!(out, "{} --tcp-option {}", negation(option.not), option.value)?;
    }
    if let Some(Not { not, value }) = tcp.flags {
        write!(out, "{} --tcp-flags {} {}", negation(not), flags(value.mask), flags(value.set))?;
    }
    Ok(())
}

fn flags(bits: u8) -> impl fmt::Display {
    fmt::from_fn(move |f| match bits {
        0 => f.write_str("NONE"),
        bits => {
            let set = FLAGS.iter().filter(|&&(_, bit)| bits & bit != 0).map(|&(name, _)| name);
            write!(f, "{}", list(set))
        }
    })
}

fn state_names(states: States) -> impl Iterator<Item = &'static str> + Clone {
    States::NAMES.iter().filter(move |(_, state)| states.meets(*state)).map(|&(name, _)| name)
}

fn write_conntrack(out: &mut String, family: Family, wanted: &Conntrack) -> fmt::Result {
    out.push_str(" -m conntrack");
    if let Some(states) = wanted.states {
        write!(out, "{} --ctstate {}", negation(states.not), list(state_names(states.value)))?;
    }
    if let Some(protocol) = wanted.protocol {
        write!(out, "{} --ctproto {}", negation(protocol.not), protocol.value)?;
    }
    for (option, network) in ADDRESSES.iter().zip(&wanted.addresses) {
        let Some(Not { not, value }) = network else { continue };
        write!(out, "{} --{option} ", negation(*not))?;
        match value.prefix_len(family) {
            Some(length) if length == family.bits() => write!(out, "{}", ip(family, value.bits))?,
            _ => write!(out, "{}", value.text(family))?,
        }
    }
    for (option, wanted) in PORTS.iter().zip(&wanted.ports) {
        if let Some(Not { not, value }) = wanted {
            write!(out, "{} --{option} {}", negation(*not), ports(*value, ':'))?;
        }
    }
    if let Some(Not { not, value: Statuses(bits) }) = wanted.statuses {
        let set = Statuses::NAMES.iter().filter(move |(_, status)| bits & status.0 != 0).map(|&(name, _)| name);
        let none = (bits == 0).then_some("NONE");
        write!(out, "{} --ctstatus {}", negation(not), list(none.into_iter().chain(set)))?;
    }
    if let Some(Not { not, value }) = wanted.expiry {
        write!(out, "{} --ctexpire {}", negation(not), value.first)?;
        if value.first != value.last {
            write!(out, ":{}", value.last)?;
        }
    }
    match wanted.original {
        Some(true) => write!(out, " --ctdir ORIGINAL"),
        Some(false) => write!(out, " --ctdir REPLY"),
        None => Ok(()),
    }
}

/// Bytes in the largest unit in which what is left out makes no difference.
fn amount(bytes: u64, same: impl Fn(u64) -> bool) -> impl fmt::Display {
    let fits = |&(_, shift): &(&str, u32)| bytes >> shift > 0 && same(bytes >> shift << shift);
    let (unit, shift) = [("mb", 20), ("kb", 10)].into_iter().find(fits).unwrap_or(("b", 0));
    fmt::from_fn(move |f| write!(f, "{}{unit}", bytes >> shift))
}

fn write_hashlimit(out: &mut String, bits: u32, limit: &Hashlimit) -> fmt::Result {
    let option = if limit.above { "above" } else { "upto" };
    write!(out, " -m hashlimit --hashlimit-{option} ")?;
    match limit.quota {
        Quota::Packets { period, burst } => {
            let (unit, _, count) = unit(period, Quota::SCALE);
            write!(out, "{count}/{unit} --hashlimit-burst {burst}")?;
        }
        Quota::Bytes { cost, burst } => {
            let second = Quota::bytes(cost);
            write!(out, "{}/s", amount(second, |bytes| Quota::cost(bytes) == cost))?;
            if burst > 0 {
                let same = |bytes: u64| bytes.div_ceil(second.max(1)) == u64::from(burst);
                write!(out, " --hashlimit-burst {}", amount(second * u64::from(burst), same))?;
            }
        }
    }
    let mode = limit.mode;
    let fields = [
        (mode.source, "srcip"),
        (mode.source_port, "srcport"),
        (mode.destination, "dstip"),
        (mode.destination_port, "dstport"),
    ];
    if fields.iter().any(|(set, _)| *set) {
        write!(out, " --hashlimit-mode {}", list(fields.iter().filter(|(set, _)| *set).map(|(_, name)| *name)))?;
    }
    write!(out, " --hashlimit-name {}", limit.name)?;
    let expire = Hashlimit::default_expire(limit.quota);
    for (option, value, unsaid) in [
        ("htable-size", limit.size, 0),
        ("htable-max", limit.max, 0),
        ("htable-gcinterval", limit.gc_interval, Hashlimit::GC_INTERVAL),
        ("htable-expire", limit.expire, expire),
        ("srcmask", limit.source_prefix.into(), bits),
        ("dstmask", limit.destination_prefix.into(), bits),
    ] {
        if value != unsaid {
            write!(out, " --hashlimit-{option} {value}")?;
        }
    }
    Ok(())
}
