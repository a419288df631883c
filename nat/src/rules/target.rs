//! What a rule does to a packet that it matches: one variant for each target.

use super::address::number;
use super::{ChainId, Network, Ports, Span, Word, pick};
use crate::End;

/// How a packet is refused. The names are those of `--reject-with`, and each says for which family it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// A TCP reset.
    TcpReset,
    /// An ICMP destination unreachable message (type 3) with this code.
    Icmp(u8),
    /// An ICMPv6 destination unreachable message (type 1) with this code.
    Icmpv6(u8),
}

/// `-j LOG`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    /// What a line begins with; at most 29 bytes.
    pub prefix: Box<str>,
    /// syslog's level, 0 to 7.
    pub level: u8,
    /// What is shown besides: bit 0 TCP sequence numbers, 1 TCP options, 2 IP options, 3 the user.
    pub flags: u8,
}

impl Log {
    /// Without `--log-level`: warning.
    pub(crate) const LEVEL: u8 = 4;
    /// The kernel's room for a prefix.
    pub(crate) const PREFIX: usize = 29;
}

/// To what an address and a port are translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nat {
    /// Addresses; none if the target chooses.
    pub addresses: Option<Span>,
    /// Ports; none to keep them as far as possible.
    pub ports: Option<Ports>,
    /// The port that the first of `ports` stands for: others are shifted as far.
    pub base: Option<u16>,
    /// `--random`
    pub random: bool,
    /// `--random-fully`
    pub random_fully: bool,
    /// `--persistent`
    pub persistent: bool,
}

impl Nat {
    /// Whether an end is among those that it leads to. Ports are not asked of a protocol without.
    pub fn offers(&self, end: End, protocol: u8) -> bool {
        self.addresses.is_none_or(|span| span.contains(number(end.ip)))
            && (!pick::has_ports(protocol) || self.ports.is_none_or(|ports| ports.contains(end.port)))
    }
}

/// `-j CONNMARK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnmarkChange {
    /// Of the connection's mark, clear the mask's bits and invert the value's.
    Set(Word<u32>),
    /// Packet's mark to connection.
    Save {
        /// Of the packet's.
        packet: u32,
        /// Of the connection's.
        connection: u32,
    },
    /// Connection's mark to packet.
    Restore {
        /// Of the packet's.
        packet: u32,
        /// Of the connection's.
        connection: u32,
    },
}

/// `-j TCPMSS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mss {
    /// At most this.
    Set(u16),
    /// At most what passes both ways.
    Clamp,
}

/// `-j TTL` and `-j HL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Becomes this.
    Set(u8),
    /// Grows.
    Increase(u8),
    /// Shrinks.
    Decrease(u8),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing: it only counts.
    Continue,
    /// The packet passes this table.
    Accept,
    /// The packet is dropped.
    Drop,
    /// Back to where the chain was called; in a built-in chain, to its policy.
    Return,
    /// On to a chain, and back.
    Jump(ChainId),
    /// On to a chain, and from there to where this one was called.
    Goto(ChainId),
    /// The packet is dropped, and its sender told.
    Reject(Reject),
    /// Something is written down.
    Log(Box<Log>),
    /// The destination is translated.
    Dnat(Box<Nat>),
    /// The source is translated.
    Snat(Box<Nat>),
    /// The source is translated to the address of the outgoing interface.
    Masquerade(Box<Nat>),
    /// The destination is translated to the address of the incoming interface, or this host.
    Redirect(Box<Nat>),
    /// Source or destination keeps its host part, in another network.
    Netmap(Network),
    /// Of the packet's mark, clear the mask's bits and invert the value's.
    Mark(Word<u32>),
    /// Marks go to or come from the connection.
    Connmark(ConnmarkChange),
    /// The packet is not tracked; whether the text says `CT --notrack`.
    Notrack(bool),
    /// The TCP option for the largest segment is lowered.
    Tcpmss(Mss),
    /// The DSCP is set.
    Dscp(u8),
    /// Of the type of service, clear the mask's bits and invert the value's.
    Tos(Word<u8>),
    /// The time to live (or hop limit) is changed.
    Ttl(Change),
}
