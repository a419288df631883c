//! Matches on the packet and what is known about it without its connection.

use std::sync::Arc;

use wire::Mac;

use super::extension;
use crate::rules::load::option::{Context, Extension, Given, flag, value};
use crate::rules::load::value::{
    address_span, bits, masked_u32, number, number_u8, number_u32, numbers, numbers_u32, positive,
};
use crate::rules::load::{Refusal, refuse};
use crate::rules::names::{class, kind};
use crate::rules::{AddrType, Compare, Family, Hook, Match, Not, RoutingHeader, SetTest, Statistic, Word};

pub(super) const ALL: &[Extension] = &[
    extension("set", &[value(&["match-set"]).twice().or_not()], set),
    extension("comment", &[value(&["comment"])], comment),
    extension("mark", &[value(&["mark"]).or_not()], |given, _| Ok(Match::Mark(given.need("mark", masked_u32)?))),
    extension("iprange", &[value(&["src-range"]).or_not(), value(&["dst-range"]).or_not()], iprange),
    Extension {
        hooks: &[Hook::Prerouting, Hook::Input, Hook::Forward],
        ..extension("mac", &[value(&["mac-source"]).or_not()], |given, _| {
            Ok(Match::Mac(given.need("mac-source", mac)?))
        })
    },
    extension(
        "addrtype",
        &[
            value(&["src-type"]).or_not(),
            value(&["dst-type"]).or_not(),
            flag(&["limit-iface-in"]),
            flag(&["limit-iface-out"]),
        ],
        addrtype,
    ),
    extension("length", &[value(&["length"]).or_not()], |given, _| Ok(Match::Length(given.need("length", numbers)?))),
    Extension {
        family: Some(Family::Ipv4),
        ..extension("ttl", &[value(&["ttl-eq", "ttl"]).or_not(), value(&["ttl-lt"]), value(&["ttl-gt"])], |given, _| {
            ttl(given, ["ttl-eq", "ttl-lt", "ttl-gt"])
        })
    },
    Extension {
        family: Some(Family::Ipv6),
        ..extension("hl", &[value(&["hl-eq", "hl"]).or_not(), value(&["hl-lt"]), value(&["hl-gt"])], |given, _| {
            ttl(given, ["hl-eq", "hl-lt", "hl-gt"])
        })
    },
    Extension {
        family: Some(Family::Ipv6),
        ..extension(
            "rt",
            &[value(&["rt-type"]).or_not(), value(&["rt-segsleft"]).or_not(), value(&["rt-len"]).or_not()],
            routing,
        )
    },
    extension("dscp", &[value(&["dscp"]).or_not(), value(&["dscp-class"]).or_not()], |given, _| {
        Ok(Match::Dscp(dscp(given, ["dscp", "dscp-class"])?))
    }),
    extension("tos", &[value(&["tos"]).or_not()], |given, _| Ok(Match::Tos(given.need("tos", tos)?))),
    extension(
        "statistic",
        &[value(&["mode"]), value(&["probability"]).or_not(), value(&["every"]).or_not(), value(&["packet"])],
        statistic,
    ),
];

fn set(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    let Some(Not { not, value: [name, sides] }) = given.pair("match-set") else {
        return Err(given.missing("--match-set"));
    };
    let Some(set) = context.sets.find(name) else {
        return refuse(name, "no list of this name stands before the first table");
    };
    let side = |word: &str| match word {
        "src" => Ok(true),
        "dst" => Ok(false),
        _ => refuse(word, "neither src nor dst"),
    };
    let source = sides.split(',').map(side).collect::<Result<Box<[bool]>, Refusal>>()?;
    let parts = 1 + usize::from(set.ports);
    if source.len() != parts {
        return refuse(sides, format_args!("{name} is {} and needs src or dst for each of its parts", set.kind()));
    }
    Ok(Match::Set(Box::new(SetTest { set: Not { not, value: Arc::clone(set) }, source })))
}

/// The kernel's room for a comment, its end left out.
const COMMENT: usize = 255;

fn comment(given: &Given<'_>, _: &Context<'_>) -> Result<Match, Refusal> {
    let read = |word: &str| match word {
        word if word.len() > COMMENT => refuse(word, format_args!("longer than {COMMENT} bytes")),
        word if word.contains(char::is_control) => refuse(word, "it holds a control character"),
        word => Ok(word.into()),
    };
    Ok(Match::Comment(given.need("comment", read)?.value))
}

fn iprange(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    let read = |word: &str| address_span(context.family, word);
    let ranges = [given.read("src-range", read)?, given.read("dst-range", read)?];
    if ranges == [None, None] {
        return Err(given.missing("--src-range or --dst-range"));
    }
    Ok(Match::Iprange(Box::new(ranges)))
}

fn mac(word: &str) -> Result<Mac, Refusal> {
    let mut bytes = [0; 6];
    let mut parts = word.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()) && !part.starts_with('+'));
        match part.and_then(|part| u8::from_str_radix(part, 16).ok()) {
            Some(number) => *byte = number,
            None => return refuse(word, "not a MAC address"),
        }
    }
    if parts.next().is_some() { refuse(word, "not a MAC address") } else { Ok(Mac(bytes)) }
}

/// What the kernel cannot tell of an IPv6 address: broadcast, blackhole, prohibit, throw, nat, xresolve.
const NOT_V6: u16 = 1 << 3 | 1 << 6 | 0xff00;

fn addrtype(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    let read = |word: &str| {
        let kinds = bits(word, "a kind of address", kind::bit)?;
        if context.family == Family::Ipv6 && kinds & NOT_V6 != 0 {
            return refuse(word, "IPv6 has no such kind of address");
        }
        Ok(kinds)
    };
    let (source, destination) = (given.read("src-type", read)?, given.read("dst-type", read)?);
    if source.is_none() && destination.is_none() {
        return Err(given.missing("--src-type or --dst-type"));
    }
    given.one_of(&["limit-iface-in", "limit-iface-out"])?;
    let (limit_in, limit_out) = (given.has("limit-iface-in"), given.has("limit-iface-out"));
    Ok(Match::AddrType(AddrType { source, destination, limit_in, limit_out }))
}

fn ttl(given: &Given<'_>, names: [&'static str; 3]) -> Result<Match, Refusal> {
    let Some(name) = given.one_of(&names)? else { return Err(given.missing("a value to compare with")) };
    let Not { not, value } = given.need(name, number_u8)?;
    let compare = match (names.iter().position(|&known| known == name), not) {
        (Some(0), false) => Compare::Equal,
        (Some(0), true) => Compare::Unequal,
        (Some(1), _) => Compare::Less,
        _ => Compare::Greater,
    };
    Ok(Match::Ttl(compare, value))
}

fn routing(given: &Given<'_>, _: &Context<'_>) -> Result<Match, Refusal> {
    let left = given.read("rt-segsleft", numbers_u32)?.filter(|left| *left != Not::plain((0, u32::MAX)));
    let (kind, len) = (given.read("rt-type", number_u32)?, given.read("rt-len", number_u32)?);
    Ok(Match::RoutingHeader(Box::new(RoutingHeader { kind, left, len })))
}

/// A DSCP by number or by class, in either of two options.
pub(in crate::rules::load) fn dscp(given: &Given<'_>, names: [&'static str; 2]) -> Result<Not<u8>, Refusal> {
    match given.one_of(&names)? {
        Some(name) if name == names[0] => given.need(name, |word| number(word, 63).map(|number| number as u8)),
        Some(name) => given.need(name, |word| match class::dscp(word) {
            Some(value) => Ok(value),
            None => refuse(word, "not a class of service (CS0 to CS7, AF11 to AF43, EF, BE)"),
        }),
        None => Err(given.missing(&format!("--{} or --{}", names[0], names[1]))),
    }
}

/// A type of service: `value`, `value/mask` or a name.
pub(in crate::rules::load) fn tos(word: &str) -> Result<Word<u8>, Refusal> {
    if let Some(value) = class::service(word) {
        return Ok(Word { value, mask: class::SERVICE_MASK });
    }
    match word.split_once('/') {
        Some((value, mask)) => Ok(Word { value: number_u8(value)?, mask: number_u8(mask)? }),
        None => Ok(Word { value: number_u8(word)?, mask: u8::MAX }),
    }
}

/// As many as all, for `--probability`.
pub(in crate::rules) const CERTAIN: f64 = 2_147_483_648.0;

fn statistic(given: &Given<'_>, _: &Context<'_>) -> Result<Match, Refusal> {
    let statistic = match given.get("mode").map(|mode| mode.value) {
        Some("random") => {
            given.one_of(&["mode", "every"]).and(given.one_of(&["mode", "packet"]))?;
            Statistic::Random(given.need("probability", |word| match word.parse::<f64>() {
                Ok(share) if (0.0..=1.0).contains(&share) => Ok((share * CERTAIN).round() as u32),
                _ => refuse(word, "not a probability from 0 to 1"),
            })?)
        }
        Some("nth") => {
            given.one_of(&["mode", "probability"])?;
            let every = given.need("every", positive)?;
            let packet = given.need("packet", |word| match number(word, u32::MAX.into())? as u32 {
                packet if packet < every.value => Ok(packet),
                _ => refuse(word, "it must be below --every, counted from 0"),
            })?;
            Statistic::Nth { every, packet: packet.value }
        }
        Some(mode) => return refuse(mode, "neither random nor nth"),
        None => return Err(given.missing("--mode random or --mode nth")),
    };
    Ok(Match::Statistic(statistic))
}
