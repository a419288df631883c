//! How few rules are found, and in how few groups.

use super::words::Side;
use super::{Hit, Index, Search, Words};
use crate::rules::{Family, Table, load};

/// The index of FORWARD's rules.
fn index(rules: impl Iterator<Item = String>) -> Option<Index> {
    let lines: String = rules.map(|rule| format!("-A FORWARD {rule} -j DROP\n")).collect();
    let set = load(Family::Ipv4, &format!("*filter\n{lines}COMMIT\n")).unwrap_or_else(|error| panic!("{error}"));
    let chain =
        set.table(Table::Filter).and_then(|table| table.chains().iter().find(|chain| &*chain.name == "FORWARD"));
    Index::of(Family::Ipv4, chain.map(|chain| &*chain.rules).unwrap_or_default(), 100)
}

/// The rules that a TCP segment from an address to a port may match.
fn found(index: &Index, source: u32, port: u16) -> Vec<u32> {
    let mut words = Words::default();
    words.set_address(Family::Ipv4, Side::Source, source.into());
    words.set_protocol(6);
    words.set_port(Side::Destination, port);
    let (mut hits, mut all): (Vec<Hit>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut search = Search::new(&hits);
    while let Some(rule) = index.next(&mut search, &words, &mut hits, all.last().map_or(0, |rule| rule + 1)) {
        all.push(rule);
    }
    all
}

#[test]
fn rules_that_differ_in_values_are_one_group() {
    let index = index((0..500).map(|number| format!("-s 10.0.{}.{}", number / 250, number % 250))).unwrap();
    assert_eq!(index.groups.len(), 1);
    assert_eq!(found(&index, 0x0a00_0103, 80), [100 + 253]);
    assert_eq!(found(&index, 0x0a00_0903, 80), []);
}

#[test]
fn rules_of_all_groups_come_in_order() {
    let rules = (0..300).map(|number| match number % 3 {
        0 => format!("-s 10.0.0.{}", number % 2),
        1 => format!("-p tcp -m tcp --dport {}", 80 + number % 2),
        _ => format!("-s 10.0.0.0/24 -p tcp -m multiport --dports 22,{}", 80 + number % 2),
    });
    let index = index(rules).unwrap();
    assert_eq!(index.groups.len(), 3);
    let all = found(&index, 0x0a00_0001, 80);
    let fits = |number: &u32| match number % 3 {
        0 => !number.is_multiple_of(2),
        _ => number.is_multiple_of(2),
    };
    assert_eq!(all, (0..300).filter(fits).map(|number| 100 + number).collect::<Vec<_>>());
    assert_eq!(found(&index, 0x0a00_0001, 22).len(), 50 + 100);
}

#[test]
fn rules_that_pin_what_no_other_does_are_asked_themselves() {
    let many = (0..100).map(|number| format!("-s 10.0.0.{number}"));
    let index = index(many.chain(["-p udp".to_owned(), "! -s 10.0.0.0/8".to_owned(), "-i eth+".to_owned()])).unwrap();
    assert_eq!(index.groups.len(), 2);
    assert_eq!(found(&index, 0x0a00_0001, 80), [101, 200, 201, 202]);
}

#[test]
fn there_is_no_index_where_it_would_spare_nothing() {
    assert!(index((0..15).map(|number| format!("-s 10.0.0.{number}"))).is_none());
    assert!(index((0..15).map(|number| format!("! -s 10.0.0.{number}"))).is_none());
    assert!(index((0..50).map(|number| format!("! -s 10.0.0.{number}"))).is_none());
    // Every rule under a mask of its own.
    assert!(index((1..=20).map(|number| format!("-s 10.0.0.0/{number}"))).is_none());
}
