//! Matches on what is known about the packet's connection.

use super::extension;
use crate::rules::load::option::{Context, Extension, Given, value};
use crate::rules::load::value::{bits, ip_protocol, masked_u32, network, number_u32, ports};
use crate::rules::load::{Refusal, refuse};
use crate::rules::{Conntrack, Expiry, Match, States, Statuses};

/// Original source and destination, reply source and destination.
pub(in crate::rules) const ADDRESSES: [&str; 4] = ["ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"];
/// Their ports.
pub(in crate::rules) const PORTS: [&str; 4] = ["ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"];

pub(super) const ALL: &[Extension] = &[
    extension("state", &[value(&["state"]).or_not()], |given, _| {
        Ok(Match::State(given.need("state", |word| states(word, 5))?))
    }),
    extension(
        "conntrack",
        &[
            value(&["ctstate"]).or_not(),
            value(&["ctproto"]).or_not(),
            value(&["ctorigsrc"]).or_not(),
            value(&["ctorigdst"]).or_not(),
            value(&["ctreplsrc"]).or_not(),
            value(&["ctrepldst"]).or_not(),
            value(&["ctorigsrcport"]).or_not(),
            value(&["ctorigdstport"]).or_not(),
            value(&["ctreplsrcport"]).or_not(),
            value(&["ctrepldstport"]).or_not(),
            value(&["ctstatus"]).or_not(),
            value(&["ctexpire"]).or_not(),
            value(&["ctdir"]),
        ],
        conntrack,
    ),
    extension("connmark", &[value(&["mark"]).or_not()], |given, _| {
        Ok(Match::Connmark(given.need("mark", masked_u32)?))
    }),
];

/// The first `known` states, which `-m state` has, too.
fn states(word: &str, known: usize) -> Result<States, Refusal> {
    let find = |name: &str| {
        let found = States::NAMES[..known].iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|&(_, state)| state.0)
    };
    Ok(States(bits(word, "a connection's state", find)? as u8))
}

fn statuses(word: &str) -> Result<Statuses, Refusal> {
    let find = |name: &str| {
        if name.eq_ignore_ascii_case("NONE") {
            return Some(0);
        }
        let found = Statuses::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|&(_, status)| status.0)
    };
    Ok(Statuses(bits(word, "a connection's status", find)? as u8))
}

fn expiry(word: &str) -> Result<Expiry, Refusal> {
    let Some((first, last)) = word.split_once(':') else {
        let seconds = number_u32(word)?;
        return Ok(Expiry { first: seconds, last: seconds });
    };
    let first = if first.is_empty() { 0 } else { number_u32(first)? };
    let last = if last.is_empty() { u32::MAX } else { number_u32(last)? };
    if first > last {
        return refuse(word, "the range is empty: it ends before it begins");
    }
    Ok(Expiry { first, last })
}

fn conntrack(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    if given.is_empty() {
        return Err(given.missing("at least one option"));
    }
    let mut wanted = Conntrack {
        states: given.read("ctstate", |word| states(word, States::NAMES.len()))?,
        protocol: given.read("ctproto", ip_protocol)?,
        statuses: given.read("ctstatus", statuses)?,
        expiry: given.read("ctexpire", expiry)?,
        original: given.plain("ctdir", |word| match word {
            word if word.eq_ignore_ascii_case("ORIGINAL") => Ok(true),
            word if word.eq_ignore_ascii_case("REPLY") => Ok(false),
            word => refuse(word, "neither ORIGINAL nor REPLY"),
        })?,
        ..Conntrack::default()
    };
    for (slot, name) in wanted.addresses.iter_mut().zip(ADDRESSES) {
        *slot = given.read(name, |word| network(context.family, word))?;
    }
    for (slot, name) in wanted.ports.iter_mut().zip(PORTS) {
        *slot = given.read(name, ports)?;
    }
    Ok(Match::Conntrack(Box::new(wanted)))
}
