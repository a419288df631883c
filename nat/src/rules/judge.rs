//! Judges packets by rules, as the kernel does: `ipt_do_table` and the extensions, one packet at a time.
//! The walk goes from rule to rule; in a long chain `index` says which come into question. What rules remember (counters, rates, places in a row) lives
//! in the [`Program`]; what they need to know from elsewhere comes with the [`Packet`] and from the [`Surroundings`].

mod change;
mod connections;
mod fields;
mod hash;
mod index;
mod mss;
mod packet;
mod program;
mod seen;
mod sets;
mod steady;
mod tracked;
mod transport;
mod walk;

pub use packet::{AddressKinds, Connection, Nowhere, Packet, Surroundings, Tracking};
pub use program::Program;

use super::{ChainId, Nat, Reject, Table};

/// How a packet's addresses are translated. What is picked from ranges is the tracker's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Another destination.
    Destination(Nat),
    /// Another source.
    Source(Nat),
    /// The source becomes the address of the outgoing interface.
    Masquerade(Nat),
    /// The destination becomes the address of the incoming interface; of this host for what it sends itself.
    Redirect(Nat),
}

/// What a table says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is dropped.
    Drop,
    /// It is dropped, and its sender told.
    Reject(Reject),
    /// Its connection is translated, and it passes.
    Translate(Translation),
}

/// A rule, or the end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: Table,
    /// The chain.
    pub chain: ChainId,
    /// The rule's place in it, counted from 0; `None` is the chain's policy.
    pub rule: Option<u32>,
}

/// What was decided, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub verdict: Verdict,
    /// By which rule or policy; `None` if the table has no say, as it is not there, or has no chain at this hook.
    pub by: Option<Place>,
    /// It was dropped because it makes no sense to a match: too short, or a fragment inside a TCP header.
    pub malformed: bool,
    /// Every other packet between the same ends and interfaces, of a connection in the same state and without SYN, FIN and
    /// RST, would be judged the same, and nothing about it would change.
    pub steady: bool,
}

/// The packet makes no sense to a match: it is dropped, whatever the rule says.
#[derive(Clone, Copy, Debug)]
struct Malformed;
