//! `vsctl dns`: what is asked of the API, and how answers are shown.

use serde_json::{Value, json};

use crate::answers::RED;
use crate::fake::Fake;

#[test]
fn names_and_servers_are_listed() {
    let row =
        json!({"network": "RED", "name": "web", "addresses": ["10.1.0.2", "fd00::2"], "host": "h2", "endpoint": RED});
    let server = |address: &str, state: &str, rtt: Value| json!({"address": address, "state": state, "last_rtt_ms": rtt, "asked": 7, "answered": 5, "missed": 2});
    let servers = json!([server("192.0.2.53:53", "up", json!(1.25)), server("[fd00::53]:53", "silent", Value::Null)]);
    let fake = Fake::new([
        ("GET /v1/dns", 200, json!([row])),
        ("GET /v1/dns?network=R%26D", 200, json!([])),
        ("GET /v1/dns/upstreams", 200, servers),
    ]);
    let expected = [
        "NETWORK   NAME   ADDRESS             HOST   ENDPOINT",
        "RED       web    10.1.0.2, fd00::2   h2     111111111111",
    ];
    assert_eq!(fake.lines("dns ls"), expected);
    assert_eq!(fake.lines("dns ls --network R&D").len(), 1);
    let expected = [
        "SERVER          STATE    LAST RTT   ASKED   ANSWERED   MISSED",
        "192.0.2.53:53   up       1.2 ms     7       5          2",
        "[fd00::53]:53   silent   -          7       5          2",
    ];
    assert_eq!(fake.lines("dns upstreams"), expected);
}

#[test]
fn a_query_goes_as_it_was_written_and_shows_who_knew() {
    let answer = json!({
        "status": "NOERROR", "source": "192.0.2.53:53", "milliseconds": 12.34,
        "answers": [{"name": "www.example.com", "type": "A", "ttl": 60, "data": "192.0.2.80"}],
    });
    let fake = Fake::new([("POST /v1/dns/query", 200, answer.clone())]);
    let expected = ["www.example.com 60 A 192.0.2.80", "NOERROR, from 192.0.2.53:53, 12.3 ms"];
    assert_eq!(fake.lines("dns query www.example.com"), expected);
    fake.lines("dns query _80._tcp.web SRV --network RED");
    assert_eq!(fake.json("dns query web --from client0 --format json"), answer);
    let asked: Vec<Value> = fake.asked().into_iter().map(|(_, body)| body).collect();
    let srv = json!({"name": "_80._tcp.web", "type": "SRV", "network": "RED"});
    assert_eq!(asked, [json!({"name": "www.example.com"}), srv, json!({"name": "web", "port": "client0"})]);
    fake.vsctl("dns query web --from a --network b").assert().code(2);
}

#[test]
fn the_cache_is_shown_and_forgotten() {
    let cache = json!({"entries": 3, "bytes": 1500, "asked": 9, "hits": 4, "joined": 1, "failed": 2, "busy": 0});
    let fake = Fake::new([("GET /v1/dns/cache", 200, cache), ("DELETE /v1/dns/cache", 200, json!({"flushed": 3}))]);
    let numbers = "9 questions: 4 answered from it, 1 joined others, 2 failed, 0 were too many";
    assert_eq!(fake.lines("dns cache"), ["3 answers, 1.5 kB", numbers]);
    assert_eq!(fake.lines("dns flush"), ["3 answers forgotten"]);
}
