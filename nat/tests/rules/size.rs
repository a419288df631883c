//! Large texts: read and printed whole, up to a bound.

use std::fmt::Write;

use nat::rules::{Family, MAX_RULES, load, save};

fn rules(count: usize, command: &str) -> String {
    let mut text = "*filter\n:a - [0:0]\n:b - [0:0]\n".to_owned();
    for number in 0..count {
        let [_, a, b, c] = (number as u32).to_be_bytes();
        writeln!(text, "{command} FORWARD -s 10.{a}.{b}.{c}/32 -p tcp -m tcp --dport 80 -j a").unwrap();
    }
    text.push_str("COMMIT\n");
    text
}

#[test]
fn a_hundred_thousand_rules_load() {
    for command in ["-A", "-I"] {
        let set = load(Family::Ipv4, &rules(100_000, command)).unwrap();
        assert_eq!(set.len(), 100_000);
        assert_eq!(load(Family::Ipv4, &save(&set, true)), Ok(set));
    }
}

#[test]
fn a_million_rules_are_refused_at_the_first_that_is_too_many() {
    let error = load(Family::Ipv4, &rules(1_000_000, "-A")).unwrap_err();
    assert_eq!(error.line, MAX_RULES + 4);
    assert!(error.reason.contains("500000 rules"), "{error}");
    let many = (0..300).map(|number| format!("10.0.{}.{}", number / 250, number % 250)).collect::<Vec<_>>().join(",");
    let error = load(Family::Ipv4, &format!("*filter\n-A INPUT -s {many} -d {many}\nCOMMIT\n")).unwrap_err();
    assert!(error.line == 2 && error.reason.contains("65536 rules"), "{error}");
}

#[test]
fn a_line_of_a_megabyte_is_refused() {
    let error = load(Family::Ipv4, &format!("*filter\n-A INPUT -s {}\nCOMMIT\n", "1".repeat(1 << 20))).unwrap_err();
    assert!(error.line == 2 && error.word.len() < 200 && error.reason.contains("65536 bytes"), "{error}");
}

#[test]
fn sixty_thousand_chains_in_a_row_are_no_trouble() {
    let mut text = "*filter\n".to_owned();
    for chain in 0..60_000 {
        writeln!(text, ":c{chain} - [0:0]").unwrap();
    }
    for chain in 1..60_000 {
        writeln!(text, "-A c{} -j c{chain}", chain - 1).unwrap();
    }
    assert!(load(Family::Ipv6, &format!("{text}COMMIT\n")).is_ok());
    let error = load(Family::Ipv6, &format!("{text}-A c59999 -j c0\nCOMMIT\n")).unwrap_err();
    assert!(error.reason.contains("c0 > c1 > ") && error.reason.len() < 200, "{error}");
    let chains = (0..70_000).map(|chain| format!(":c{chain} - [0:0]\n")).collect::<String>();
    assert!(load(Family::Ipv6, &format!("*filter\n{chains}COMMIT\n")).unwrap_err().reason.contains("chains"));
}

#[test]
fn a_sandbox_of_a_long_name_can_be_meant() {
    let long = "w".repeat(128);
    for name in [long.as_str(), &format!("{}+", &long[1..])] {
        let set = load(Family::Ipv4, &format!("*filter\n-A FORWARD -i {name} -o {name} -j DROP\nCOMMIT\n")).unwrap();
        assert!(save(&set, false).contains(&format!("-A FORWARD -i {name} -o {name} -j DROP")));
    }
    let error = load(Family::Ipv4, &format!("*filter\n-A FORWARD -i {long}w -j DROP\nCOMMIT\n")).unwrap_err();
    assert!(error.line == 2 && error.reason.contains("128 bytes"), "{error}");
}
