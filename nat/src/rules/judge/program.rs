//! A rule set made ready to judge: every table's rules in one row, chains as parts of it, and beside them what rules
//! remember. Made from a [`RuleSet`] as a whole and replaced as a whole.

use std::sync::Arc;

use hashbrown::HashMap;
use wire::Time;

use super::connections::Connections;
use super::hash::{Bucket, Quotas};
use super::index::{Hit, Index};
use super::packet::{Packet, Surroundings};
use super::seen::Seen;
use super::walk::{Return, Walk};
use super::{Outcome, Place, Verdict};
use crate::rules::save::write_rule;
use crate::rules::{
    AddressSet, Chain, ChainId, Counters, Family, Hook, Match, Rule, RuleSet, Statistic, Table, TableRules,
};

/// What one match of one rule remembers.
pub(super) enum Cell {
    Bucket(Bucket),
    /// A place in [`Memory::quotas`].
    Quotas(usize),
    Connections(Box<Connections>),
    /// How many packets after the last hit.
    Nth(u32),
}

/// What rules remember, beside their counters.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) cells: Vec<Cell>,
    pub(super) quotas: Vec<Quotas>,
}

/// A part of a table's row.
pub(super) struct Part {
    pub(super) first: u32,
    pub(super) end: u32,
    /// The chain, whose own list of rules is empty here.
    pub(super) chain: Chain,
    /// Finds rules in it; a short one has none.
    pub(super) index: Option<Index>,
}

/// A table's rules in a row.
pub(super) struct Row {
    pub(super) table: Table,
    pub(super) parts: Vec<Part>,
    pub(super) rules: Vec<Rule>,
    /// Where each rule's first cell is.
    pub(super) cells: Vec<u32>,
    /// A built-in chain's number by hook.
    pub(super) heads: [Option<u32>; 5],
    /// Whether a part has an index.
    pub(super) indexed: bool,
}

/// Rules that judge packets.
pub struct Program {
    family: Family,
    rows: [Option<Row>; 4],
    sets: Vec<Arc<AddressSet>>,
    memory: Memory,
    /// Where to return to, and what was found in indexes; here so that they are not made anew for each packet.
    stack: Vec<Return>,
    hits: Vec<Hit>,
}

impl Program {
    /// Makes rules ready. Nothing is remembered yet but the counters that they come with.
    pub fn new(set: RuleSet) -> Program {
        let mut program = Program::linear(set);
        for row in program.rows.iter_mut().flatten() {
            for part in &mut row.parts {
                let rules = row.rules.get(part.first as usize..part.end as usize).unwrap_or_default();
                part.index = Index::of(program.family, rules, part.first);
                row.indexed |= part.index.is_some();
            }
        }
        program
    }

    /// Makes rules ready to be asked one after the other, however many. It judges as the one of [`Program::new`] does,
    /// only slower: for what that is measured by.
    pub fn linear(set: RuleSet) -> Program {
        let mut memory = Memory::default();
        let mut names = HashMap::new();
        let rows = set.tables.map(|table| table.map(|table| row(table, &mut memory, &mut names)));
        Program { family: set.family, rows, sets: set.sets, memory, stack: Vec::new(), hits: Vec::new() }
    }

    /// Whose addresses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether a table may do anything at a hook: it has rules there, or a policy other than to accept.
    pub fn acts(&self, table: Table, hook: Hook) -> bool {
        let Some(row) = &self.rows[table as usize] else { return false };
        let part = row.heads[hook as usize].map(|head| &row.parts[head as usize]);
        part.is_some_and(|part| part.first < part.end || part.chain.policy != crate::rules::Policy::Accept)
    }

    /// Judges a packet by one table at one hook. A packet of another family passes.
    ///
    /// The table nat is for the first packet of a connection only, and raw for packets that were not looked up yet; who
    /// calls takes care of that, and of the order.
    pub fn judge<S: Surroundings + ?Sized>(
        &mut self,
        now: Time,
        table: Table,
        hook: Hook,
        packet: &mut Packet<'_>,
        around: &mut S,
    ) -> Outcome {
        self.trace(now, table, hook, packet, around, |_| ())
    }

    /// Judges a packet, and tells every rule that it matches, and the policy.
    pub fn trace<S: Surroundings + ?Sized>(
        &mut self,
        now: Time,
        table: Table,
        hook: Hook,
        packet: &mut Packet<'_>,
        around: &mut S,
        mut each: impl FnMut(Place),
    ) -> Outcome {
        let passed = Outcome { verdict: Verdict::Accept, by: None, malformed: false, steady: true };
        let Some(row) = &mut self.rows[table as usize] else { return passed };
        let Some(seen) = Seen::of(self.family, packet) else { return passed };
        let Some(head) = row.heads[hook as usize] else { return passed };
        let Program { memory, stack, hits, .. } = self;
        stack.clear();
        hits.clear();
        let mut walk = Walk { now, hook, seen, memory, stack, hits, steady: true };
        walk.run(row, head, packet, around, &mut each)
    }

    /// The rule set with the counters as they are now.
    pub fn rule_set(&self) -> RuleSet {
        let table = |row: &Row| TableRules {
            table: row.table,
            chains: row.parts.iter().map(|part| Chain { rules: row.of(part).to_vec(), ..part.chain.clone() }).collect(),
        };
        RuleSet {
            family: self.family,
            tables: self.rows.each_ref().map(|row| row.as_ref().map(table)),
            sets: self.sets.clone(),
        }
    }

    /// Counts what was decided from memory, as this place had decided what came before.
    #[inline]
    pub fn credit(&mut self, place: Place, more: Counters) {
        let Some(row) = &mut self.rows[place.table as usize] else { return };
        let Some(part) = row.parts.get_mut(place.chain.0 as usize) else { return };
        match place.rule {
            None => part.chain.counters.add(more),
            Some(number) => {
                if let Some(rule) = row.rules.get_mut((part.first + number) as usize) {
                    rule.counters.add(more);
                }
            }
        }
    }

    /// All counters, in the order of [`RuleSet::counters`].
    pub fn counters(&self) -> Vec<Counters> {
        let parts = self.rows.iter().flatten().map(|row| row.parts.len() + row.rules.len()).sum();
        let mut all = Vec::with_capacity(parts);
        for (row, part) in self.rows.iter().flatten().flat_map(|row| row.parts.iter().map(move |part| (row, part))) {
            all.push(part.chain.counters);
            all.extend(row.of(part).iter().map(|rule| rule.counters));
        }
        all
    }

    /// Some of [`Program::counters`]: from the one with this number on, at the most so many. Rules are far apart in memory:
    /// who must not be kept waiting asks for a few at a time.
    pub fn counters_from(&self, first: usize, most: usize) -> Vec<Counters> {
        let (mut some, mut at) = (Vec::with_capacity(most), 0);
        for (row, part) in self.rows.iter().flatten().flat_map(|row| row.parts.iter().map(move |part| (row, part))) {
            let rules = row.of(part);
            let skipped = first.saturating_sub(at);
            at += 1 + rules.len();
            if skipped == 0 && some.len() < most {
                some.push(part.chain.counters);
            }
            let rest = rules.get(skipped.saturating_sub(1)..).unwrap_or_default();
            let room = most - some.len();
            some.extend(rest.iter().take(room).map(|rule| rule.counters));
            if some.len() == most {
                break;
            }
        }
        some
    }

    /// What stands at a place: a rule as it is saved, or a policy. Empty if there is nothing.
    pub fn describe(&self, place: Place) -> String {
        let Some(row) = &self.rows[place.table as usize] else { return String::new() };
        let Some(part) = row.parts.get(place.chain.0 as usize) else { return String::new() };
        let Some(number) = place.rule else {
            return format!("policy of {}: {:?}", part.chain.name, part.chain.policy).to_lowercase();
        };
        let mut text = String::new();
        if let Some(rule) = row.of(part).get(number as usize) {
            let name = |ChainId(id): ChainId| row.parts.get(id as usize).map_or("", |part| &*part.chain.name);
            // Writing into a string does not fail.
            let _ = write_rule(&mut text, self.family, &part.chain, rule, name);
        }
        text
    }

    /// Sets all counters to 0.
    pub fn zero(&mut self) {
        for row in self.rows.iter_mut().flatten() {
            row.rules.iter_mut().for_each(|rule| rule.counters = Counters::default());
            row.parts.iter_mut().for_each(|part| part.chain.counters = Counters::default());
        }
    }
}

impl Row {
    fn of(&self, part: &Part) -> &[Rule] {
        self.rules.get(part.first as usize..part.end as usize).unwrap_or_default()
    }
}

fn row(table: TableRules, memory: &mut Memory, names: &mut HashMap<Box<str>, usize>) -> Row {
    let mut row = Row {
        table: table.table,
        parts: Vec::new(),
        rules: Vec::new(),
        cells: Vec::new(),
        heads: [None; 5],
        indexed: false,
    };
    for (number, mut chain) in table.chains.into_iter().enumerate() {
        if let Some(hook) = chain.hook {
            row.heads[hook as usize] = Some(number as u32);
        }
        let first = row.rules.len() as u32;
        for rule in std::mem::take(&mut chain.rules) {
            row.cells.push(memory.cells.len() as u32);
            for one in &rule.matches {
                if let Some(cell) = cell(one, &mut memory.quotas, names) {
                    memory.cells.push(cell);
                }
            }
            row.rules.push(rule);
        }
        row.parts.push(Part { first, end: row.rules.len() as u32, chain, index: None });
    }
    row
}

/// What a match remembers, if anything. Which ones do is known in one more place: where they are asked.
fn cell(one: &Match, quotas: &mut Vec<Quotas>, names: &mut HashMap<Box<str>, usize>) -> Option<Cell> {
    match one {
        Match::Limit(_) => Some(Cell::Bucket(Bucket::new())),
        Match::Hashlimit(settings) => {
            let place = *names.entry(settings.name.clone()).or_insert_with(|| {
                quotas.push(Quotas::new(settings));
                quotas.len() - 1
            });
            Some(Cell::Quotas(place))
        }
        Match::Connlimit(_) => Some(Cell::Connections(Box::default())),
        Match::Statistic(Statistic::Nth { every, packet }) => {
            Some(Cell::Nth(every.value.saturating_sub(1).saturating_sub(*packet)))
        }
        _ => None,
    }
}
