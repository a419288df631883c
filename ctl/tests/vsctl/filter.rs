//! Packet filters: texts pass as they are, and refusals say where.

use serde_json::{Value, json};

use crate::fake::Fake;

const TEXT: &str = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n";

fn rows() -> Value {
    let row = |network: Value, family: &str, tables: Value, active: bool| {
        json!({"network": network, "family": family, "tables": tables, "rules": 12, "packets": 3, "bytes": 1500,
            "active": active, "new_field": 1})
    };
    json!([
        row(Value::Null, "ipv4", json!(["raw", "filter"]), true),
        row(json!("RED"), "ipv6", json!(["filter"]), false),
    ])
}

#[test]
fn a_file_or_standard_input_is_loaded_as_it_is_and_nothing_is_said() {
    let fake = Fake::new([
        ("PUT /v1/filter?family=ipv4", 200, rows()[0].clone()),
        ("PUT /v1/filter?family=ipv6&network=RED&noflush=true&counters=true&test=true", 200, rows()[1].clone()),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules");
    std::fs::write(&file, TEXT).unwrap();
    assert!(fake.lines(&format!("filter load {}", file.display())).is_empty());
    let stdin =
        fake.vsctl("filter load - -6 --network RED -n -c -t --format json").write_stdin(TEXT).assert().success();
    assert_eq!(serde_json::from_slice::<Value>(&stdin.get_output().stdout).unwrap(), rows()[1]);
    let asked = fake.asked();
    assert!(asked.len() == 2 && asked.iter().all(|(_, body)| body == TEXT), "{asked:?}");
}

#[test]
fn what_is_refused_says_where_and_what_helps() {
    let refusal = json!({"error": "IPv4 filter of network RED: line 3: -m: bad", "object": "IPv4 filter of network RED",
        "remedy": "correct the line; nothing was changed", "line": 3, "word": "-m", "reason": "bad"});
    let fake = Fake::new([("PUT /v1/filter?family=ipv4&network=RED", 400, refusal)]);
    let told = "error: IPv4 filter of network RED: line 3: -m: bad\n  remedy: correct the line; nothing was changed\n";
    fake.vsctl("filter load - --network RED").write_stdin(TEXT).assert().code(1).stdout("").stderr(told);
    let said = fake.vsctl("filter load /nowhere/rules").assert().code(1).get_output().stderr.clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("/nowhere/rules: No such file") && said.contains("remedy: name a file"), "{said}");
    fake.vsctl("filter load").assert().code(2);
}

#[test]
fn saving_prints_the_text_and_flushing_nothing() {
    let fake = Fake::new([
        ("GET /v1/filter?family=ipv4&network=a%20b", 200, json!(TEXT)),
        ("GET /v1/filter?family=ipv6&counters=true", 200, json!("")),
        ("DELETE /v1/filter?family=ipv6&network=RED", 204, Value::Null),
    ]);
    fake.vsctl("filter save --network").arg("a b").assert().success().stdout(TEXT).stderr("");
    assert!(fake.lines("filter save -6 -c").is_empty());
    assert!(fake.lines("filter flush --ipv6 --network RED").is_empty());
}

#[test]
fn scopes_are_listed_with_what_their_rules_have_matched() {
    let fake = Fake::new([("GET /v1/filter/scopes", 200, rows())]);
    let expected = [
        "NETWORK   FAMILY   TABLES       RULES   PACKETS   BYTES    STATE",
        "(all)     ipv4     raw,filter   12      3         1.5 kB   active",
        "RED       ipv6     filter       12      3         1.5 kB   waiting",
    ];
    assert_eq!(fake.lines("filter ls"), expected);
    assert_eq!(fake.json("filter ls --format json"), rows());
}

#[test]
fn a_trace_has_a_line_for_each_rule_and_the_verdict() {
    let step = |hook: &str, network: Value, rule: &str, did: Value| json!({"hook": hook, "table": "nat", "network": network, "rule": rule, "did": did});
    let steps = json!([
        step("PREROUTING", Value::Null, "-A PREROUTING -j DNAT --to-destination 10.0.0.2", json!("it moves")),
        step("FORWARD", json!("RED"), "policy of forward: drop", Value::Null),
    ]);
    let answer = json!({"packet": "a packet", "steps": steps, "verdict": "drop"});
    let fake = Fake::new([("POST /v1/filter/trace", 200, answer.clone())]);
    let line = "filter trace --network RED -6 --in uplink --out web0 --src fd00::1 --dport 80 --mark 0x10 --state new";
    let expected = [
        "a packet",
        "HOOK         TABLE   NETWORK   RULE",
        "PREROUTING   nat     (all)     -A PREROUTING -j DNAT --to-destination 10.0.0.2 (it moves)",
        "FORWARD      nat     RED       policy of forward: drop",
        "verdict: drop",
    ];
    assert_eq!(fake.lines(line), expected);
    assert_eq!(fake.json("filter trace --in web0 --format json"), answer);
    let asked = json!({"network": "RED", "ipv6": true, "in": "uplink", "out": "web0", "src": "fd00::1", "dport": 80,
        "state": "new", "mark": 16});
    assert_eq!(fake.asked()[0].1, asked);
    assert_eq!(fake.asked()[1].1, json!({"in": "web0"}));
    fake.vsctl("filter trace --mark x").assert().code(2);
}
