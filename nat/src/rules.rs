//! Packet filtering and translation by rules, as iptables has them: text is loaded into a [`RuleSet`], a rule set is saved as
//! text, and a [`Program`] judges packets by it with the kernel's semantics.
//!
//! Reading is in `load`, writing in `save`, judging in `judge`; the other files are the model. Not the tracker: a packet
//! brings along what is known about its connection, and a verdict says what is to be done, not where things are remembered.

mod address;
mod chain;
mod conntrack;
mod counters;
mod edit;
mod family;
mod judge;
mod load;
mod matching;
mod names;
pub mod pick;
mod rate;
mod save;
mod set;
mod target;

pub use address::{Network, Span};
pub use chain::{Chain, ChainId, Counters, Header, MAX_RULES, Policy, Rule, RuleSet, TableRules};
pub use conntrack::{Conntrack, Expiry, States, Statuses};
pub use family::{Family, Hook, Table};
pub use judge::{
    AddressKinds, Connection, Nowhere, Outcome, Packet, Place, Program, Surroundings, Tracking, Translation, Verdict,
};
pub use load::{LoadError, load, load_onto};
pub use matching::{
    AddrType, Compare, Connlimit, FlagTest, IcmpType, Interface, Match, Not, Ports, PortsOf, RoutingHeader, Statistic,
    Tcp, Word,
};
pub use rate::{HashMode, Hashlimit, Limit, Quota};
pub use save::save;
pub use set::{AddressSet, SetTest};
pub use target::{Change, ConnmarkChange, Log, Mss, Nat, Reject, Target};
