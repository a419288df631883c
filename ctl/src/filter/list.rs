//! The list of rules in words, as both families' chains have it together. What somebody else put into a chain keeps its
//! place in it.

use std::collections::HashMap;
use std::net::IpAddr;

use nat::rules::{Counters, Family, Rule, RuleSet, Table};

use super::{CHAIN, Unclear, Words};

/// Both families, in the order in which their rules are listed.
pub const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// An entry of the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Made of words.
    Words(Words),
    /// Of one family's text.
    Text(Family, Box<Rule>),
}

/// Reads the list out of both families' chains. Where they differ, the order is that of IPv4.
pub fn entries(sets: [Option<&RuleSet>; 2]) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for (family, set) in FAMILIES.into_iter().zip(sets) {
        let mut last = None;
        for rule in set.map(|set| set.rules_of(Table::Filter, CHAIN)).unwrap_or_default() {
            match Words::behind(rule) {
                // Some rules in a row are one entry.
                Some(words) if last.as_ref() == Some(&words) => {}
                Some(words) => {
                    let entry = Entry::Words(words.clone());
                    // An entry is in both families; the same words twice are one entry.
                    if !all.contains(&entry) {
                        all.push(entry);
                    }
                    last = Some(words);
                }
                None => {
                    all.push(Entry::Text(family, Box::new(rule.clone())));
                    last = None;
                }
            }
        }
    }
    all
}

/// The rules of one family's chain; those that were there before keep their counters.
///
/// # Errors
/// [`Unclear`] when names stand for too many addresses.
pub fn chain(
    entries: &[Entry],
    family: Family,
    before: &[Rule],
    addresses: impl Fn(&str) -> Vec<IpAddr>,
) -> Result<Vec<Rule>, Unclear> {
    // Names may stand for thousands: none of them is looked for among all.
    let key = |rule: &Rule| format!("{:?}", (&rule.header, &rule.matches, &rule.target));
    let known: HashMap<String, Counters> = before.iter().map(|rule| (key(rule), rule.counters)).collect();
    let counted = |mut rule: Rule| {
        rule.counters = known.get(&key(&rule)).copied().unwrap_or_default();
        rule
    };
    let mut all = Vec::new();
    for entry in entries {
        match entry {
            Entry::Words(words) => all.extend(words.rules(family, &addresses)?.into_iter().map(counted)),
            Entry::Text(of, rule) if *of == family => all.push(Rule::clone(rule)),
            Entry::Text(..) => {}
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use nat::rules::{Hook, load, save};

    use super::*;

    fn nobody(_: &str) -> Vec<IpAddr> {
        Vec::new()
    }

    #[test]
    fn both_families_are_one_list_and_text_keeps_its_place() {
        let words = |text: &str| Entry::Words(text.parse().unwrap());
        let own =
            load(Family::Ipv4, "*filter\n:VSWITCH-RULES - [0:0]\n[7:8] -A VSWITCH-RULES -p gre -j DROP\nCOMMIT\n");
        let raw = Entry::Text(Family::Ipv4, Box::new(own.unwrap().rules_of(Table::Filter, CHAIN)[0].clone()));
        let list = [
            words("from any to 10.0.0.1 allow"),
            raw,
            words("from fd00::1 to any deny"),
            words("from web to any deny"),
        ];
        let made = FAMILIES.map(|family| {
            let mut set = RuleSet::new(family);
            set.put_chain(Table::Filter, Hook::Forward, CHAIN, chain(&list, family, &[], nobody).unwrap());
            let text = save(&set, true);
            load(family, &text).unwrap()
        });
        assert_eq!(entries([Some(&made[0]), Some(&made[1])]), list);
        assert_eq!(entries([None, Some(&made[1])]).len(), 3);
        assert!(save(&made[0], true).contains("[7:8] -A VSWITCH-RULES -p gre -j DROP"));
    }

    #[test]
    fn rules_that_stay_keep_their_counters() {
        let list = entries([None, None]);
        assert!(list.is_empty());
        let list = [Entry::Words("from any to 10.0.0.1 allow".parse().unwrap())];
        let mut before = chain(&list, Family::Ipv4, &[], nobody).unwrap();
        before[0].counters = Counters { packets: 5, bytes: 6 };
        let more = [Entry::Words("from any to any deny".parse().unwrap()), list[0].clone()];
        let after = chain(&more, Family::Ipv4, &before, nobody).unwrap();
        let packets: Vec<u64> = after.iter().map(|rule| rule.counters.packets).collect();
        assert_eq!(packets, [0, 0, 5, 0]);
    }
}
