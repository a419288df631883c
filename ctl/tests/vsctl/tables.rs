//! Tables for people, and the same as JSON.

use serde_json::{Value, json};

use crate::answers::{networks, peers, port, show};
use crate::fake::Fake;

#[test]
fn show_is_one_page_without_escape_sequences() {
    let fake = Fake::new([
        ("GET /v1/show", 200, show()),
        ("GET /v1/networks", 200, networks()),
        ("GET /v1/ports", 200, json!([port()])),
        ("GET /v1/peers", 200, peers()),
    ]);
    let expected = "\
h1   vswitchd 0.1.0, pid 99, up 1h 2m, Linux 6.1.0-28-amd64
  Advertise   192.168.0.1, VXLAN port 4789, underlay MTU 1500
  Store       consul://127.0.0.1:8500/vswitch (shared), not connected: connection refused
  Waiting     endpoints of network RED
  Uplink      eth0 192.168.0.1/24, 2001:db8::1/64, MTU 1500, tcx
  Uplink      eth1: cannot attach
  Host link   vsw0 to 172.17.0.0/16
  Host link   10.8.0.0/24 is not reached: the host's route 10.0.0.0/8 overlaps it
  Warning     UDP_GRO joins nothing on eth0

Network BLUE   aaaaaaaaaaaa, overlay, VNI 4097, MTU 1450
  no endpoints on this host

Network RED   111111111111, overlay, VNI 4096, MTU 1450, 10.10.10.0/24 gateway 10.10.10.1
  ENDPOINT     IFNAME   ADDRESS                        MAC                 STATE
  container1   eth0     10.10.10.2/24, fd00:10::2/64   02:42:0a:0a:0a:02   up
  peer h2 at 192.168.0.2, 1 endpoint
  peer VTEP at 192.168.0.9, 0 endpoints, set by hand

Hosts
  HOST             VTEP
  h1 (this host)   192.168.0.1
  h2               192.168.0.2

Kernel features
  FEATURE   STATE     NOTE
  tap_tso   used
  tap_uso   missing   the kernel refuses it (Linux 6.2 has it)
  udp_gro   unused    nothing has come joined yet";
    assert_eq!(fake.lines("show").join("\n"), expected);
    assert_eq!(fake.json("show --format json"), show());
}

#[test]
fn show_of_a_host_without_networks_says_what_to_do() {
    let mut alone = show();
    alone["advertise"] = Value::Null;
    alone["hosts"] = json!([]);
    let without = ["nics", "addresses", "routes", "reached", "unreached"].map(|list| (list.to_owned(), json!([])));
    alone["uplink"] = without.into_iter().collect();
    alone["uplink"]["state"] = json!("off");
    alone["uplink"]["counters"] = json!({});
    alone["store"] = json!({"url": "file:///x", "shared": false, "connected": true, "waiting": [], "last_error": null});
    alone["features"] = json!([]);
    let predefined = json!(networks().as_array().unwrap()[2..]);
    let fake = Fake::new([
        ("GET /v1/show", 200, alone),
        ("GET /v1/networks", 200, predefined),
        ("GET /v1/ports", 200, json!([])),
        ("GET /v1/peers", 200, json!([])),
    ]);
    let lines = fake.lines("show");
    assert_eq!(lines[1], "  Advertise   no address: overlay networks need vswitchd --advertise");
    assert_eq!(lines[2], "  Store       file:///x (this host only), connected");
    assert_eq!(lines[3], "  Uplink      none");
    assert!(lines.last().unwrap().contains("vsctl network create"), "{lines:?}");
}

#[test]
fn the_uplink_is_shown_with_routes_and_counters() {
    let fake = Fake::new([("GET /v1/uplink", 200, show()["uplink"].clone())]);
    let expected = "\
Uplink      eth0 192.168.0.1/24, 2001:db8::1/64, MTU 1500, tcx
Uplink      eth1: cannot attach
Host link   vsw0 to 172.17.0.0/16
Host link   10.8.0.0/24 is not reached: the host's route 10.0.0.0/8 overlaps it

ROUTE       SOURCE        MTU
0.0.0.0/0   192.168.0.1   1500

COUNTER   COUNT
steered   12";
    assert_eq!(fake.lines("uplink").join("\n"), expected);
    assert_eq!(fake.json("uplink --format json"), show()["uplink"]);
}

#[test]
fn ports_are_listed_with_their_counters() {
    let fake = Fake::new([("GET /v1/ports", 200, json!([port()])), ("GET /v1/ports/c1", 200, json!([port()]))]);
    let lines = fake.lines("ports");
    assert_eq!(lines.len(), 2);
    let header: Vec<&str> = lines[0].split("   ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(
        header,
        [
            "NAME",
            "NETWORK",
            "IFNAME",
            "LINK",
            "ADDRESS",
            "MAC",
            "MTU",
            "STATE",
            "GUARD",
            "VLAN",
            "LIMITS",
            "RX FRAMES",
            "RX BYTES",
            "TX FRAMES",
            "TX BYTES",
            "DROPS"
        ]
    );
    let cells: Vec<&str> = lines[1].split("   ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(cells[0], "container1");
    assert_eq!((cells[3], cells.len()), ("tap", 16));
    assert_eq!(cells[8..], ["on", "-", "-", "12", "1.5 kB", "3", "126 B", "0"]);
    assert_eq!(fake.lines("ports c1"), lines);
    assert_eq!(fake.json("ports --format json"), json!([port()]));
}

#[test]
fn the_mode_of_an_af_xdp_port_is_shown() {
    let mut port = port();
    port["kind"] = json!("xdp");
    port["xdp"] = json!({"interface": "eth1", "mode": "generic", "zero_copy": false, "busy_poll": true,
        "multi_buffer": true, "queues": 4});
    let fake = Fake::new([("GET /v1/ports", 200, json!([port]))]);
    let row = fake.lines("ports").remove(1);
    assert!(row.contains("   xdp (generic, copy, busy polling, multi-buffer)   "), "{row}");
}

#[test]
fn fdb_is_listed_and_set_by_hand() {
    let rows = json!([
        {"network": "RED", "vlan": 10, "mac": "02:42:0a:0a:0a:03", "port": null, "vtep": "192.168.0.2",
         "kind": "learned", "age_seconds": 75},
        {"network": "RED", "mac": "02:42:0a:0a:0a:02", "port": "container1", "vtep": null, "kind": "endpoint",
         "age_seconds": null},
    ]);
    let fake = Fake::new([
        ("GET /v1/fdb", 200, rows.clone()),
        ("POST /v1/fdb", 201, Value::Null),
        ("DELETE /v1/fdb/RED/02%3A42%3A0a%3A0a%3A0a%3A63", 204, Value::Null),
    ]);
    let expected = [
        "NETWORK   VLAN   MAC                 PORT         VTEP          KIND       AGE",
        "RED       -      02:42:0a:0a:0a:02   container1   -             endpoint   -",
        "RED       10     02:42:0a:0a:0a:03   -            192.168.0.2   learned    1m 15s",
    ];
    assert_eq!(fake.lines("fdb"), expected);
    assert_eq!(fake.lines("fdb ls"), expected);
    assert_eq!(fake.json("fdb --format json"), rows);
    assert!(fake.lines("fdb add RED 02:42:0A:0A:0A:63 --vtep fd00::9").is_empty());
    assert!(fake.lines("fdb rm RED 02:42:0a:0a:0a:63").is_empty());
    let body = json!({"network": "RED", "mac": "02:42:0a:0a:0a:63", "vtep": "fd00::9"});
    assert!(fake.asked().contains(&("POST /v1/fdb".into(), body)));
}

#[test]
fn peers_are_listed_added_and_removed() {
    let fake = Fake::new([
        ("GET /v1/peers", 200, peers()),
        ("POST /v1/peers", 201, Value::Null),
        ("DELETE /v1/peers/RED/fd00%3A%3A9", 204, Value::Null),
    ]);
    let expected = [
        "NETWORK   VTEP          HOST   KIND     ENDPOINTS",
        "RED       192.168.0.2   h2     store    1",
        "RED       192.168.0.9   -      static   0",
    ];
    assert_eq!(fake.lines("peers"), expected);
    assert!(fake.lines("peers add RED fd00::9").is_empty());
    assert!(fake.lines("peers rm RED fd00::9").is_empty());
}

#[test]
fn drops_hide_what_never_happened_unless_asked() {
    let rows = json!([
        {"reason": "unknown_vni", "count": 0, "meaning": "no network has this VNI"},
        {"reason": "guard_mac", "count": 2, "meaning": "not the port's MAC address"},
        {"reason": "malformed", "count": 7, "meaning": "the headers make no sense"},
    ]);
    let fake = Fake::new([("GET /v1/drops", 200, rows.clone())]);
    let expected = [
        "REASON      COUNT   MEANING",
        "malformed   7       the headers make no sense",
        "guard_mac   2       not the port's MAC address",
    ];
    assert_eq!(fake.lines("drops"), expected);
    assert_eq!(fake.lines("drops --all").len(), 4);
    assert_eq!(fake.json("drops --format json"), rows);
}

#[test]
fn neighbours_leases_and_events_are_listed() {
    let neighbours = json!([
        {"network": "RED", "address": "10.10.10.10", "mac": "02:42:0a:0a:0a:0a", "port": null, "vtep": "192.168.0.2"},
        {"network": "RED", "address": "10.10.10.2", "mac": "02:42:0a:0a:0a:02", "port": "container1", "vtep": null},
    ]);
    let leases = json!([{"address": "10.10.10.2", "owner": "h1/c1", "host": "h1", "state": "held"}]);
    let events = json!([{
        "time": "2026-11-21T12:00:00.123456789Z", "kind": "row_refused", "object": "v1/names/\u{1b}[2J",
        "text": "not\nJSON",
    }]);
    let fake = Fake::new([
        ("GET /v1/neigh", 200, neighbours),
        ("GET /v1/leases/RED", 200, leases),
        ("GET /v1/events", 200, events),
    ]);
    let neighbours = fake.lines("neigh");
    assert_eq!(neighbours[1], "RED       10.10.10.2    02:42:0a:0a:0a:02   container1   -");
    assert_eq!(neighbours[2], "RED       10.10.10.10   02:42:0a:0a:0a:0a   -            192.168.0.2");
    assert_eq!(fake.lines("leases RED")[1], "10.10.10.2   h1/c1   h1     held");
    let events = fake.lines("events");
    assert_eq!(events.len(), 2, "a row is a line");
    assert!(events[1].starts_with("2026-11-21T12:00:00.123Z   row_refused   v1/names/\\u{1b}[2J   not\\u{a}JSON"));
}

#[test]
fn flows_are_listed_by_their_bytes() {
    let rows = json!([
        {"src_mac": "02:42:0a:0a:0a:02", "dst_mac": "02:42:0a:0a:0a:03", "ether_type": 2048, "src": "10.10.10.2",
         "dst": "10.10.10.3", "protocol": 1, "src_port": 0, "dst_port": 0, "to_port": "container2", "to_vtep": null,
         "frames": 1, "bytes": 98, "idle_seconds": 3},
        {"src_mac": "02:42:0a:0a:0a:02", "dst_mac": "02:42:0a:0a:0a:03", "ether_type": 2048, "src": "10.10.10.2",
         "dst": "10.10.10.3", "protocol": 17, "src_port": 5000, "dst_port": 53, "to_port": null,
         "to_vtep": "192.168.0.2", "frames": 10, "bytes": 980, "idle_seconds": 0},
    ]);
    let fake = Fake::new([("GET /v1/flows", 200, rows)]);
    let lines = fake.lines("flows");
    assert!(lines[1].contains("10.10.10.2:5000   10.10.10.3:53   udp        vtep 192.168.0.2"), "{}", lines[1]);
    assert!(lines[2].contains("icmp       container2"), "{}", lines[2]);
}
