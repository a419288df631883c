//! The list of rules in words, as both families' chains have it together. What somebody else put into a chain keeps its
//! place in it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use nat::rules::{Counters, Family, MAX_RULES, Rule, RuleSet, Table};

use super::words::unclear;
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

/// Reads the list out of both families' chains. Where they differ, the order is that of IPv4; what only IPv6 has stands
/// behind what it stands behind there.
pub fn entries(sets: [Option<&RuleSet>; 2]) -> Vec<Entry> {
    let [first, second] = [(FAMILIES[0], sets[0]), (FAMILIES[1], sets[1])].map(|(family, set)| of_one(family, set));
    let number = |(place, entry): (usize, &Entry)| match entry {
        Entry::Words(words) => Some((words.clone(), place + 1)),
        Entry::Text(..) => None,
    };
    let places: HashMap<Words, usize> = first.iter().enumerate().filter_map(number).collect();
    let mut behind: Vec<Vec<Entry>> = vec![Vec::new(); first.len() + 1];
    let mut at = 0;
    for entry in second {
        match &entry {
            Entry::Words(words) if let Some(place) = places.get(words) => at = at.max(*place),
            _ => behind[at].push(entry),
        }
    }
    let mut behind = behind.into_iter();
    let mut all = behind.next().unwrap_or_default();
    for (entry, more) in first.into_iter().zip(behind) {
        all.push(entry);
        all.extend(more);
    }
    all
}

/// The list of one family. Some rules in a row are one entry, and the same words twice, too.
fn of_one(family: Family, set: Option<&RuleSet>) -> Vec<Entry> {
    let mut known = HashSet::new();
    let rules = set.map(|set| set.rules_of(Table::Filter, CHAIN)).unwrap_or_default();
    let entry = |rule: &Rule| match Words::behind(rule) {
        Some(words) => known.insert(words.clone()).then_some(Entry::Words(words)),
        None => Some(Entry::Text(family, Box::new(rule.clone()))),
    };
    rules.iter().filter_map(entry).collect()
}

/// The words that rules of a chain were made of.
pub fn words_of(rules: &[Rule]) -> HashSet<Words> {
    rules.iter().filter_map(Words::behind).collect()
}

/// The rules of one family's chain, of the words that it `keeps`; those that were there before keep their counters.
///
/// # Errors
/// [`Unclear`] when names stand for too many addresses.
pub fn chain(
    entries: &[Entry],
    family: Family,
    before: &[Rule],
    keeps: impl Fn(&Words) -> bool,
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
            Entry::Words(words) if keeps(words) => {
                all.extend(words.rules(family, &addresses)?.into_iter().map(counted));
            }
            Entry::Text(of, rule) if *of == family => all.push(Rule::clone(rule)),
            Entry::Words(_) | Entry::Text(..) => {}
        }
        // Not only at the end: all together may be a thousand times as many.
        if all.len() > MAX_RULES {
            return Err(unclear(format!("more than {MAX_RULES} rules"), "use subnets"));
        }
    }
    Ok(all)
}

/// The chain of a rule set with the addresses that its names stand for now; `None`: as it is.
///
/// # Errors
/// As [`chain`].
pub fn renewed(rules: &RuleSet, addresses: impl Fn(&str) -> Vec<IpAddr>) -> Result<Option<Vec<Rule>>, Unclear> {
    let before = rules.rules_of(Table::Filter, CHAIN);
    if named(rules).is_empty() {
        return Ok(None);
    }
    // Its own order, whatever the other family has.
    let list = of_one(rules.family, Some(rules));
    let after = chain(&list, rules.family, before, |_| true, addresses)?;
    Ok((!alike(before, &after)).then_some(after))
}

/// The names whose addresses the chain of a rule set depends on.
pub fn named(rules: &RuleSet) -> HashSet<String> {
    let mut all = HashSet::new();
    let mut last = None;
    for rule in rules.rules_of(Table::Filter, CHAIN) {
        // One comment stands in thousands of rules in a row.
        let comment = rule.comment();
        if comment != last {
            last = comment;
            let words = Words::behind(rule);
            all.extend(words.iter().flat_map(Words::names).map(str::to_owned));
        }
    }
    all
}

/// Whether two chains ask and do the same, whatever they have counted.
pub fn alike(before: &[Rule], after: &[Rule]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| a.is_like(b))
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
            set.put_chain(Table::Filter, Hook::Forward, CHAIN, chain(&list, family, &[], |_| true, nobody).unwrap());
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
        let mut before = chain(&list, Family::Ipv4, &[], |_| true, nobody).unwrap();
        before[0].counters = Counters { packets: 5, bytes: 6 };
        let more = [Entry::Words("from any to any deny".parse().unwrap()), list[0].clone()];
        let after = chain(&more, Family::Ipv4, &before, |_| true, nobody).unwrap();
        let packets: Vec<u64> = after.iter().map(|rule| rule.counters.packets).collect();
        assert_eq!(packets, [0, 0, 5, 0]);
    }

    #[test]
    fn each_familys_own_text_keeps_its_place_whatever_the_other_has() {
        let text = |family, port: u16| {
            let text = format!("*filter\n:{CHAIN} - [0:0]\n-A {CHAIN} -p tcp --dport {port} -j DROP\nCOMMIT\n");
            Entry::Text(family, Box::new(load(family, &text).unwrap().rules_of(Table::Filter, CHAIN)[0].clone()))
        };
        let words = |text: &str| Entry::Words(text.parse().unwrap());
        let (a, b) = (words("from web to any allow"), words("from any to web deny"));
        let set = |family, list: &[Entry]| {
            let mut set = RuleSet::new(family);
            let rules = chain(list, family, &[], |_| true, nobody).unwrap();
            set.put_chain(Table::Filter, Hook::Forward, CHAIN, rules);
            set
        };
        let v4 = set(Family::Ipv4, &[a.clone(), text(Family::Ipv4, 1), b.clone()]);
        let v6 = set(Family::Ipv6, &[text(Family::Ipv6, 2), a.clone(), text(Family::Ipv6, 3), b.clone()]);
        let all = entries([Some(&v4), Some(&v6)]);
        let wanted = [text(Family::Ipv6, 2), a, text(Family::Ipv6, 3), text(Family::Ipv4, 1), b];
        assert_eq!(all, wanted);
        let web = |_: &str| vec!["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        for set in [v4, v6] {
            let order = |rules: &[Rule]| rules.iter().map(|rule| rule.comment().is_none()).collect::<Vec<_>>();
            let after = renewed(&set, web).unwrap().unwrap();
            let before = order(set.rules_of(Table::Filter, CHAIN));
            let mut short = order(&after);
            short.dedup();
            assert_eq!(short, before);
            assert_eq!(renewed(&set, nobody).unwrap(), None);
        }
    }

    #[test]
    fn too_many_rules_are_refused_before_all_are_made() {
        let list: Vec<Entry> =
            (0..20).map(|n| Entry::Words(format!("from label=a{n} to any deny").parse().unwrap())).collect();
        let asked = std::cell::Cell::new(0);
        let many = |_: &str| {
            asked.set(asked.get() + 1);
            (0..60_000u32).map(|n| IpAddr::from(n.to_be_bytes())).collect()
        };
        let refused = chain(&list, Family::Ipv4, &[], |_| true, many).unwrap_err();
        assert!(refused.why.contains("more than"), "{refused}");
        assert!(asked.get() <= 5, "{}", asked.get());
    }
}
