//! The match extensions: their options, and what is made of them.

mod connection;
mod packet;
mod rate;
mod transport;

use super::option::{Build, Context, Extension, Given};
use super::{Refusal, refuse};
use crate::rules::{Family, Match};
pub(in crate::rules) use connection::{ADDRESSES, PORTS};
pub(in crate::rules) use packet::CERTAIN;
pub(super) use packet::{dscp, tos};
pub(in crate::rules) use transport::FLAGS;

/// A match extension.
const fn extension(
    name: &'static str,
    options: &'static [super::option::Opt],
    build: fn(&Given<'_>, &Context<'_>) -> Result<Match, Refusal>,
) -> Extension {
    Extension { name, family: None, table: None, hooks: &[], options, build: Build::Match(build) }
}

const TABLES: [&[Extension]; 4] = [transport::ALL, packet::ALL, connection::ALL, rate::ALL];

/// The match that `-m` names.
pub(super) fn named(family: Family, name: &str) -> Result<&'static Extension, Refusal> {
    let name = match name {
        "icmpv6" | "ipv6-icmp" => "icmp6",
        name => name,
    };
    match TABLES.iter().copied().flatten().find(|extension| extension.name == name) {
        Some(found) if found.family.is_none_or(|only| only == family) => Ok(found),
        Some(_) => refuse(name, format_args!("there is no such match for {family}")),
        None => refuse(name, "this match is not supported"),
    }
}

/// The match that belongs to a protocol, for options that stand right behind `-p`.
pub(super) fn of_protocol(family: Family, protocol: u8) -> Option<&'static Extension> {
    let name = match (family, protocol) {
        (_, wire::protocol::TCP) => "tcp",
        (_, wire::protocol::UDP) => "udp",
        (Family::Ipv4, wire::protocol::ICMP) => "icmp",
        (Family::Ipv6, wire::protocol::ICMPV6) => "icmp6",
        _ => return None,
    };
    named(family, name).ok()
}
