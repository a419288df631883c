//! Addresses as rules compare them: a number of 128 bits for both families, IPv4 in the low 32 with zeros above.
//! A packet of the other family never comes before a rule, so the two do not meet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Family;

/// An address as a number.
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// A number as an address.
pub(crate) fn ip(family: Family, number: u128) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// An address and a mask, which need not be a prefix. No bit of the address lies outside the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    pub(crate) bits: u128,
    pub(crate) mask: u128,
}

impl Network {
    /// The mask of a prefix.
    pub(crate) fn prefix_mask(family: Family, length: u32) -> u128 {
        let all = Network::host_mask(family);
        let shift = family.bits().saturating_sub(length);
        if shift >= 128 { 0 } else { (all >> shift << shift) & all }
    }

    /// The mask of a single host.
    pub(crate) const fn host_mask(family: Family) -> u128 {
        match family {
            Family::Ipv4 => u32::MAX as u128,
            Family::Ipv6 => u128::MAX,
        }
    }

    /// A network; bits outside the mask are cleared.
    pub(crate) const fn new(bits: u128, mask: u128) -> Network {
        Network { bits: bits & mask, mask }
    }

    /// Whether it holds every address.
    pub const fn is_any(self) -> bool {
        self.mask == 0
    }

    /// Whether an address lies in it.
    #[inline]
    pub(crate) const fn contains(self, number: u128) -> bool {
        number & self.mask == self.bits
    }

    /// The prefix length, if the mask is one.
    pub fn prefix_len(self, family: Family) -> Option<u32> {
        let length = self.mask.count_ones();
        (Network::prefix_mask(family, length) == self.mask).then_some(length)
    }

    /// Writes it as `address/length`, or `address/mask`.
    pub fn text(self, family: Family) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "{}/", ip(family, self.bits))?;
            match self.prefix_len(family) {
                Some(length) => write!(f, "{length}"),
                None => write!(f, "{}", ip(family, self.mask)),
            }
        })
    }
}

/// Addresses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Span {
    /// One address.
    pub fn one(ip: IpAddr) -> Span {
        Span { first: number(ip), last: number(ip) }
    }

    /// Whether an address lies in it.
    #[inline]
    pub(crate) const fn contains(self, number: u128) -> bool {
        self.first <= number && number <= self.last
    }

    /// Both ends.
    pub fn ends(self, family: Family) -> (IpAddr, IpAddr) {
        (ip(family, self.first), ip(family, self.last))
    }
}
