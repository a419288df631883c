//! What `rule ls` shows of both families' rules: the list, and behind it what else FORWARD has.

use std::collections::HashMap;

use nat::rules::{Counters, Hook, Rule, RuleSet, Table, Target, save};

use super::rule::Both;
use crate::api::RuleRow;
use crate::filter::{CHAIN, Entry, FAMILIES, Names, Words, entries, family_name};

/// Rules of a text that are listed behind them, of each family.
const LISTED: usize = 1000;

pub(super) fn listed(both: &Both, names: &Names) -> Vec<RuleRow> {
    let list = entries(both.each_ref().map(Option::as_deref));
    let mut chains = both.each_ref().map(|rules| rules.as_deref().map(Chain::of).unwrap_or_default());
    let row = |(at, entry): (usize, &Entry)| {
        let mut row = RuleRow {
            position: Some(at + 1),
            families: Vec::new(),
            rule: String::new(),
            unknown: Vec::new(),
            packets: 0,
            bytes: 0,
        };
        let mut add = |family, counters: Counters| {
            row.families.push(family_name(family).into());
            row.packets += counters.packets;
            row.bytes += counters.bytes;
        };
        match entry {
            Entry::Words(words) => {
                for (family, chain) in FAMILIES.into_iter().zip(&chains) {
                    chain.words.get(words).into_iter().for_each(|counters| add(family, *counters));
                }
                row.rule = words.to_string();
                let unknown = words.names().filter(|name| names.addresses(name).is_empty());
                row.unknown = unknown.map(str::to_owned).collect();
            }
            Entry::Text(family, rule) => {
                add(*family, rule.counters);
                // The list has the texts of each family in their order.
                let chain = FAMILIES.iter().position(|known| known == family);
                row.rule = chain.and_then(|chain| chains[chain].texts.next()).unwrap_or_default();
            }
        }
        row
    };
    let mut rows: Vec<RuleRow> = list.iter().enumerate().map(row).collect();
    for (family, rules) in FAMILIES.into_iter().zip(both) {
        let Some(rules) = rules.as_deref() else { continue };
        let forward = rules.rules_of(Table::Filter, Hook::Forward.name());
        let texts = lines(rules, Hook::Forward.name());
        let jump = format!("-A {} -j {CHAIN}", Hook::Forward);
        let behind = texts.into_iter().zip(forward).filter(|(text, _)| *text != jump).take(LISTED);
        rows.extend(behind.map(|(rule, known)| RuleRow {
            position: None,
            families: vec![family_name(family).into()],
            rule,
            unknown: Vec::new(),
            packets: known.counters.packets,
            bytes: known.counters.bytes,
        }));
    }
    rows
}

/// The rules of a chain of the table filter, as they are saved.
fn lines(rules: &RuleSet, chain: &str) -> Vec<String> {
    let (text, start) = (save(rules, false), format!("-A {chain} "));
    let table = text.lines().skip_while(|line| *line != "*filter");
    table.take_while(|line| *line != "COMMIT").filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
}

/// The chain of one family.
#[derive(Default)]
struct Chain {
    /// What rules with an effect have counted, by the words that they are made of.
    words: HashMap<Words, Counters>,
    /// The other rules, as they are saved.
    texts: std::vec::IntoIter<String>,
}

impl Chain {
    fn of(rules: &RuleSet) -> Chain {
        let mut words: HashMap<Words, Counters> = HashMap::new();
        let mut texts = Vec::new();
        for (rule, text) in rules.rules_of(Table::Filter, CHAIN).iter().zip(lines(rules, CHAIN)) {
            match Words::behind(rule) {
                Some(found) => add(&mut words, found, rule),
                None => texts.push(text),
            }
        }
        Chain { words, texts: texts.into_iter() }
    }
}

fn add(all: &mut HashMap<Words, Counters>, words: Words, rule: &Rule) {
    if rule.target != Target::Continue {
        let known = all.entry(words).or_default();
        known.packets += rule.counters.packets;
        known.bytes += rule.counters.bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use nat::rules::{Family, load};

    use super::*;

    #[test]
    fn a_long_chain_is_listed_in_time_that_grows_with_its_length_only() {
        let line = |n: u32| match n % 10 {
            0 => format!("-A {CHAIN} -m comment --comment \"vsctl: from web{n} to any deny\"\n"),
            _ => format!("-A {CHAIN} -p tcp --dport {} -m mark --mark {n} -j DROP\n", n % 60_000),
        };
        let text: String = (0..20_000).map(line).collect();
        let set = |family| {
            let text =
                format!("*filter\n:{CHAIN} - [0:0]\n-A FORWARD -j {CHAIN}\n-A FORWARD -j ACCEPT\n{text}COMMIT\n");
            Some(Arc::new(load(family, &text).unwrap()))
        };
        let both = [set(Family::Ipv4), set(Family::Ipv6)];
        let begun = Instant::now();
        let rows = listed(&both, &Names::default());
        // Compared each with each, it would be minutes.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(rows.len(), 2_000 + 2 * 18_000 + 2);
        assert_eq!((&*rows[0].rule, rows[0].unknown.len()), ("from web0 to any deny", 1));
        assert!(rows[1].rule.ends_with("--mark 0x1 -j DROP") && rows[1].families == ["ipv6"], "{}", rows[1].rule);
        assert!(rows[10].rule.ends_with("--mark 0x1 -j DROP") && rows[10].families == ["ipv4"], "{}", rows[10].rule);
        assert_eq!(rows.last().unwrap().rule, "-A FORWARD -j ACCEPT");
    }
}
