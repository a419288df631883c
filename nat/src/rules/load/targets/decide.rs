//! Targets that refuse a packet, write it down, or keep it from being tracked.

use wire::protocol;

use super::extension;
use crate::rules::load::option::{Context, Extension, Given, flag, value};
use crate::rules::load::{Refusal, refuse};
use crate::rules::names::reject as reject_names;
use crate::rules::{Hook, Log, Reject, Table, Target};

/// Options of `LOG`, a bit for each, in the order in which they are saved.
pub(in crate::rules) const LOG_FLAGS: [&str; 4] = ["log-tcp-sequence", "log-tcp-options", "log-ip-options", "log-uid"];

pub(super) const ALL: &[Extension] = &[
    Extension {
        table: Some(Table::Filter),
        hooks: &[Hook::Input, Hook::Forward, Hook::Output],
        ..extension("REJECT", &[value(&["reject-with"])], reject)
    },
    extension(
        "LOG",
        &[
            value(&["log-level"]),
            value(&["log-prefix"]),
            flag(&["log-tcp-sequence"]),
            flag(&["log-tcp-options"]),
            flag(&["log-ip-options"]),
            flag(&["log-uid"]),
        ],
        log,
    ),
    Extension { table: Some(Table::Raw), ..extension("NOTRACK", &[], |_, _| Ok(Target::Notrack(false))) },
    Extension {
        table: Some(Table::Raw),
        ..extension("CT", &[flag(&["notrack"])], |given, _| match given.has("notrack") {
            true => Ok(Target::Notrack(true)),
            false => Err(given.missing("--notrack, the only option that is supported")),
        })
    },
];

fn reject(given: &Given<'_>, context: &Context<'_>) -> Result<Target, Refusal> {
    let found = given.plain("reject-with", |word| match reject_names::named(context.family, word) {
        Some(Reject::TcpReset) if !context.is_one_of(&[protocol::TCP]) => {
            refuse(word, "a TCP reset needs -p tcp, not negated")
        }
        Some(kind) => Ok(kind),
        None => refuse(word, format_args!("there is no such refusal for {}", context.family)),
    })?;
    Ok(Target::Reject(found.unwrap_or(reject_names::default(context.family))))
}

/// syslog's levels (RFC 5424 section 6.2.1), by all their names.
const LEVELS: [(&str, u8); 11] = [
    ("emerg", 0),
    ("panic", 0),
    ("alert", 1),
    ("crit", 2),
    ("err", 3),
    ("error", 3),
    ("warning", 4),
    ("warn", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
];

fn log(given: &Given<'_>, _: &Context<'_>) -> Result<Target, Refusal> {
    let level =
        given.plain("log-level", |word| match (word.as_bytes(), LEVELS.iter().find(|(name, _)| *name == word)) {
            (&[digit @ b'0'..=b'7'], _) => Ok(digit - b'0'),
            (_, Some(&(_, level))) => Ok(level),
            _ => refuse(word, "not a level from 0 to 7, nor a name of one"),
        })?;
    let prefix = given.plain("log-prefix", |word| match word {
        word if word.len() > Log::PREFIX => refuse(word, format_args!("longer than {} bytes", Log::PREFIX)),
        word if word.contains(char::is_control) => refuse(word, "it holds a control character"),
        word => Ok(word.into()),
    })?;
    let flags = LOG_FLAGS.iter().enumerate().filter(|(_, name)| given.has(name)).map(|(bit, _)| 1 << bit).sum();
    Ok(Target::Log(Box::new(Log { prefix: prefix.unwrap_or_default(), level: level.unwrap_or(Log::LEVEL), flags })))
}
