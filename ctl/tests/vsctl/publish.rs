//! Published ports and connections: what is asked, and how answers look.

use serde_json::{Value, json};

use crate::answers::port;
use crate::fake::Fake;

fn row(id: u32, name: &str, host: (u16, u16), inside: (u16, u16), addresses: Value) -> Value {
    json!({"id": id, "name": name, "network": "RED", "protocol": if id == 3 { "udp" } else { "tcp" },
        "addresses": addresses, "host_port": host.0, "host_port_end": host.1, "port": inside.0, "port_end": inside.1,
        "spec": "x", "state": if id == 3 { "failed" } else { "up" },
        "reason": (id == 3).then_some("it is held"), "new_field": 1})
}

fn rows() -> Value {
    json!([
        row(3, "web1", (53, 53), (53, 53), json!(["127.0.0.1"])),
        row(2, "web0", (7000, 7009), (8000, 8009), json!(["fd00::1"])),
        row(1, "web0", (8080, 8080), (80, 80), json!(["0.0.0.0", "::"])),
    ])
}

#[test]
fn published_ports_are_listed_with_ranges_in_one_row() {
    let fake = Fake::new([("GET /v1/publish", 200, rows()), ("GET /v1/publish?name=web1", 200, json!([]))]);
    let expected = [
        "NAME   NETWORK   PROTO   HOST                      CONTAINER   STATE                ID",
        "web0   RED       tcp     0.0.0.0:8080, [::]:8080   80          up                   1",
        "web0   RED       tcp     [fd00::1]:7000-7009       8000-8009   up                   2",
        "web1   RED       udp     127.0.0.1:53              53          failed: it is held   3",
    ];
    assert_eq!(fake.lines("publish ls"), expected);
    assert_eq!(fake.lines("publish ls web1"), ["NAME   NETWORK   PROTO   HOST   CONTAINER   STATE   ID"]);
    assert_eq!(fake.json("publish ls --format json"), rows());
}

#[test]
fn publishing_prints_the_ports_that_were_chosen() {
    let made = json!([row(1, "web0", (32768, 32768), (80, 80), json!(["0.0.0.0", "::"]))]);
    let fake = Fake::new([("POST /v1/publish", 201, made.clone())]);
    assert_eq!(fake.lines("publish web0 80 --network RED"), ["80/tcp -> 0.0.0.0:32768, [::]:32768"]);
    assert_eq!(fake.json("publish web0 80 127.0.0.1:53:53/UDP --format json"), made);
    let asked = fake.asked();
    assert_eq!(asked[0].1, json!({"name": "web0", "publish": ["80/tcp"], "network": "RED"}));
    assert_eq!(asked[1].1, json!({"name": "web0", "publish": ["80/tcp", "127.0.0.1:53:53/udp"]}));
    let said = fake.vsctl("publish web0 80/sctp").assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8(said).unwrap().contains("protocol `sctp` is not tcp or udp"));
    fake.vsctl("publish web0").assert().code(2);
}

#[test]
fn published_ports_are_taken_back_by_name_words_or_number() {
    let fake = Fake::new([
        ("GET /v1/publish?name=web0", 200, json!(rows().as_array().unwrap()[1..])),
        ("GET /v1/publish?name=0123456789ab", 200, json!(rows().as_array().unwrap()[1..])),
        ("GET /v1/publish?name=web1", 200, json!(rows().as_array().unwrap()[..1])),
        ("DELETE /v1/publish?name=web0", 204, Value::Null),
        ("DELETE /v1/publish?name=web0&spec=8080%3A80%2Ftcp", 204, Value::Null),
        ("DELETE /v1/publish/2", 204, Value::Null),
        ("DELETE /v1/publish?name=web1&spec=2", 204, Value::Null),
    ]);
    for line in ["rm web0", "rm web0 8080:80/tcp", "rm web0 2", "rm 0123456789ab 2", "remove web1 2"] {
        assert!(fake.lines(&format!("publish {line}")).is_empty(), "{line}");
    }
    fake.vsctl("publish rm nix").assert().code(1);
}

#[test]
fn an_attachment_with_ports_prints_them() {
    let mut answer = port();
    answer["published"] = rows();
    let fake = Fake::new([("POST /v1/ports", 201, answer)]);
    let lines = fake.lines("add-port RED web0 --pid 1 -p 8080:80 --publish 53/udp");
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[2], "8000-8009/tcp -> [fd00::1]:7000-7009");
    assert_eq!(fake.asked()[0].1["publish"], json!(["8080:80/tcp", "53/udp"]));
}

fn conns() -> Value {
    let way = |network: &str, src: &str, src_port: u16, dst: &str, dst_port: u16, bytes: u64| json!({"network": network, "src": src, "dst": dst, "src_port": src_port, "dst_port": dst_port, "frames": 3, "bytes": bytes});
    json!([
        {"protocol": "udp", "state": "new", "original": way("RED", "fd00::2", 5000, "fd00::3", 53, 90),
         "reply": way("RED", "fd00::3", 53, "fd00::2", 5000, 0), "assured": false, "mark": 0, "age_seconds": 1,
         "timeout_seconds": 299, "bound": false},
        {"protocol": "tcp", "state": "established", "tcp": "established",
         "original": way("RED", "10.10.10.2", 40000, "192.0.2.9", 80, 1000),
         "reply": way("outside", "192.0.2.9", 80, "192.0.2.1", 40000, 500), "assured": true, "mark": 0,
         "age_seconds": 5, "timeout_seconds": 7430, "bound": true, "new_field": 1},
    ])
}

#[test]
fn connections_are_listed_with_what_was_translated() {
    let path = "GET /v1/conn?network=RED&proto=tcp&src=10.10.10.0%2F24&dst=192.0.2.9%2F32&port=80&state=new&limit=5";
    let fake = Fake::new([("GET /v1/conn", 200, conns()), (path, 200, json!([]))]);
    let expected = [
        "NETWORK   PROTO   STATE         SOURCE             DESTINATION    ANSWERS FROM   ANSWERS TO        BYTES    EXPIRES",
        "RED       tcp     established   10.10.10.2:40000   192.0.2.9:80   -              192.0.2.1:40000   1.5 kB   2h 3m",
        "RED       udp     new           [fd00::2]:5000     [fd00::3]:53   -              -                 90 B     4m 59s",
    ];
    assert_eq!(fake.lines("conn show"), expected);
    assert_eq!(fake.json("conn show --format json"), conns());
    let filters = "--network RED --proto tcp --src 10.10.10.0/24 --dst 192.0.2.9 --port 80 --state new --limit 5";
    assert_eq!(fake.lines(&format!("conn show {filters}")).len(), 1);
}

#[test]
fn pings_show_their_identifier_and_type() {
    let way = |network: &str, src: &str, src_port: u16, dst: &str, dst_port: u16| json!({"network": network, "src": src, "dst": dst, "src_port": src_port, "dst_port": dst_port, "frames": 1, "bytes": 98});
    let ping = json!([{"protocol": "icmp", "state": "established",
        "original": way("RED", "10.10.10.2", 0, "192.0.2.9", 8), "reply": way("outside", "192.0.2.9", 8, "192.0.2.1", 77),
        "assured": false, "mark": 0, "age_seconds": 1, "timeout_seconds": 59, "bound": true}]);
    let fake = Fake::new([("GET /v1/conn?limit=1", 200, ping)]);
    let shown = &fake.lines("conn show --limit 1")[1];
    let expected = "RED       icmp    established   10.10.10.2 id 0   192.0.2.9 type 8   -              192.0.2.1 id 77   196 B   59s";
    assert_eq!(shown, expected);
    fake.vsctl("conn show --limit 0").assert().code(2);
}

#[test]
fn a_flush_says_how_many_it_ended() {
    let fake = Fake::new([
        ("DELETE /v1/conn", 200, json!({"flushed": 7})),
        ("DELETE /v1/conn?address=192.0.2.7%2F32", 200, json!({"flushed": 1})),
    ]);
    assert_eq!(fake.lines("conn flush"), ["7 connections ended"]);
    assert_eq!(fake.lines("conn flush --address 192.0.2.7"), ["1 connection ended"]);
    assert_eq!(fake.json("conn flush --format json"), json!({"flushed": 7}));
}
