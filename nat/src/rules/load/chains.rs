//! A table while it is read: chains by name, rules in the order in which they are put in, and the line of each.

use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;

use super::sets::Sets;
use super::{Refusal, refuse, targets};
use crate::rules::{Chain, ChainId, Counters, Family, Hook, Policy, Rule, Table, TableRules};

/// Bytes of a chain's name.
const NAME: usize = 28;
/// Chains that a table may have.
const MAX_CHAINS: usize = 65_536;

/// A rule, and the line that it came from.
pub(super) struct Placed {
    pub(super) line: usize,
    pub(super) rule: Rule,
}

/// A table that is not complete yet.
pub(super) struct Building {
    pub(super) family: Family,
    pub(super) table: Table,
    /// Lists of addresses that rules may name.
    pub(super) sets: Rc<Sets>,
    /// With no rules in them: `order` has those.
    pub(super) chains: Vec<Chain>,
    /// Chain by chain, places in `placed`. An insertion moves numbers, not rules.
    order: Vec<VecDeque<u32>>,
    pub(super) placed: Vec<Placed>,
    names: HashMap<Box<str>, u32>,
    /// Whether the text has named the chain, so that it does so only once.
    declared: Vec<bool>,
}

impl Building {
    /// A table with the rules that it has already. They are of line 0.
    pub(super) fn onto(family: Family, rules: TableRules, sets: Rc<Sets>) -> Building {
        let TableRules { table, mut chains } = rules;
        let names = chains.iter().enumerate().map(|(number, chain)| (chain.name.clone(), number as u32)).collect();
        let declared = vec![false; chains.len()];
        let mut placed = Vec::new();
        let take = |chain: &mut Chain| {
            let first = placed.len() as u32;
            placed.extend(std::mem::take(&mut chain.rules).into_iter().map(|rule| Placed { line: 0, rule }));
            (first..placed.len() as u32).collect()
        };
        let order = chains.iter_mut().map(take).collect();
        Building { family, table, sets, chains, order, placed, names, declared }
    }

    /// The chain of that name.
    pub(super) fn find(&self, name: &str) -> Result<u32, Refusal> {
        match self.names.get(name) {
            Some(&number) => Ok(number),
            None => refuse(name, format_args!("the table {} has no chain of this name", self.table)),
        }
    }

    pub(super) fn is_built_in(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|&number| self.hook(number).is_some())
    }

    /// The user chain of that name.
    pub(super) fn user_chain(&self, name: &str) -> Option<ChainId> {
        self.names.get(name).copied().filter(|&number| self.hook(number).is_none()).map(ChainId)
    }

    pub(super) fn hook(&self, number: u32) -> Option<Hook> {
        self.chains[number as usize].hook
    }

    /// Makes a user chain.
    pub(super) fn create(&mut self, name: &str) -> Result<(), Refusal> {
        if name.is_empty() || name.len() > NAME {
            return refuse(name, format_args!("a chain's name has 1 to {NAME} bytes"));
        }
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\\');
        if name.starts_with(['-', '!', '#']) || name.contains(odd) {
            return refuse(name, "not a name of a chain");
        }
        if targets::is_taken(name) {
            return refuse(name, "a target has this name");
        }
        if self.names.contains_key(name) {
            return refuse(name, "the chain is declared twice");
        }
        if self.chains.len() >= MAX_CHAINS {
            return refuse(name, format_args!("more than {MAX_CHAINS} chains"));
        }
        self.names.insert(name.into(), self.chains.len() as u32);
        self.chains.push(Chain {
            name: name.into(),
            hook: None,
            policy: Policy::Accept,
            counters: Counters::default(),
            rules: Vec::new(),
        });
        self.order.push(VecDeque::new());
        self.declared.push(true);
        Ok(())
    }

    /// `:name policy [packets:bytes]`
    pub(super) fn declare(&mut self, name: &str, policy: &str, counters: Option<Counters>) -> Result<(), Refusal> {
        match (self.names.get(name).copied(), policy) {
            (Some(number), _) if std::mem::replace(&mut self.declared[number as usize], true) => {
                refuse(name, "the chain is declared twice")
            }
            // A chain of the user that was there before is emptied; a built-in one keeps what it has.
            (Some(number), "-") => {
                if self.hook(number).is_none() {
                    self.order[number as usize].clear();
                }
                Ok(())
            }
            (Some(number), word) if self.hook(number).is_none() => {
                refuse(word, format_args!("only built-in chains have a policy, and {name} is none"))
            }
            (Some(number), word) => {
                let policy = policy_of(word)?;
                let chain = &mut self.chains[number as usize];
                (chain.policy, chain.counters) = (policy, counters.unwrap_or_default());
                Ok(())
            }
            (None, "-") => self.create(name),
            (None, word) => refuse(word, format_args!("only built-in chains have a policy, and {name} is none")),
        }
    }

    /// `-P name policy`
    pub(super) fn set_policy(&mut self, name: &str, word: &str) -> Result<(), Refusal> {
        let number = self.find(name)?;
        if self.hook(number).is_none() {
            return refuse(name, "only built-in chains have a policy");
        }
        self.chains[number as usize].policy = policy_of(word)?;
        Ok(())
    }

    /// Puts rules into a chain: at the end, or before the rule with that number, counted from 1. Each is inserted before
    /// the one that the same line has inserted, as iptables does it.
    pub(super) fn put(
        &mut self,
        chain: u32,
        before: Option<u32>,
        line: usize,
        rules: Vec<Rule>,
    ) -> Result<(), Refusal> {
        let order = &mut self.order[chain as usize];
        let at = match before {
            Some(number) if number == 0 || number as usize > order.len() + 1 => {
                return refuse(&number.to_string(), format_args!("the chain has {} rules", order.len()));
            }
            Some(number) => number as usize - 1,
            None => order.len(),
        };
        for (more, rule) in rules.into_iter().enumerate() {
            order.insert(if before.is_some() { at } else { at + more }, self.placed.len() as u32);
            self.placed.push(Placed { line, rule });
        }
        Ok(())
    }

    /// The rules of a chain, in order.
    pub(super) fn rules_of(&self, chain: usize) -> impl Iterator<Item = &Placed> {
        self.order[chain].iter().map(|&at| &self.placed[at as usize])
    }

    /// The table as it is.
    pub(super) fn finish(mut self) -> TableRules {
        let mut rules: Vec<Option<Rule>> = self.placed.into_iter().map(|placed| Some(placed.rule)).collect();
        for (chain, order) in self.chains.iter_mut().zip(&self.order) {
            chain.rules = order.iter().filter_map(|&at| rules[at as usize].take()).collect();
        }
        TableRules { table: self.table, chains: self.chains }
    }
}

fn policy_of(word: &str) -> Result<Policy, Refusal> {
    match word {
        "ACCEPT" => Ok(Policy::Accept),
        "DROP" => Ok(Policy::Drop),
        _ => refuse(word, "a policy is ACCEPT or DROP"),
    }
}
