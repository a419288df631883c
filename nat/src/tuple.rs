//! Who talks to whom, in as few bytes as a table of a million wants. One tuple names one direction of a conversation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of one zone mean nothing in another: two networks may use the same ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Zone(pub u32);

impl Zone {
    /// What lies behind the host: its own addresses and the rest of the world. It has no limit of its own.
    pub const OUTSIDE: Zone = Zone(0);
}

/// Which way a packet goes, seen from the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// As the packet that began it.
    Original,
    /// Back.
    Reply,
}

impl Direction {
    /// The other one.
    #[inline]
    pub const fn reverse(self) -> Direction {
        match self {
            Direction::Original => Direction::Reply,
            Direction::Reply => Direction::Original,
        }
    }
}

/// An IP address in two words: IPv4 as IPv6 writes it (RFC 4291 section 2.5.5.2). No packet may bring such an address in
/// IPv6 clothes: they would be one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Address {
    pub(crate) high: u64,
    pub(crate) low: u64,
}

const MAPPED: u64 = 0xffff << 32;

impl Address {
    #[inline]
    pub(crate) const fn v4(octets: [u8; 4]) -> Address {
        Address { high: 0, low: MAPPED | u32::from_be_bytes(octets) as u64 }
    }

    /// `None` for an IPv4-mapped address.
    #[inline]
    pub(crate) const fn v6(octets: [u8; 16]) -> Option<Address> {
        let bits = u128::from_be_bytes(octets);
        let address = Address { high: (bits >> 64) as u64, low: bits as u64 };
        if address.is_ipv4() { None } else { Some(address) }
    }

    /// Whether it is an IPv4 address.
    #[inline]
    pub const fn is_ipv4(self) -> bool {
        self.high == 0 && self.low >> 32 == 0xffff
    }

    /// The address of a packet that was parsed; `None` for an IPv4-mapped one.
    #[inline]
    pub fn new(ip: IpAddr) -> Option<Address> {
        match ip {
            IpAddr::V4(ip) => Some(Address::v4(ip.octets())),
            IpAddr::V6(ip) => Address::v6(ip.octets()),
        }
    }

    /// As the standard library has it.
    #[inline]
    pub fn ip(self) -> IpAddr {
        if self.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from(u128::from(self.high) << 64 | u128::from(self.low)))
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

/// One direction of a conversation. For an ICMP query the port of the side that asks is the identifier, and the other port
/// the query's type; protocols without ports have 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Where it comes from.
    pub src: Address,
    /// Where it goes.
    pub dst: Address,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// IP protocol.
    pub protocol: u8,
}

impl Tuple {
    /// The way back.
    pub const fn reverse(self) -> Tuple {
        Tuple {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            protocol: self.protocol,
        }
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuple { src, dst, src_port, dst_port, protocol } = self;
        write!(f, "{src:?}:{src_port} > {dst:?}:{dst_port} protocol {protocol}")
    }
}
