//! `--format` with templates, as people write them for docker: lists, inspect, single answers.

use std::process::Output;

use serde_json::json;

use crate::answers::{RED, networks, port, show};
use crate::fake::Fake;

/// What `vsctl` does with this line and this `--format`.
fn run(fake: &Fake, line: &str, format: &str) -> Output {
    fake.vsctl(line).args(["--format", format]).output().unwrap()
}

fn printed(fake: &Fake, line: &str, format: &str) -> String {
    let output = run(fake, line, format);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{format}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn network_ls_has_docker_s_fields() {
    let fake = Fake::new([("GET /v1/networks", 200, networks())]);
    let line = "network ls -f name=RED";
    for (format, expected) in [
        ("{{.Name}}", "RED\n"),
        ("{{.ID}}: {{.Driver}} {{.Scope}}", "111111111111: overlay global\n"),
        ("{{.Labels}} {{.Label \"team\"}} {{index .Labels \"team\"}}", "team=web web web\n"),
        ("{{.CreatedAt}}", "2026-11-21 12:00:00.000000001 +0000 UTC\n"),
        ("{{.IPv4}} {{.IPv6}} {{.Internal}}", "true false false\n"),
        ("{{.VNI}} {{.MTU}} {{(index .Subnets 0).Gateway}}", "4096 1450 10.10.10.1\n"),
        ("table {{.Name}}\\t{{.Driver}}", "NAME   DRIVER\nRED    overlay\n"),
        (
            "table {{.ID}}\\t{{.Label \"x.team\"}}\\t{{.CreatedAt}}",
            "NETWORK ID     team   CREATED AT\n111111111111          2026-11-21 12:00:00.000000001 +0000 UTC\n",
        ),
        ("{{if eq .Scope \"global\"}}{{upper .Driver}}{{end}}", "OVERLAY\n"),
    ] {
        assert_eq!(printed(&fake, line, format), expected, "{format}");
    }
    assert_eq!(printed(&fake, "network ls --no-trunc -f name=RED", "{{.ID}}"), format!("{RED}\n"));
    let row: serde_json::Value = serde_json::from_str(&printed(&fake, line, "{{json .}}")).unwrap();
    assert_eq!((&row["Name"], &row["IPv4"], &row["Labels"]), (&json!("RED"), &json!("true"), &json!("team=web")));
}

#[test]
fn inspect_has_docker_s_fields_also_where_they_are_empty() {
    let red = json!({
        "Name": "RED", "Id": RED, "Created": "2026-11-21T12:00:00Z", "Scope": "global", "Driver": "overlay",
        "EnableIPv4": true, "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.10.10.0/24", "Gateway": "10.10.10.1"}]},
        "Internal": false, "Attachable": false, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
        "Containers": {"c1": {
            "Name": "web", "EndpointID": "e", "MacAddress": "02:42:0a:0a:0a:02", "IPv4Address": "10.10.10.2/24",
            "IPv6Address": "", "Host": "h1",
        }},
        "Options": {"com.docker.network.driver.mtu": "1450"}, "Labels": {"team": "web"},
    });
    let fake = Fake::new([("GET /v1/networks/RED", 200, red)]);
    let line = "network inspect RED";
    for (format, expected) in [
        ("{{.ID}}", format!("{RED}\n").as_str()),
        ("{{.IPAM.Config}}", "[{10.10.10.0/24  10.10.10.1 map[]}]\n"),
        ("{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}", "web 10.10.10.2/24\n"),
        ("{{range $id, $c := .Containers}}{{$id}}: {{$c.MacAddress}}{{end}}", "c1: 02:42:0a:0a:0a:02\n"),
        ("{{index .Options \"com.docker.network.driver.mtu\"}} {{.Labels}}", "1450 map[team:web]\n"),
        ("{{json .Labels}} {{len .Containers}} {{.Peers}}", "{\"team\":\"web\"} 1 \n"),
        ("{{(index .IPAM.Config 0).IPRange}}|", "|\n"),
    ] {
        assert_eq!(printed(&fake, line, format), expected, "{format}");
        let short = fake.vsctl("network inspect -f").arg(format).arg("RED").output().unwrap();
        assert_eq!(String::from_utf8(short.stdout).unwrap(), expected, "-f {format}");
    }
    let output = run(&fake, "network inspect RED nope", "{{.Name}}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"RED\n".as_slice()));
}

#[test]
fn every_list_takes_a_template_with_the_api_s_fields() {
    let fake = Fake::new([
        ("GET /v1/ports", 200, json!([port()])),
        ("GET /v1/show", 200, show()),
        ("POST /v1/ports", 201, port()),
    ]);
    assert_eq!(printed(&fake, "ports", "{{.Name}} {{.RxBytes}} {{join .Aliases \",\"}}"), "container1 1500 www\n");
    assert_eq!(printed(&fake, "ports", "{{.vlan}}|{{.Limits.Rate}}|{{.sandbox.pid}}"), "||4711\n");
    let table = "NAME         RX BYTES   ADDRESSES\ncontainer1   1500       10.10.10.2/24 fd00:10::2/64\n";
    assert_eq!(printed(&fake, "ports", "table {{.Name}}\\t{{.rx_bytes}}\\t{{join .Addresses \" \"}}"), table);
    assert_eq!(printed(&fake, "show", "{{.Name}} {{range .Hosts}}{{.Name}},{{end}}"), "h1 h1,h2,\n");
    assert_eq!(printed(&fake, "add-port RED web0 --pid 1", "{{index .Addresses 0}}"), "10.10.10.2/24\n");
}

#[test]
fn a_field_that_is_not_there_is_a_usage_error_with_those_that_are() {
    let fake = Fake::new([("GET /v1/networks", 200, networks()), ("GET /v1/ports", 200, json!([port()]))]);
    for (line, format) in [("network ls", "{{.Nmae}}"), ("ports", "{{.Nmae}}")] {
        let output = run(&fake, line, format);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        assert!(told.to_lowercase().contains("name") && told.contains("remedy: "), "{told}");
    }
    let told = String::from_utf8(run(&fake, "ports", "{{.Name").stderr).unwrap();
    assert!(told.contains("}} is missing"), "{told}");
}

#[test]
fn a_template_that_cannot_be_filled_changes_nothing() {
    let fake = Fake::new([("POST /v1/ports", 201, port()), ("DELETE /v1/networks/RED", 204, json!(null))]);
    for line in ["add-port RED web0 --pid 1", "connect RED web0", "network rm RED", "network create RED"] {
        assert_eq!(run(&fake, line, "{{.Nmae}}").status.code(), Some(2), "{line}");
    }
    assert_eq!(fake.asked(), []);
    assert_eq!(printed(&fake, "add-port RED web0 --pid 1", "{{.Name}} {{.Vlan}}|{{.Limits.Rate}}|"), "container1 ||\n");
    assert_eq!(printed(&fake, "network rm RED", "gone: {{.}}"), "gone: RED\n");
}

#[test]
fn nothing_that_a_terminal_acts_on_gets_through() {
    let mut hostile = port();
    hostile["container_id"] = json!("a\u{9b}31m\u{1b}[2J\u{202e}b");
    let fake = Fake::new([("GET /v1/ports", 200, json!([hostile]))]);
    assert_eq!(printed(&fake, "ports", "{{.ContainerID}}"), "a\\u{9b}31m\\u{1b}[2J\\u{202e}b\n");
    for format in ["json", "{{json .}}"] {
        let text = printed(&fake, "ports", format);
        assert!(text.contains("a\\u009b31m\\u001b[2J\\u202eb") && text.is_ascii(), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }
}

#[test]
fn docker_s_booleans_have_values() {
    let fake = Fake::new([
        ("GET /v1/networks", 200, networks()),
        ("POST /v1/networks", 201, json!({"id": RED, "name": "x", "warning": ""})),
    ]);
    assert_eq!(fake.lines("network ls -q --no-trunc=true -f name=RED"), [RED]);
    fake.lines("network create --internal=true --ipv6=false --attachable x");
    assert_eq!(fake.asked()[1].1, json!({"name": "x", "driver": "bridge", "internal": true, "attachable": true}));
}
