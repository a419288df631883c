//! One chain of a rule set, taken and put back: for rules that are made by other means than a whole text.

use super::{Chain, ChainId, Counters, Header, Hook, Policy, Rule, RuleSet, Table, TableRules, Target};

impl RuleSet {
    /// The rules of a chain; none if it is not there.
    pub fn rules_of(&self, table: Table, chain: &str) -> &[Rule] {
        let chains = self.table(table).map(TableRules::chains).unwrap_or_default();
        chains.iter().find(|known| &*known.name == chain).map_or(&[], |known| &known.rules)
    }

    /// Adds a user chain behind all others, and lets a built-in chain lead there last. The table is made if it is missing.
    /// The rules must lead to no chain, and the name must be new.
    ///
    /// `false`, and nothing has changed: the table is not at this hook.
    pub fn put_last(&mut self, table: Table, hook: Hook, name: &str, rules: Vec<Rule>) -> bool {
        if !table.hooks().contains(&hook) {
            return false;
        }
        let chains = &mut self.tables[table as usize].get_or_insert_with(|| TableRules::new(table)).chains;
        let jump = Target::Jump(ChainId(chains.len() as u32));
        let (counters, header, matches) = (Counters::default(), Header::default(), Vec::new());
        for head in chains.iter_mut().filter(|chain| chain.hook == Some(hook)) {
            head.rules.push(Rule { counters, header: header.clone(), matches: matches.clone(), target: jump.clone() });
        }
        chains.push(Chain { name: name.into(), hook: None, policy: Policy::Accept, counters, rules });
        true
    }

    /// Puts rules in place of those of a user chain, and lets a built-in chain lead there first, unless some rule of it does
    /// so already. Table and chain are made if they are missing. The rules must be of this chain, or lead to no chain.
    ///
    /// `false`, and nothing has changed: the table is not at this hook.
    pub fn put_chain(&mut self, table: Table, hook: Hook, name: &str, rules: Vec<Rule>) -> bool {
        let chains = match &mut self.tables[table as usize] {
            Some(known) => &mut known.chains,
            missing => &mut missing.insert(TableRules::new(table)).chains,
        };
        let Some(head) = chains.iter().position(|chain| chain.hook == Some(hook)) else { return false };
        let number = match chains.iter().position(|chain| chain.hook.is_none() && &*chain.name == name) {
            Some(number) => number,
            None => {
                let (name, policy, counters) = (name.into(), Policy::Accept, Counters::default());
                chains.push(Chain { name, hook: None, policy, counters, rules: Vec::new() });
                chains.len() - 1
            }
        };
        chains[number].rules = rules;
        let jump = Target::Jump(ChainId(number as u32));
        if !chains[head].rules.iter().any(|rule| rule.target == jump) {
            let (counters, header, matches) = (Counters::default(), Header::default(), Vec::new());
            chains[head].rules.insert(0, Rule { counters, header, matches, target: jump });
        }
        true
    }
}

impl Rule {
    /// Whether it asks and does the same, whatever either has counted.
    pub fn is_like(&self, other: &Rule) -> bool {
        self.header == other.header && self.matches == other.matches && self.target == other.target
    }

    /// Its comment, the first if it has several.
    pub fn comment(&self) -> Option<&str> {
        self.matches.iter().find_map(|one| match one {
            super::Match::Comment(text) => Some(&**text),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::{Family, Hook, RuleSet, Table, load, save};

    #[test]
    fn a_chain_is_put_before_what_is_there_and_once() {
        let made =
            load(Family::Ipv4, "*filter\n:x - [0:0]\n-A x -m comment --comment \"a b\" -j DROP\nCOMMIT\n").unwrap();
        let rules = made.rules_of(Table::Filter, "x").to_vec();
        assert_eq!((rules.len(), rules[0].comment()), (1, Some("a b")));
        let before = "*filter\n:own - [0:0]\n-A FORWARD -j own\nCOMMIT\n";
        let mut set = load(Family::Ipv4, before).unwrap();
        for _ in 0..2 {
            assert!(set.put_chain(Table::Filter, Hook::Forward, "mine", rules.clone()));
            let text = save(&set, false);
            assert!(text.contains("-A FORWARD -j mine\n-A FORWARD -j own\n-A mine -m comment"), "{text}");
            assert_eq!((set.len(), load(Family::Ipv4, &text).as_ref()), (3, Ok(&set)));
        }
        let mut empty = RuleSet::new(Family::Ipv6);
        assert!(empty.put_chain(Table::Filter, Hook::Forward, "mine", Vec::new()));
        assert!(!empty.put_last(Table::Raw, Hook::Forward, "last", Vec::new()));
        assert!(!empty.put_chain(Table::Raw, Hook::Forward, "mine", Vec::new()));
        assert!(empty.rules_of(Table::Nat, "mine").is_empty());
        let mut other = rules[0].clone();
        other.counters.packets = 7;
        assert!(other.is_like(&rules[0]) && !empty.rules_of(Table::Filter, "FORWARD")[0].is_like(&other));
    }
}
