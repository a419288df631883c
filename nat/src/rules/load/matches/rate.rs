//! Matches on how much comes, and from how many.

use super::extension;
use crate::rules::load::option::{Context, Extension, Given, flag, value};
use crate::rules::load::value::{number, number_u32, positive};
use crate::rules::load::{Refusal, refuse};
use crate::rules::{Connlimit, HashMode, Hashlimit, Limit, Match, Quota};

pub(super) const ALL: &[Extension] = &[
    extension("limit", &[value(&["limit"]), value(&["limit-burst"])], limit),
    extension(
        "hashlimit",
        &[
            value(&["hashlimit-upto", "hashlimit"]).or_not(),
            value(&["hashlimit-above"]).or_not(),
            value(&["hashlimit-burst"]),
            value(&["hashlimit-mode"]),
            value(&["hashlimit-name"]),
            value(&["hashlimit-srcmask"]),
            value(&["hashlimit-dstmask"]),
            value(&["hashlimit-htable-size"]),
            value(&["hashlimit-htable-max"]),
            value(&["hashlimit-htable-gcinterval"]),
            value(&["hashlimit-htable-expire"]),
        ],
        hashlimit,
    ),
    extension(
        "connlimit",
        &[
            value(&["connlimit-upto"]).or_not(),
            value(&["connlimit-above"]).or_not(),
            value(&["connlimit-mask"]),
            flag(&["connlimit-saddr"]),
            flag(&["connlimit-daddr"]),
        ],
        connlimit,
    ),
];

/// The kernel takes no burst above these.
const LIMIT_BURST: u64 = 10_000;
const HASHLIMIT_BURST: u64 = 1_000_000;
/// The kernel's room for a name, its end left out.
const NAME: usize = 31;

/// `packets/unit`, as the time between two of them in `1/scale` s, and the unit's seconds. A unit may be shortened; none is
/// a second.
fn period(word: &str, scale: u64) -> Result<(u64, u32), Refusal> {
    let (count, unit) = word.split_once('/').unwrap_or((word, "second"));
    let named = |name: &&(&str, u32)| name.0.starts_with(&unit.to_ascii_lowercase());
    let units = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];
    let seconds: u32 = match units.iter().find(named) {
        Some(&(_, seconds)) if !unit.is_empty() => seconds,
        _ => return refuse(word, "not a rate, as 5/second, 5/minute, 5/hour or 5/day"),
    };
    let count = positive(count)?;
    match scale * u64::from(seconds) / u64::from(count) {
        0 => refuse(word, format_args!("too fast: more than {scale} a second")),
        period => Ok((period, seconds)),
    }
}

fn limit(given: &Given<'_>, _: &Context<'_>) -> Result<Match, Refusal> {
    let period = given.plain("limit", |word| period(word, Limit::SCALE))?;
    let burst = given.plain("limit-burst", |word| match number(word, LIMIT_BURST)? {
        0 => refuse(word, "it must not be 0"),
        burst => Ok(burst as u32),
    })?;
    let period = period.map_or(Limit::PERIOD, |(period, _)| period as u32);
    Ok(Match::Limit(Limit { period, burst: burst.unwrap_or(Limit::BURST) }))
}

/// A number of bytes with its unit: `b`, `kb`, `mb`.
fn bytes(word: &str) -> Result<u64, Refusal> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (count, unit) = word.split_at(digits);
    let factor = match unit {
        "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        _ => return refuse(word, "not a number of bytes, as 512b, 20kb or 5mb"),
    };
    match count.parse::<u64>().ok().and_then(|count| count.checked_mul(factor)) {
        Some(bytes) if (1..=u64::from(u32::MAX)).contains(&bytes) => Ok(bytes),
        _ => refuse(word, "not from 1 byte to 4 GiB"),
    }
}

/// The quota, and the milliseconds after which entries are forgotten if nothing else is said.
fn quota(given: &Given<'_>, rate: &str) -> Result<(Quota, u32), Refusal> {
    if let Some(per_second) = rate.strip_suffix("b/s").or(rate.strip_suffix("b/sec")).or(rate.strip_suffix("b/second"))
    {
        let cost = Quota::cost(bytes(&format!("{per_second}b"))?);
        let second = Quota::bytes(cost).max(1);
        let burst = given.plain("hashlimit-burst", |word| match bytes(word)? {
            burst if burst < second => refuse(word, format_args!("less than what comes in a second: {second}b")),
            burst => Ok(burst.div_ceil(second) as u32),
        })?;
        let quota = Quota::Bytes { cost, burst: burst.unwrap_or(0) };
        return Ok((quota, Hashlimit::default_expire(quota)));
    }
    let (period, seconds) = period(rate, Quota::SCALE)?;
    let burst = given.plain("hashlimit-burst", |word| match number(word, HASHLIMIT_BURST)? {
        0 => refuse(word, "it must not be 0"),
        burst => Ok(burst as u32),
    })?;
    Ok((Quota::Packets { period, burst: burst.unwrap_or(Hashlimit::BURST) }, seconds * 1_000))
}

fn mode(word: &str) -> Result<HashMode, Refusal> {
    let mut mode = HashMode::default();
    for part in word.split(',') {
        match part {
            "srcip" => mode.source = true,
            "srcport" => mode.source_port = true,
            "dstip" => mode.destination = true,
            "dstport" => mode.destination_port = true,
            _ => return refuse(part, "not one of srcip, srcport, dstip, dstport"),
        }
    }
    Ok(mode)
}

fn hashlimit(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    let Some(name) = given.one_of(&["hashlimit-upto", "hashlimit-above"])? else {
        return Err(given.missing("--hashlimit-upto or --hashlimit-above"));
    };
    let rate = given.need(name, |word| Ok(word.to_owned()))?;
    let (quota, expire) = quota(given, &rate.value)?;
    let prefix = |word: &str| number(word, context.family.bits().into()).map(|length| length as u8);
    let whole = context.family.bits() as u8;
    let named = given.need("hashlimit-name", |word| match word {
        word if word.is_empty() || word.len() > NAME || word.contains(['/', '"', '\\']) => {
            refuse(word, format_args!("not a name of 1 to {NAME} bytes without /, \" and \\"))
        }
        word if word.contains(|c: char| c.is_control() || c.is_whitespace()) => refuse(word, "it holds a blank"),
        word => Ok(word.into()),
    })?;
    Ok(Match::Hashlimit(Box::new(Hashlimit {
        name: named.value,
        above: (name == "hashlimit-above") != rate.not,
        quota,
        mode: given.plain("hashlimit-mode", mode)?.unwrap_or_default(),
        source_prefix: given.plain("hashlimit-srcmask", prefix)?.unwrap_or(whole),
        destination_prefix: given.plain("hashlimit-dstmask", prefix)?.unwrap_or(whole),
        size: given.plain("hashlimit-htable-size", number_u32)?.unwrap_or(0),
        max: given.plain("hashlimit-htable-max", number_u32)?.unwrap_or(0),
        gc_interval: given.plain("hashlimit-htable-gcinterval", positive)?.unwrap_or(Hashlimit::GC_INTERVAL),
        expire: given.plain("hashlimit-htable-expire", positive)?.unwrap_or(expire),
    })))
}

fn connlimit(given: &Given<'_>, context: &Context<'_>) -> Result<Match, Refusal> {
    let Some(name) = given.one_of(&["connlimit-upto", "connlimit-above"])? else {
        return Err(given.missing("--connlimit-upto or --connlimit-above"));
    };
    let limit = given.need(name, number_u32)?;
    given.one_of(&["connlimit-saddr", "connlimit-daddr"])?;
    let bits = context.family.bits();
    let prefix = given.plain("connlimit-mask", |word| number(word, bits.into()))?;
    Ok(Match::Connlimit(Connlimit {
        above: (name == "connlimit-above") != limit.not,
        limit: limit.value,
        prefix: prefix.unwrap_or(bits.into()) as u8,
        by_destination: given.has("connlimit-daddr"),
    }))
}
