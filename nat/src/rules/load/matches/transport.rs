//! Matches on the transport header: ports, TCP flags and options, ICMP types.

use wire::protocol;

use super::extension;
use crate::rules::load::option::{Context, Extension, Given, flag, value};
use crate::rules::load::value::{number_u8, ports};
use crate::rules::load::{Refusal, refuse};
use crate::rules::names::icmp as icmp_names;
use crate::rules::{Family, FlagTest, Match, Not, Ports, PortsOf, Tcp};

const SPORT: &[&str] = &["sport", "source-port"];
const DPORT: &[&str] = &["dport", "destination-port"];

pub(super) const ALL: &[Extension] = &[
    extension(
        "tcp",
        &[
            value(SPORT).or_not(),
            value(DPORT).or_not(),
            value(&["tcp-flags"]).twice().or_not(),
            flag(&["syn"]).or_not(),
            value(&["tcp-option"]).or_not(),
        ],
        tcp,
    ),
    extension("udp", &[value(SPORT).or_not(), value(DPORT).or_not()], udp),
    Extension { family: Some(Family::Ipv4), ..extension("icmp", &[value(&["icmp-type"]).or_not()], icmp) },
    Extension { family: Some(Family::Ipv6), ..extension("icmp6", &[value(&["icmpv6-type"]).or_not()], icmp) },
    extension(
        "multiport",
        &[
            value(&["sports", "source-ports"]).or_not(),
            value(&["dports", "destination-ports"]).or_not(),
            value(&["ports"]).or_not(),
        ],
        multiport,
    ),
];

/// Flags by name, in the order in which they are saved.
pub(in crate::rules) const FLAGS: [(&str, u8); 6] =
    [("FIN", 0x01), ("SYN", 0x02), ("RST", 0x04), ("PSH", 0x08), ("ACK", 0x10), ("URG", 0x20)];

/// What `--syn` stands for: of FIN, SYN, RST and ACK, only SYN.
const SYN: FlagTest = FlagTest { mask: 0x17, set: 0x02 };

fn only(given: &Given<'_>, context: &Context<'_>, protocols: &[u8], needs: &str) -> Result<(), Refusal> {
    if context.is_one_of(protocols) {
        return Ok(());
    }
    refuse(given.extension.name, format_args!("this match needs {needs}, not negated"))
}

/// Source and destination ports.
fn both(given: &Given<'_>) -> Result<[Not<Ports>; 2], Refusal> {
    let any = Not::plain(Ports::ANY);
    Ok([given.read("sport", ports)?.unwrap_or(any), given.read("dport", ports)?.unwrap_or(any)])
}

fn tcp(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    only(given, context, &[protocol::TCP], "-p tcp")?;
    let [source, destination] = both(given)?;
    given.one_of(&["tcp-flags", "syn"])?;
    let flags = match (given.pair("tcp-flags"), given.get("syn")) {
        (Some(Not { not, value: [mask, set] }), _) => {
            Some(Not { not, value: FlagTest { mask: flag_list(mask)?, set: flag_list(set)? } })
        }
        (None, Some(syn)) => Some(Not { not: syn.not, value: SYN }),
        (None, None) => None,
    };
    let option = given.read("tcp-option", |word| match number_u8(word)? {
        0 => refuse(word, "option 0 ends the list of options"),
        number => Ok(number),
    })?;
    Ok(Match::Tcp(Tcp { source, destination, option, flags }))
}

fn flag_list(word: &str) -> Result<u8, Refusal> {
    let mut all = 0;
    for name in word.split(',') {
        all |= match name.to_ascii_uppercase().as_str() {
            "ALL" => 0x3f,
            "NONE" => 0,
            upper => match FLAGS.iter().find(|(known, _)| *known == upper) {
                Some(&(_, bit)) => bit,
                None => return refuse(name, "not a TCP flag (FIN SYN RST PSH ACK URG ALL NONE)"),
            },
        };
    }
    Ok(all)
}

fn udp(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    only(given, context, &[protocol::UDP], "-p udp")?;
    let [source, destination] = both(given)?;
    Ok(Match::Udp(source, destination))
}

fn icmp(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    let (name, number, needs) = match context.family {
        Family::Ipv4 => ("icmp-type", protocol::ICMP, "-p icmp"),
        Family::Ipv6 => ("icmpv6-type", protocol::ICMPV6, "-p ipv6-icmp"),
    };
    only(given, context, &[number], needs)?;
    let read = |word: &str| match icmp_names::parse(context.family, word) {
        Some(kind) => Ok(kind),
        None => refuse(word, "not an ICMP type: a number, type/code, or a name that is not ambiguous"),
    };
    Ok(Match::Icmp(given.need(name, read)?))
}

/// TCP, UDP, UDP-Lite, SCTP, DCCP.
const WITH_PORTS: [u8; 5] = [protocol::TCP, protocol::UDP, 136, 132, 33];
/// The kernel's room; a range takes two.
const MOST_PORTS: usize = 15;

fn multiport(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    only(given, context, &WITH_PORTS, "-p tcp, udp, udplite, sctp or dccp")?;
    let Some(name) = given.one_of(&["sports", "dports", "ports"])? else {
        return Err(given.missing("--sports, --dports or --ports"));
    };
    let of = match name {
        "sports" => PortsOf::Source,
        "dports" => PortsOf::Destination,
        _ => PortsOf::Either,
    };
    let list = given.need(name, |word| {
        let (mut list, mut room) = (Vec::new(), MOST_PORTS);
        for part in word.split(',') {
            let taken = if part.contains(':') { 2 } else { 1 };
            room = match room.checked_sub(taken) {
                Some(room) => room,
                None => return refuse(part, "more than 15 ports (a range counts as two)"),
            };
            list.push(ports(part)?);
        }
        Ok(list.into_boxed_slice())
    })?;
    Ok(Match::Multiport(of, list))
}
