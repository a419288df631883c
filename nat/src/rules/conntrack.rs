//! What `-m state` and `-m conntrack` ask about a packet's connection.

use super::{Network, Not, Ports};

/// A set of connection states, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct States(pub(crate) u8);

impl States {
    pub(crate) const INVALID: States = States(1);
    pub(crate) const NEW: States = States(1 << 1);
    pub(crate) const RELATED: States = States(1 << 2);
    pub(crate) const ESTABLISHED: States = States(1 << 3);
    pub(crate) const UNTRACKED: States = States(1 << 4);
    pub(crate) const SNAT: States = States(1 << 5);
    pub(crate) const DNAT: States = States(1 << 6);

    /// In the order in which they are saved.
    pub(crate) const NAMES: [(&'static str, States); 7] = [
        ("INVALID", States::INVALID),
        ("NEW", States::NEW),
        ("RELATED", States::RELATED),
        ("ESTABLISHED", States::ESTABLISHED),
        ("UNTRACKED", States::UNTRACKED),
        ("SNAT", States::SNAT),
        ("DNAT", States::DNAT),
    ];

    /// Both.
    pub(crate) const fn with(self, other: States) -> States {
        States(self.0 | other.0)
    }

    /// Whether they have one in common.
    pub(crate) const fn meets(self, other: States) -> bool {
        self.0 & other.0 != 0
    }
}

/// A set of connection statuses, a bit for each, with the kernel's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statuses(pub u8);

impl Statuses {
    /// It was announced by another connection.
    pub const EXPECTED: Statuses = Statuses(1);
    /// Packets have passed both ways.
    pub const SEEN_REPLY: Statuses = Statuses(1 << 1);
    /// It is not given up early.
    pub const ASSURED: Statuses = Statuses(1 << 2);
    /// Its first packet has passed all rules.
    pub const CONFIRMED: Statuses = Statuses(1 << 3);

    /// In the order in which they are saved.
    pub(crate) const NAMES: [(&'static str, Statuses); 4] = [
        ("EXPECTED", Statuses::EXPECTED),
        ("SEEN_REPLY", Statuses::SEEN_REPLY),
        ("ASSURED", Statuses::ASSURED),
        ("CONFIRMED", Statuses::CONFIRMED),
    ];
}

/// Seconds that a connection still has, from one number to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expiry {
    /// The fewest.
    pub first: u32,
    /// The most.
    pub last: u32,
}

/// `-m conntrack`: everything that is `Some` must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// `--ctstate`
    pub states: Option<Not<States>>,
    /// `--ctproto`
    pub protocol: Option<Not<u8>>,
    /// `--ctorigsrc`, `--ctorigdst`, `--ctreplsrc`, `--ctrepldst`
    pub addresses: [Option<Not<Network>>; 4],
    /// The ports of the same.
    pub ports: [Option<Not<Ports>>; 4],
    /// `--ctstatus`
    pub statuses: Option<Not<Statuses>>,
    /// `--ctexpire`
    pub expiry: Option<Not<Expiry>>,
    /// `--ctdir`: whether the packet goes the way of the first one.
    pub original: Option<bool>,
}
