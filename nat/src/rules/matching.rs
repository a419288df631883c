//! What a rule can ask about a packet, beyond the header: one variant for each match extension.
//! Values only; how they are compared is in `judge`.

use std::fmt;

use super::{Conntrack, Hashlimit, Limit, SetTest, Span, States};
use wire::Mac;

/// Something that is asked, or its contrary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Not<T> {
    /// `!` stands before it.
    pub not: bool,
    /// What is asked.
    pub value: T,
}

impl<T> Not<T> {
    /// Asked as it is.
    pub const fn plain(value: T) -> Not<T> {
        Not { not: false, value }
    }

    /// The answer, when the question itself is answered by `answer`.
    #[inline]
    pub fn holds(&self, answer: impl FnOnce(&T) -> bool) -> bool {
        answer(&self.value) != self.not
    }
}

/// An interface's name, or how it begins (`eth+`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// The name without `+`.
    pub name: Box<str>,
    /// Whether more may follow.
    pub prefix: bool,
}

impl Interface {
    /// Whether an interface is meant. A packet without one has an empty name.
    #[inline]
    pub fn covers(&self, name: &str) -> bool {
        if self.prefix { name.as_bytes().starts_with(self.name.as_bytes()) } else { name == &*self.name }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.prefix { "+" } else { "" })
    }
}

/// Ports, or other numbers of 16 bits, from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest; never below the first.
    pub last: u16,
}

impl Ports {
    /// All of them.
    pub const ANY: Ports = Ports { first: 0, last: u16::MAX };

    /// Whether one is among them.
    #[inline]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// TCP flags: those of the mask that are set must be exactly these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagTest {
    /// Flags looked at, as the header has them.
    pub mask: u8,
    /// Flags that must be set.
    pub set: u8,
}

/// `-m tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tcp {
    /// Source ports.
    pub source: Not<Ports>,
    /// Destination ports.
    pub destination: Not<Ports>,
    /// An option that the header holds.
    pub option: Option<Not<u8>>,
    /// Flags.
    pub flags: Option<Not<FlagTest>>,
}

/// An ICMP type, and its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpType {
    /// The type; with IPv4, 255 stands for any.
    pub kind: u8,
    /// The code, if one is asked for.
    pub code: Option<u8>,
}

/// Which port `-m multiport` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortsOf {
    /// `--sports`
    Source,
    /// `--dports`
    Destination,
    /// `--ports`: one of both.
    Either,
}

/// A number under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word<T> {
    /// What must be left under the mask.
    pub value: T,
    /// Bits looked at.
    pub mask: T,
}

/// `-m connlimit`: how many connections are open from (or to) one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connlimit {
    /// `--connlimit-above`, not `--connlimit-upto`.
    pub above: bool,
    /// The number.
    pub limit: u32,
    /// Prefix length by which addresses are one.
    pub prefix: u8,
    /// By destination, not by source.
    pub by_destination: bool,
}

/// `-m addrtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddrType {
    /// Kinds of source, a bit for each.
    pub source: Option<Not<u16>>,
    /// Kinds of destination.
    pub destination: Option<Not<u16>>,
    /// Only as the incoming interface sees it.
    pub limit_in: bool,
    /// Only as the outgoing interface sees it.
    pub limit_out: bool,
}

/// `-m rt`: a routing header (RFC 8200 section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoutingHeader {
    /// Its type.
    pub kind: Option<Not<u32>>,
    /// Segments left: the fewest and the most.
    pub left: Option<Not<(u32, u32)>>,
    /// Its length in bytes.
    pub len: Option<Not<u32>>,
}

/// How `-m ttl` and `-m hl` compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `-eq`
    Equal,
    /// `! -eq`
    Unequal,
    /// `-lt`
    Less,
    /// `-gt`
    Greater,
}

/// `-m statistic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Statistic {
    /// By chance: how many of 2³¹.
    Random(Not<u32>),
    /// One of `every`, beginning with number `packet`, counted from 0.
    Nth {
        /// Not 0.
        every: Not<u32>,
        /// Below `every`.
        packet: u32,
    },
}

/// What a rule asks about a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// `tcp`
    Tcp(Tcp),
    /// `udp`: source ports, destination ports.
    Udp(Not<Ports>, Not<Ports>),
    /// `icmp` and `icmp6`
    Icmp(Not<IcmpType>),
    /// `multiport`
    Multiport(PortsOf, Not<Box<[Ports]>>),
    /// `iprange`: sources, destinations.
    Iprange(Box<[Option<Not<Span>>; 2]>),
    /// `state`
    State(Not<States>),
    /// `conntrack`
    Conntrack(Box<Conntrack>),
    /// `mac`
    Mac(Not<Mac>),
    /// `limit`
    Limit(Limit),
    /// `hashlimit`
    Hashlimit(Box<Hashlimit>),
    /// `connlimit`
    Connlimit(Connlimit),
    /// `comment`, which every packet passes.
    Comment(Box<str>),
    /// `mark`
    Mark(Not<Word<u32>>),
    /// `connmark`
    Connmark(Not<Word<u32>>),
    /// `addrtype`
    AddrType(AddrType),
    /// `length`: bytes of the IP packet.
    Length(Not<Ports>),
    /// `ttl` and `hl`
    Ttl(Compare, u8),
    /// `rt`
    RoutingHeader(Box<RoutingHeader>),
    /// `dscp`
    Dscp(Not<u8>),
    /// `tos`
    Tos(Not<Word<u8>>),
    /// `statistic`
    Statistic(Statistic),
    /// `set`
    Set(Box<SetTest>),
}
