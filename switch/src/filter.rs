//! The rule sets of this host: one for all networks, one for each, by address family. Which packet meets which, and in which
//! order, is the gateway's to say (`gateway::hooks`); what rules mean is `nat::rules`.

use std::collections::VecDeque;

use hashbrown::HashMap;
use nat::rules::{Counters, Family, Hook, Place, Program, Table};

use crate::BridgeId;

/// Whose rules: those of one network; `None`: those for all.
pub(crate) type Scope = Option<BridgeId>;

/// Lines that rules want written and nobody has fetched yet.
const LINES: usize = 64;

/// The programs that are loaded.
pub(crate) struct Filters {
    programs: HashMap<(Scope, Family), Box<Program>>,
    pub(crate) lines: VecDeque<LogLine>,
    /// Lines that found no room.
    pub(crate) unwritten: u64,
    random: u64,
    /// Grows whenever rules change: what was decided by others is worth nothing.
    pub(crate) generation: u32,
}

/// What a rule wants written about a packet (`-j LOG`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The rule's prefix.
    pub prefix: Box<str>,
    /// syslog's level, 0 to 7.
    pub level: u8,
    /// Where the packet came in; empty for what the gateway sends itself.
    pub input: Box<str>,
    /// Where it goes out; empty before that is known.
    pub output: Box<str>,
    /// The packet, as far as it was parsed.
    pub packet: wire::FlowKey,
    /// Its length in bytes, without the Ethernet header.
    pub len: u32,
}

impl Filters {
    pub(crate) fn new(seed: u64) -> Filters {
        Filters { programs: HashMap::new(), lines: VecDeque::new(), unwritten: 0, random: seed | 1, generation: 0 }
    }

    /// Whether any packet of a network meets any rule.
    #[inline]
    pub(crate) fn apply_to(&self, bridge: BridgeId) -> bool {
        !self.programs.is_empty() && self.programs.keys().any(|(scope, _)| scope.is_none_or(|scope| scope == bridge))
    }

    /// Loads a program in place of the one that was there, or takes that one out.
    pub(crate) fn set(&mut self, scope: Scope, family: Family, program: Option<Box<Program>>) -> Option<Box<Program>> {
        self.generation = self.generation.wrapping_add(1);
        match program {
            Some(program) => self.programs.insert((scope, family), program),
            None => self.programs.remove(&(scope, family)),
        }
    }

    /// Takes a program out for as long as it judges; [`Filters::put_back`] follows.
    pub(crate) fn lend(&mut self, scope: Scope, family: Family) -> Option<Box<Program>> {
        self.programs.remove(&(scope, family))
    }

    pub(crate) fn put_back(&mut self, scope: Scope, program: Box<Program>) {
        self.programs.insert((scope, program.family()), program);
    }

    pub(crate) fn get(&self, scope: Scope, family: Family) -> Option<&Program> {
        self.programs.get(&(scope, family)).map(AsRef::as_ref)
    }

    pub(crate) fn get_mut(&mut self, scope: Scope, family: Family) -> Option<&mut Program> {
        self.programs.get_mut(&(scope, family)).map(AsMut::as_mut)
    }

    /// Whether any of these programs does anything there.
    pub(crate) fn acts(&self, scope: Scope, family: Family, table: Table, hook: Hook) -> bool {
        self.get(scope, family).is_some_and(|program| program.acts(table, hook))
    }

    /// Forgets a network's rules.
    pub(crate) fn forget(&mut self, bridge: BridgeId) {
        self.programs.retain(|(scope, _), _| *scope != Some(bridge));
    }

    /// Counts what a remembered decision decided.
    #[inline]
    pub(crate) fn credit(&mut self, marks: &[Mark], more: Counters) {
        for mark in marks {
            if let Some(program) = self.get_mut(mark.scope, mark.family) {
                program.credit(mark.place, more);
            }
        }
    }

    /// A number for `-m statistic --mode random`: nothing that has to be kept from anybody (xorshift64*).
    pub(crate) fn random(&mut self) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    pub(crate) fn write(&mut self, line: LogLine) {
        if self.lines.len() < LINES {
            self.lines.push_back(line);
        } else {
            self.unwritten += 1;
        }
    }
}

/// A rule or policy that a flow's packets met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) scope: Scope,
    pub(crate) family: Family,
    pub(crate) place: Place,
}
