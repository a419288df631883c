//! Rules in words: what is asked, and how the list looks.

use serde_json::{Value, json};

use crate::fake::Fake;

fn rows() -> Value {
    json!([
        {"position": 1, "families": ["ipv4", "ipv6"], "rule": "from web0 to db proto tcp dport 5432 allow",
         "packets": 12, "bytes": 1500, "new_field": 1},
        {"position": 2, "families": [], "rule": "from any to nix deny", "unknown": ["nix"], "packets": 0, "bytes": 0},
        {"families": ["ipv4"], "rule": "-A FORWARD -j own", "packets": 3, "bytes": 300},
    ])
}

#[test]
fn the_list_has_both_forms() {
    let fake = Fake::new([("GET /v1/rules?network=RED", 200, rows()), ("GET /v1/rules", 200, json!([]))]);
    let expected = [
        "NUMBER   RULE                                         FAMILIES    PACKETS   BYTES",
        "1        from web0 to db proto tcp dport 5432 allow   ipv4,ipv6   12        1.5 kB",
        "2        from any to nix deny (nobody is nix here)    -           0         0 B",
        "-        -A FORWARD -j own                            ipv4        3         300 B",
    ];
    assert_eq!(fake.lines("rule ls --network RED"), expected);
    assert_eq!(fake.json("rule ls --network RED --format json"), rows());
    assert_eq!(fake.lines("rule list").len(), 1);
}

#[test]
fn a_rule_is_asked_for_in_its_words() {
    let fake = Fake::new([("POST /v1/rules", 201, rows()[0].clone())]);
    let line = "rule add --network RED --from web0 --to db --proto tcp --dport 5432 --position 1 allow";
    assert!(fake.lines(line).is_empty());
    assert_eq!(fake.json("rule add deny --format json"), rows()[0]);
    let asked = json!({"network": "RED", "from": "web0", "to": "db", "proto": "tcp", "dport": "5432", "position": 1,
        "action": "allow"});
    assert_eq!(fake.asked()[0].1, asked);
    assert_eq!(fake.asked()[1].1, json!({"action": "deny"}));
    fake.vsctl("rule add --from web0 pass").assert().code(2);
    let fake = Fake::new([("POST /v1/rules", 201, rows()[1].clone())]);
    let warning = "warning: nobody is nix here yet; until then the rule does nothing\n";
    fake.vsctl("rule add --to nix deny").assert().success().stdout("").stderr(warning);
}

#[test]
fn rules_are_removed_and_moved_by_number() {
    let fake =
        Fake::new([("DELETE /v1/rules/2?network=RED", 204, Value::Null), ("POST /v1/rules/3/move", 204, Value::Null)]);
    assert!(fake.lines("rule rm 2 --network RED").is_empty());
    assert!(fake.lines("rule move 3 1").is_empty());
    assert_eq!(fake.asked()[1].1, json!({"to": 1}));
    fake.vsctl("rule rm web0").assert().code(2);
}
