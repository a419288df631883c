//! Answers of a host in the middle of its work: two overlay networks, a container here, a host elsewhere.

use serde_json::{Value, json};

/// The ID of RED.
pub(crate) const RED: &str = "1111111111112222222222222222222222222222222222222222222222222222";

pub(crate) fn networks() -> Value {
    let network = |id: &str, name: &str, driver: &str, vni: Value, labels: Value, endpoints: u32| {
        let scope = if driver == "overlay" { "global" } else { "local" };
        let subnets = match name {
            "RED" => {
                json!([{"subnet": "10.10.10.0/24", "ip_range": null, "gateway": "10.10.10.1", "aux_addresses": {}}])
            }
            _ => json!([]),
        };
        json!({
            "id": id, "name": name, "driver": driver, "scope": scope, "created": "2026-11-21T12:00:00.000000001Z",
            "subnets": subnets, "vni": vni, "mtu": 1450, "internal": false, "attachable": true, "labels": labels,
            "options": {}, "endpoints": endpoints, "field_of_a_later_version": 1,
        })
    };
    json!([
        network(RED, "RED", "overlay", json!(4096), json!({"team": "web"}), 2),
        network(&"a".repeat(64), "BLUE", "overlay", json!(4097), json!({}), 0),
        network(&"b".repeat(64), "bridge", "bridge", json!(null), json!({}), 0),
        network(&"c".repeat(64), "host", "host", json!(null), json!({}), 0),
        network(&"d".repeat(64), "none", "null", json!(null), json!({}), 0),
    ])
}

pub(crate) fn port() -> Value {
    json!({
        "name": "container1", "network": "RED", "network_id": RED, "endpoint_id": "e".repeat(64),
        "container_id": "c1", "ifname": "eth0", "mac": "02:42:0a:0a:0a:02",
        "addresses": ["10.10.10.2/24", "fd00:10::2/64"], "aliases": ["www"], "mtu": 1450, "state": "up", "kind": "tap",
        "guard": true, "sandbox": {"pid": 4711, "netns": "/proc/4711/ns/net"}, "rx_frames": 12, "rx_bytes": 1500,
        "tx_frames": 3, "tx_bytes": 126, "drops": 0,
    })
}

pub(crate) fn peers() -> Value {
    json!([
        {"network": "RED", "vtep": "192.168.0.9", "host": null, "kind": "static", "endpoints": 0},
        {"network": "RED", "vtep": "192.168.0.2", "host": "h2", "kind": "store", "endpoints": 1},
    ])
}

pub(crate) fn show() -> Value {
    json!({
        "name": "h1", "version": "0.1.0", "pid": 99, "uptime_seconds": 3725, "kernel": "6.1.0-28-amd64",
        "advertise": "192.168.0.1", "vxlan_port": 4789, "underlay_mtu": 1500,
        "store": {
            "url": "consul://127.0.0.1:8500/vswitch", "shared": true, "connected": false,
            "waiting": ["endpoints of network RED"], "last_error": "connection refused",
        },
        "uplink": {
            "state": "up", "link": "vsw0", "form": "tcx", "problem": null,
            "nics": [
                {"ifname": "eth0", "ifindex": 2, "mtu": 1500, "addresses": ["192.168.0.1/24", "2001:db8::1/64"],
                 "state": "up", "problem": null},
                {"ifname": "eth1", "ifindex": 3, "mtu": 1500, "addresses": [], "state": "failed",
                 "problem": "cannot attach"},
            ],
            "addresses": ["192.168.0.1"], "routes": [{"to": "0.0.0.0/0", "source": "192.168.0.1", "mtu": 1500}],
            "reached": ["172.17.0.0/16"], "unreached": [{"subnet": "10.8.0.0/24", "route": "10.0.0.0/8"}],
            "counters": {"steered": 12},
        },
        "features": [
            {"name": "tap_tso", "state": "used", "note": null},
            {"name": "tap_uso", "state": "missing", "note": "the kernel refuses it (Linux 6.2 has it)"},
            {"name": "udp_gro", "state": "unused", "note": "nothing has come joined yet"},
        ],
        "networks": 5, "ports": 1,
        "hosts": [{"name": "h1", "vteps": ["192.168.0.1"]}, {"name": "h2", "vteps": ["192.168.0.2"]}],
        "warnings": ["UDP_GRO joins nothing on eth0"],
    })
}

pub(crate) fn conflict(error: &str) -> Value {
    json!({"error": error, "object": error.split(':').next(), "remedy": "detach them first"})
}
