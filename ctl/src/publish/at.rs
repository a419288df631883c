//! At which of the host's addresses a port is published, and which families that means.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where a port is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// Every address of the host, IPv4 and IPv6.
    Any,
    /// Every IPv4 address.
    AnyV4,
    /// Every IPv6 address.
    AnyV6,
    /// One address; neither unspecified nor multicast nor link-local.
    Address(IpAddr),
}

impl At {
    /// Whether clients of that family are meant.
    pub fn has(self, v4: bool) -> bool {
        match self {
            At::Any => true,
            At::AnyV4 => v4,
            At::AnyV6 => !v4,
            At::Address(address) => address.is_ipv4() == v4,
        }
    }

    /// Whether some address belongs to both.
    pub fn overlaps(self, other: At) -> bool {
        match (self, other) {
            (At::Address(one), At::Address(two)) => one == two,
            _ => [true, false].into_iter().any(|v4| self.has(v4) && other.has(v4)),
        }
    }

    /// The one address, if it is one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            At::Address(address) => Some(address),
            _ => None,
        }
    }

    /// What a socket is bound to, one for each family that it stands for; for humans, IPv6 in brackets.
    pub fn hosts(self) -> Vec<String> {
        let (v4, v6) = (Ipv4Addr::UNSPECIFIED.to_string(), format!("[{}]", Ipv6Addr::UNSPECIFIED));
        match self {
            At::Any => vec![v4, v6],
            At::AnyV4 => vec![v4],
            At::AnyV6 => vec![v6],
            At::Address(IpAddr::V4(address)) => vec![address.to_string()],
            At::Address(IpAddr::V6(address)) => vec![format!("[{address}]")],
        }
    }
}

/// `0.0.0.0` for all as well: where it matters, both are shown.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hosts().first().map_or("", String::as_str))
    }
}

/// An address as it stands before a host port, without brackets.
impl FromStr for At {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<At, &'static str> {
        let address: IpAddr = text.parse().map_err(|_| "not an IP address")?;
        let address = address.to_canonical();
        match address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ok(At::AnyV4),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ok(At::AnyV6),
            IpAddr::V4(Ipv4Addr::BROADCAST) => Err("a broadcast address"),
            _ if address.is_multicast() => Err("a multicast address"),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Err("a link-local address, which means nothing alone"),
            _ => Ok(At::Address(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_overlap_where_one_address_is_in_both() {
        let at = |text: &str| text.parse::<At>().unwrap();
        for (one, two, both) in [
            (At::Any, At::AnyV4, true),
            (At::Any, at("fd00::1"), true),
            (At::AnyV4, At::AnyV6, false),
            (At::AnyV4, at("192.0.2.1"), true),
            (At::AnyV6, at("192.0.2.1"), false),
            (at("192.0.2.1"), at("::ffff:192.0.2.1"), true),
            (at("192.0.2.1"), at("192.0.2.2"), false),
        ] {
            assert_eq!((one.overlaps(two), two.overlaps(one)), (both, both), "{one:?} {two:?}");
        }
    }

    #[test]
    fn addresses_nobody_can_be_reached_at_are_refused() {
        for bad in ["", "host", "224.0.0.1", "255.255.255.255", "fe80::1", "ff02::1", "1.2.3"] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }
}
