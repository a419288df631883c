//! The addresses behind which the switch is for the proxy: one pair for the rules of every address, and one more for
//! each address that rules are bound to, so that two rules of one port stay apart. They are in `vsw0`'s subnets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::At;

/// The host part of the wildcard rules' address.
const WILDCARD: u8 = 3;
/// The last host part that can be given.
const LAST: u8 = 254;

/// The addresses with a host part, IPv4 first.
pub fn addresses(part: u8) -> [IpAddr; 2] {
    let v4 = Ipv4Addr::new(169, 254, 86, part);
    let v6 = Ipv6Addr::new(0xfd76, 0x7377, 0x3000, 0, 0, 0, 0, u16::from(part));
    [v4.into(), v6.into()]
}

/// Who has which host part. What is not in use any more is forgotten.
#[derive(Debug, Default)]
pub struct Vias {
    parts: BTreeMap<At, u8>,
}

impl Vias {
    /// The host part of a place; `None` when 251 addresses are in use.
    pub fn part(&mut self, at: At) -> Option<u8> {
        match at {
            // The two never have the same port.
            At::Any | At::AnyV4 => return Some(WILDCARD),
            At::AnyV6 | At::Address(_) => {}
        }
        if let Some(part) = self.parts.get(&at) {
            return Some(*part);
        }
        let used: BTreeSet<u8> = self.parts.values().copied().collect();
        let free = (WILDCARD + 1..=LAST).find(|part| !used.contains(part))?;
        self.parts.insert(at, free);
        Some(free)
    }

    /// Forgets every place that is not in use.
    pub fn retain(&mut self, used: impl Fn(At) -> bool) {
        self.parts.retain(|at, _| used(*at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_share_one_and_every_address_has_its_own() {
        let mut vias = Vias::default();
        let at = |text: &str| text.parse::<At>().unwrap();
        assert_eq!((vias.part(At::Any), vias.part(At::AnyV4)), (Some(3), Some(3)));
        assert_eq!(
            (vias.part(at("127.0.0.1")), vias.part(at("::1")), vias.part(At::AnyV6)),
            (Some(4), Some(5), Some(6))
        );
        assert_eq!(vias.part(at("::1")), Some(5));
        vias.retain(|used| used != at("127.0.0.1"));
        assert_eq!((vias.part(at("192.0.2.1")), vias.part(at("::1"))), (Some(4), Some(5)));
        let more = (0..=255).filter_map(|n| vias.part(at(&format!("192.0.3.{n}")))).count();
        assert_eq!(more, 251 - 3);
        assert_eq!(addresses(3).map(|a| a.to_string()), ["169.254.86.3", "fd76:7377:3000::3"]);
    }
}
