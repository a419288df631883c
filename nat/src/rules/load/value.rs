//! Values of options: numbers, ports, addresses, masks, lists. Each reads a whole word or refuses it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Refusal, refuse};
use crate::rules::address::number as address_number;
use crate::rules::names::{protocol, service};
use crate::rules::{Family, Network, Ports, Span, Word};

/// A number as C reads it: decimal, `0x` hexadecimal, a leading 0 octal.
pub(super) fn number(word: &str, max: u64) -> Result<u64, Refusal> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    let parsed = if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() };
    match parsed {
        Some(number) if number <= max => Ok(number),
        _ => refuse(word, format_args!("not a number from 0 to {max}")),
    }
}

pub(super) fn number_u32(word: &str) -> Result<u32, Refusal> {
    number(word, u32::MAX.into()).map(|number| number as u32)
}

pub(super) fn number_u16(word: &str) -> Result<u16, Refusal> {
    number(word, u16::MAX.into()).map(|number| number as u16)
}

pub(super) fn number_u8(word: &str) -> Result<u8, Refusal> {
    number(word, u8::MAX.into()).map(|number| number as u8)
}

/// A number with at least one at its beginning.
pub(super) fn positive(word: &str) -> Result<u32, Refusal> {
    match number_u32(word)? {
        0 => refuse(word, "it must not be 0"),
        number => Ok(number),
    }
}

/// `value` or `value/mask`; without a mask, `all`.
pub(super) fn masked_u32(word: &str) -> Result<Word<u32>, Refusal> {
    match word.split_once('/') {
        Some((value, mask)) => Ok(Word { value: number_u32(value)?, mask: number_u32(mask)? }),
        None => Ok(Word { value: number_u32(word)?, mask: u32::MAX }),
    }
}

/// A port, by number or by service.
fn port(word: &str) -> Result<u16, Refusal> {
    match number_u16(word) {
        Ok(port) => Ok(port),
        Err(_) => match service::port(word) {
            Some(port) => Ok(port),
            None => refuse(word, "neither a port from 0 to 65535 nor a service that is known by name"),
        },
    }
}

/// `from:to`, where either end may be missing, or one port.
pub(super) fn ports(word: &str) -> Result<Ports, Refusal> {
    let (first, last) = range(word, (0, u16::MAX), port)?;
    Ok(Ports { first, last })
}

/// `from-to`, or one port.
pub(super) fn ports_dashed(word: &str) -> Result<Ports, Refusal> {
    // Names of services have dashes, too.
    if let Ok(port) = port(word) {
        return Ok(Ports { first: port, last: port });
    }
    let Some((first, last)) = word.split_once('-') else { return refuse(word, "not a port, nor a range of ports") };
    let (first, last) = in_order(word, port(first)?, port(last)?)?;
    Ok(Ports { first, last })
}

/// `from:to` of plain numbers, where either end may be missing, or one number.
pub(super) fn numbers(word: &str) -> Result<Ports, Refusal> {
    let (first, last) = range(word, (0, u16::MAX), number_u16)?;
    Ok(Ports { first, last })
}

/// The same of longer numbers.
pub(super) fn numbers_u32(word: &str) -> Result<(u32, u32), Refusal> {
    range(word, (0, u32::MAX), number_u32)
}

/// `from:to`, where either end may be missing and is that of `all` then, or one value.
fn range<T: Copy + PartialOrd>(
    word: &str,
    all: (T, T),
    read: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<(T, T), Refusal> {
    let Some((first, last)) = word.split_once(':') else {
        let value = read(word)?;
        return Ok((value, value));
    };
    let first = if first.is_empty() { all.0 } else { read(first)? };
    let last = if last.is_empty() { all.1 } else { read(last)? };
    in_order(word, first, last)
}

fn in_order<T: PartialOrd>(word: &str, first: T, last: T) -> Result<(T, T), Refusal> {
    if first > last {
        return refuse(word, "the range is empty: it ends before it begins");
    }
    Ok((first, last))
}

/// An IP protocol, by name or number.
pub(super) fn ip_protocol(word: &str) -> Result<u8, Refusal> {
    match protocol::number(word) {
        Some(number) => Ok(number),
        None => refuse(word, "no IP protocol that is known by name"),
    }
}

/// An address of the family.
pub(super) fn address(family: Family, word: &str) -> Result<u128, Refusal> {
    let ip: Option<IpAddr> = match family {
        Family::Ipv4 => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Family::Ipv6 => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    };
    match ip {
        Some(ip) => Ok(address_number(ip)),
        None => refuse(word, format_args!("not an {family} address (host names are not looked up)")),
    }
}

/// `address`, `address/length` or `address/mask`; IPv4 may leave out zeros at the end if a mask follows.
pub(super) fn network(family: Family, word: &str) -> Result<Network, Refusal> {
    let Some((host, mask)) = word.split_once('/') else {
        return Ok(Network::new(address(family, word)?, Network::host_mask(family)));
    };
    let length = if mask.bytes().all(|byte| byte.is_ascii_digit()) { mask.parse().ok() } else { None };
    let mask = match length {
        Some(length) if length <= family.bits() => Network::prefix_mask(family, length),
        Some(_) => return refuse(word, format_args!("the prefix is longer than {} bits", family.bits())),
        None => address(family, mask)?,
    };
    let missing = 3usize.saturating_sub(host.bytes().filter(|&byte| byte == b'.').count());
    let short = family == Family::Ipv4 && missing > 0 && !host.is_empty();
    let bits =
        if short { address(family, &format!("{host}{}", ".0".repeat(missing)))? } else { address(family, host)? };
    Ok(Network::new(bits, mask))
}

/// `from-to`, or one address.
pub(super) fn address_span(family: Family, word: &str) -> Result<Span, Refusal> {
    let (first, last) = match word.split_once('-') {
        Some((first, last)) => (address(family, first)?, address(family, last)?),
        None => (address(family, word)?, address(family, word)?),
    };
    let (first, last) = in_order(word, first, last)?;
    Ok(Span { first, last })
}

/// Names separated by commas, each a bit or more.
pub(super) fn bits<T: Copy + Into<u16>>(
    word: &str,
    what: &str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<u16, Refusal> {
    let mut all = 0;
    for name in word.split(',') {
        match find(name) {
            Some(bit) => all |= bit.into(),
            None => return refuse(name, format_args!("not {what}")),
        }
    }
    Ok(all)
}
