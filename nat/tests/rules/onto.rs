//! Texts on top of rules that are there, as `iptables-restore --noflush` reads them.

use nat::rules::{Family, Hook, MAX_RULES, RuleSet, Table, load, load_onto, save};

const BEFORE: &str = "*filter
:INPUT DROP [5:500]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
:other - [0:0]
[1:10] -A FORWARD -j mine
[2:20] -A mine -s 10.0.0.1/32 -j DROP
[3:30] -A other -j ACCEPT
COMMIT
";

fn onto(text: &str, counted: bool) -> Result<RuleSet, nat::rules::LoadError> {
    load_onto(load(Family::Ipv4, BEFORE).unwrap(), text, counted)
}

#[test]
fn what_the_text_does_not_name_stays() {
    let text = "*filter\n:mine - [0:0]\n[9:90] -A mine -j RETURN\n-A FORWARD -j other\n-I FORWARD 1 -j LOG\nCOMMIT\n";
    let saved = save(&onto(text, false).unwrap(), true);
    let expected = "*filter
:INPUT DROP [5:500]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
:other - [0:0]
[0:0] -A FORWARD -j LOG
[1:10] -A FORWARD -j mine
[0:0] -A FORWARD -j other
[0:0] -A mine -j RETURN
[3:30] -A other -j ACCEPT
COMMIT
";
    assert_eq!(saved, expected, "declared user chains are emptied, built-in ones are not");
    assert!(save(&onto(text, true).unwrap(), true).contains("[9:90] -A mine"));
}

#[test]
fn policies_are_set_and_other_tables_added() {
    let set = onto("*filter\n:INPUT ACCEPT [7:8]\nCOMMIT\n*raw\n-A PREROUTING -j NOTRACK\nCOMMIT\n", true).unwrap();
    assert_eq!(set.len(), 4);
    let input = &set.table(Table::Filter).unwrap().chains()[0];
    assert_eq!((input.hook, input.counters.packets), (Some(Hook::Input), 7));
    let twice = onto("*filter\n:mine - [0:0]\n:mine - [0:0]\nCOMMIT\n", true).unwrap_err();
    assert_eq!((twice.line, twice.word.as_str()), (3, "mine"));
    assert_eq!(onto("*filter\n:mine DROP [0:0]\nCOMMIT\n", true).unwrap_err().word, "DROP");
}

#[test]
fn a_loop_through_rules_of_before_has_a_line_of_the_text() {
    let error = onto("*filter\n-A mine -j other\n\n-A other -j mine\nCOMMIT\n", true).unwrap_err();
    assert!(error.line >= 2 && error.reason.contains("loop"), "{error}");
    let error = onto("*filter\n:fresh - [0:0]\n-A mine -j fresh\n-A fresh -j mine\nCOMMIT\n", true).unwrap_err();
    assert!(error.line >= 2 && error.reason.contains("loop"), "{error}");
}

#[test]
fn rules_of_before_count_for_the_limit() {
    let full = format!("*raw\n{}COMMIT\n", "-A OUTPUT\n".repeat(MAX_RULES - 3));
    let error = onto(&format!("{full}*nat\n-A OUTPUT\nCOMMIT\n"), true).unwrap_err();
    assert_eq!((error.line, error.word.as_str()), (MAX_RULES + 1, "OUTPUT"));
    assert_eq!(onto(&full, true).unwrap().len(), MAX_RULES);
}
