//! Packet filters as the control plane keeps them: whose they are, how they are named and written down, and what they
//! would do to a packet that is only described. The rules themselves are [`nat::rules`].

mod described;
mod expand;
mod list;
mod names;
mod policy;
mod scope;
mod stored;
mod trace;
mod words;

pub use described::{Described, Unclear};
pub use list::{Entry, FAMILIES, alike, chain, entries, named, renewed, words_of};
pub use names::{Names, called};
pub use policy::{ICC_OPTION, POLICY_CHAIN, Policy, closed, denied};
pub use scope::{Scope, family_name, family_named};
pub use stored::{StoredRules, Unreadable};
pub use trace::{Between, Layer, trace};
pub use words::{Act, CHAIN, Who, Words, can_name};

/// Names of rules for places where packets come in or go out, beside sandboxes. No sandbox may have one.
pub const PLACES: [&str; 4] = ["uplink", "vsw0", "tunnel", "lo"];
