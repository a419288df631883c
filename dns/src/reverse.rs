//! Names of addresses: in-addr.arpa (RFC 1035 section 3.5) and ip6.arpa (RFC 3596 section 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::name::{before, split_first};

const V4: &[u8] = b"\x07in-addr\x04arpa";
const V6: &[u8] = b"\x03ip6\x04arpa";

/// The address that a name in lower case, without the root's zero, is the reverse name of. `None`: of none, or of a part
/// of one.
pub fn address(labels: &[u8]) -> Option<IpAddr> {
    if let Some(labels) = before(labels, V4) {
        return parse(labels, octet).map(|octets: [u8; 4]| Ipv4Addr::from(octets).into());
    }
    let nibbles: [u8; 32] = parse(before(labels, V6)?, nibble)?;
    let octets: [u8; 16] = std::array::from_fn(|at| nibbles[2 * at] << 4 | nibbles[2 * at + 1]);
    Some(Ipv6Addr::from(octets).into())
}

/// Exactly that many labels, the last one first.
fn parse<const COUNT: usize>(mut labels: &[u8], value: fn(&[u8]) -> Option<u8>) -> Option<[u8; COUNT]> {
    let mut parts = [0; COUNT];
    for part in parts.iter_mut().rev() {
        let (label, rest) = split_first(labels)?;
        *part = value(label)?;
        labels = rest;
    }
    labels.is_empty().then_some(parts)
}

fn octet(label: &[u8]) -> Option<u8> {
    number(label)
}

/// A decimal number without sign and leading zeros.
pub(crate) fn number<T: FromStr>(label: &[u8]) -> Option<T> {
    let canonical = matches!(label, [b'0'] | [b'1'..=b'9', ..]);
    if canonical { std::str::from_utf8(label).ok()?.parse().ok() } else { None }
}

fn nibble(label: &[u8]) -> Option<u8> {
    match *label {
        [digit] => char::from(digit).to_digit(16).map(|digit| digit as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    fn of(text: &str) -> Option<IpAddr> {
        address(Name::from_text(text).unwrap().labels())
    }

    #[test]
    fn of_both_families() {
        assert_eq!(of("4.3.2.10.in-addr.ARPA"), Some("10.2.3.4".parse().unwrap()));
        let zeros = "0.".repeat(24);
        assert_eq!(of(&format!("F.0.0.0.{zeros}8.0.d.f.ip6.arpa")), Some("fd08::f".parse().unwrap()));
    }

    #[test]
    fn of_nothing_else() {
        let texts = [
            "3.2.10.in-addr.arpa",
            "5.4.3.2.10.in-addr.arpa",
            "256.3.2.10.in-addr.arpa",
            "04.3.2.10.in-addr.arpa",
            "+4.3.2.10.in-addr.arpa",
            "a.3.2.10.in-addr.arpa",
            "4.3.2.10.in-addr.arp",
            "in-addr.arpa",
            "f.0.ip6.arpa",
        ];
        for text in texts {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
