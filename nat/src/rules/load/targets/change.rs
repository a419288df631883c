//! Targets that change the packet, its mark or its connection's mark. A rule goes on behind them.

use wire::protocol;

use super::extension;
use crate::rules::load::matches::{dscp, tos};
use crate::rules::load::option::{Context, Extension, Given, Opt, flag, value};
use crate::rules::load::value::{masked_u32, number, number_u8, number_u16, number_u32};
use crate::rules::load::{Refusal, refuse};
use crate::rules::{Change, ConnmarkChange, Family, Mss, Table, Target, Word};

pub(super) const ALL: &[Extension] = &[
    extension(
        "MARK",
        &[value(&["set-xmark"]), value(&["set-mark"]), value(&["and-mark"]), value(&["or-mark"]), value(&["xor-mark"])],
        |given, _| match mark(given)? {
            Some(mark) => Ok(Target::Mark(mark)),
            None => Err(given.missing("--set-mark, --set-xmark, --and-mark, --or-mark or --xor-mark")),
        },
    ),
    extension(
        "CONNMARK",
        &[
            value(&["set-xmark"]),
            value(&["set-mark"]),
            value(&["and-mark"]),
            value(&["or-mark"]),
            value(&["xor-mark"]),
            flag(&["save-mark"]),
            flag(&["restore-mark"]),
            value(&["nfmask"]),
            value(&["ctmask"]),
            value(&["mask"]),
        ],
        connmark,
    ),
    extension("TCPMSS", &[value(&["set-mss"]), flag(&["clamp-mss-to-pmtu"])], tcpmss),
    mangle("DSCP", None, &[value(&["set-dscp"]), value(&["set-dscp-class"])], |given, _| {
        Ok(Target::Dscp(dscp(given, ["set-dscp", "set-dscp-class"])?.value))
    }),
    mangle("TOS", None, &[value(&["set-tos"]), value(&["and-tos"]), value(&["or-tos"]), value(&["xor-tos"])], set_tos),
    mangle("TTL", Some(Family::Ipv4), &[value(&["ttl-set"]), value(&["ttl-inc"]), value(&["ttl-dec"])], |given, _| {
        ttl(given, ["ttl-set", "ttl-inc", "ttl-dec"])
    }),
    mangle("HL", Some(Family::Ipv6), &[value(&["hl-set"]), value(&["hl-inc"]), value(&["hl-dec"])], |given, _| {
        ttl(given, ["hl-set", "hl-inc", "hl-dec"])
    }),
];

const fn mangle(
    name: &'static str,
    family: Option<Family>,
    options: &'static [Opt],
    build: fn(&Given<'_>, &Context<'_>) -> Result<Target, Refusal>,
) -> Extension {
    Extension { table: Some(Table::Mangle), family, ..extension(name, options, build) }
}

/// Every way to say it comes down to bits that are cleared and bits that are inverted.
fn mark(given: &Given<'_>) -> Result<Option<Word<u32>>, Refusal> {
    let Some(name) = given.one_of(&["set-xmark", "set-mark", "and-mark", "or-mark", "xor-mark"])? else {
        return Ok(None);
    };
    given.plain(name, |word| {
        Ok(match name {
            "set-xmark" => masked_u32(word)?,
            "set-mark" => {
                let Word { value, mask } = masked_u32(word)?;
                Word { value, mask: mask | value }
            }
            "and-mark" => Word { value: 0, mask: !number_u32(word)? },
            "or-mark" => Word { value: number_u32(word)?, mask: number_u32(word)? },
            _ => Word { value: number_u32(word)?, mask: 0 },
        })
    })
}

fn connmark(given: &Given<'_>, _: &Context<'_>) -> Result<Target, Refusal> {
    let set = mark(given)?;
    let moved = given.one_of(&["save-mark", "restore-mark"])?;
    for mask in ["nfmask", "ctmask"] {
        given.one_of(&[mask, "mask"])?;
    }
    match (set, moved) {
        (Some(word), None) => match ["nfmask", "ctmask", "mask"].iter().find(|name| given.has(name)) {
            Some(name) => refuse(&format!("--{name}"), "it belongs to --save-mark and --restore-mark"),
            None => Ok(Target::Connmark(ConnmarkChange::Set(word))),
        },
        (None, Some(name)) => {
            let all = given.plain("mask", number_u32)?.unwrap_or(u32::MAX);
            let packet = given.plain("nfmask", number_u32)?.unwrap_or(all);
            let connection = given.plain("ctmask", number_u32)?.unwrap_or(all);
            Ok(Target::Connmark(match name {
                "save-mark" => ConnmarkChange::Save { packet, connection },
                _ => ConnmarkChange::Restore { packet, connection },
            }))
        }
        (Some(_), Some(name)) => refuse(&format!("--{name}"), "the connection's mark is already set"),
        (None, None) => Err(given.missing("--set-mark, --save-mark, --restore-mark or the like")),
    }
}

fn tcpmss(given: &Given<'_>, context: &Context<'_>) -> Result<Target, Refusal> {
    if !context.is_one_of(&[protocol::TCP]) {
        return refuse("TCPMSS", "it needs -p tcp, not negated");
    }
    match given.one_of(&["set-mss", "clamp-mss-to-pmtu"])? {
        Some("set-mss") => Ok(Target::Tcpmss(Mss::Set(given.need("set-mss", number_u16)?.value))),
        Some(_) => Ok(Target::Tcpmss(Mss::Clamp)),
        None => Err(given.missing("--set-mss or --clamp-mss-to-pmtu")),
    }
}

fn set_tos(given: &Given<'_>, _: &Context<'_>) -> Result<Target, Refusal> {
    let Some(name) = given.one_of(&["set-tos", "and-tos", "or-tos", "xor-tos"])? else {
        return Err(given.missing("--set-tos, --and-tos, --or-tos or --xor-tos"));
    };
    let word = given.need(name, |word| {
        Ok(match name {
            "set-tos" => tos(word)?,
            "and-tos" => Word { value: 0, mask: !number_u8(word)? },
            "or-tos" => Word { value: number_u8(word)?, mask: number_u8(word)? },
            _ => Word { value: number_u8(word)?, mask: 0 },
        })
    })?;
    Ok(Target::Tos(word.value))
}

fn ttl(given: &Given<'_>, names: [&'static str; 3]) -> Result<Target, Refusal> {
    let Some(name) = given.one_of(&names)? else { return Err(given.missing("--ttl-set, --ttl-inc or the like")) };
    let step = |word: &str| match number(word, 255)? {
        0 => refuse(word, "it must not be 0"),
        step => Ok(step as u8),
    };
    Ok(Target::Ttl(match names.iter().position(|&known| known == name) {
        Some(0) => Change::Set(given.need(name, number_u8)?.value),
        Some(1) => Change::Increase(given.need(name, step)?.value),
        _ => Change::Decrease(given.need(name, step)?.value),
    }))
}
