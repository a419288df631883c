//! The model: a rule set of one family, its tables, their chains, their rules. Built by `load`, read by `save` and `judge`.
//! A chain is named by its number; every jump inside a rule set leads to a user chain of the same table, and none back.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{AddressSet, Family, Hook, Interface, Match, Network, Not, Table, Target};

/// Rules that a rule set may have, of all tables, after several addresses in one line became several rules.
pub const MAX_RULES: usize = 500_000;

/// Packets and bytes. The bytes are those of the IP packets; a super-frame is one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Counters {
    /// Counts one packet.
    #[inline]
    pub(crate) fn count(&mut self, bytes: u64) {
        self.add(Counters { packets: 1, bytes });
    }

    /// Counts what was decided elsewhere.
    #[inline]
    pub(crate) fn add(&mut self, more: Counters) {
        self.packets = self.packets.wrapping_add(more.packets);
        self.bytes = self.bytes.wrapping_add(more.bytes);
    }
}

/// What happens to a packet that no rule of a built-in chain decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It passes.
    #[default]
    Accept,
    /// It is dropped.
    Drop,
}

/// A chain's number in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId(pub(crate) u32);

/// The rules of one family. A table that the text did not name is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSet {
    /// Whose addresses.
    pub family: Family,
    pub(crate) tables: [Option<TableRules>; 4],
    /// Lists of addresses, in the order of the text.
    pub(crate) sets: Vec<Arc<AddressSet>>,
}

impl RuleSet {
    /// No table at all.
    pub fn new(family: Family) -> RuleSet {
        RuleSet { family, tables: [None, None, None, None], sets: Vec::new() }
    }

    /// The rules of a table.
    pub fn table(&self, table: Table) -> Option<&TableRules> {
        self.tables[table as usize].as_ref()
    }

    /// The lists of addresses.
    pub fn sets(&self) -> &[Arc<AddressSet>] {
        &self.sets
    }

    /// Takes over every table and every list that `other` has, and keeps the rest, as loading a text does. Rules that are
    /// kept look into the new lists.
    pub fn replace(&mut self, other: RuleSet) {
        for (mine, theirs) in self.tables.iter_mut().zip(other.tables) {
            if theirs.is_some() {
                *mine = theirs;
            }
        }
        if other.sets.is_empty() {
            return;
        }
        let new: HashMap<&str, &Arc<AddressSet>> = other.sets.iter().map(|set| (&*set.name, set)).collect();
        let chains = self.tables.iter_mut().flatten().flat_map(|table| &mut table.chains);
        for one in chains.flat_map(|chain| &mut chain.rules).flat_map(|rule| &mut rule.matches) {
            if let Match::Set(test) = one
                && let Some(set) = new.get(&*test.set.value.name)
            {
                test.set.value = Arc::clone(set);
            }
        }
        self.sets.retain(|set| !new.contains_key(&*set.name));
        self.sets.extend(other.sets.iter().cloned());
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.tables.iter().flatten().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The chains of one table: first the built-in ones in the order of [`Table::hooks`], then those of the user.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRules {
    pub(crate) table: Table,
    pub(crate) chains: Vec<Chain>,
}

impl TableRules {
    /// Only the built-in chains, empty, which accept.
    pub fn new(table: Table) -> TableRules {
        let built_in = |&hook: &Hook| Chain {
            name: hook.name().into(),
            hook: Some(hook),
            policy: Policy::Accept,
            counters: Counters::default(),
            rules: Vec::new(),
        };
        TableRules { table, chains: table.hooks().iter().map(built_in).collect() }
    }

    /// Which one.
    pub fn table(&self) -> Table {
        self.table
    }

    /// All chains.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// A chain by its number.
    pub fn chain(&self, id: ChainId) -> Option<&Chain> {
        self.chains.get(id.0 as usize)
    }
}

/// A chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Its name.
    pub name: Box<str>,
    /// The hook of a built-in one.
    pub hook: Option<Hook>,
    /// What a built-in one does in the end; a user chain returns.
    pub policy: Policy,
    /// What the policy has decided about.
    pub counters: Counters,
    /// In order.
    pub rules: Vec<Rule>,
}

/// A rule: a packet that passes the header and every match meets the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What has matched.
    pub counters: Counters,
    /// What is asked of the IP header and the ports.
    pub header: Header,
    /// What else, in the order of the text.
    pub matches: Vec<Match>,
    /// What then.
    pub target: Target,
}

/// What every rule can ask: addresses, interfaces, protocol, fragments. `None` is anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// Source.
    pub source: Option<Not<Network>>,
    /// Destination.
    pub destination: Option<Not<Network>>,
    /// Where it came in.
    pub input: Option<Not<Interface>>,
    /// Where it goes out.
    pub output: Option<Not<Interface>>,
    /// IP protocol, for IPv6 that behind the extension headers.
    pub protocol: Option<Not<u8>>,
    /// Whether it is a later fragment; IPv4 only.
    pub fragment: Option<bool>,
}
