//! Packet filtering and translation by rules, as iptables has them: text is loaded into a [`RuleSet`], and a rule set is saved as
//! text. Reading is in `load`, writing in `save`; the other files are the model.

mod address;
mod chain;
mod conntrack;
mod family;
mod load;
mod matching;
mod names;
mod rate;
mod save;
mod target;

pub use address::{Network, Span};
pub use chain::{Chain, ChainId, Counters, Header, MAX_RULES, Policy, Rule, RuleSet, TableRules};
pub use conntrack::{Conntrack, Expiry, States, Statuses};
pub use family::{Family, Hook, Table};
pub use load::{LoadError, load};
pub use matching::{
    AddrType, Compare, Connlimit, FlagTest, IcmpType, Interface, Match, Not, Ports, PortsOf, Statistic, Tcp, Word,
};
pub use rate::{HashMode, Hashlimit, Limit, Quota};
pub use save::save;
pub use target::{Change, ConnmarkChange, Log, Mss, Nat, Reject, Target};
