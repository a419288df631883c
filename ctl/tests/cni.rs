//! The program `vswitch-cni` as a runtime calls it, against an API server that only notes what it is asked, or none.
//! Needs root for the namespaces of the containers' stand-ins.

mod api_double;
mod namespace;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use api_double::ApiDouble;
use namespace::Sleeper;
use serde_json::{Value, json};

/// Calls the plugin; the answer is its exit code and the JSON on its standard output, or null.
fn call(verb: &str, socket: &Path, netns: &str, config: &Value) -> (i32, Value) {
    call_with(&[("CNI_COMMAND", verb), ("CNI_NETNS", netns)], socket, &config.to_string())
}

fn call_with(variables: &[(&str, &str)], socket: &Path, input: &str) -> (i32, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vswitch-cni"))
        .env_clear()
        .envs([("CNI_CONTAINERID", "c0ffee"), ("CNI_IFNAME", "eth0"), ("CNI_PATH", "/opt/cni/bin")])
        .env("VSWITCH_SOCKET", socket)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // VERSION and wrong calls read nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!(code == 0, output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (code, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

fn config(network: &str) -> Value {
    json!({"cniVersion": "1.1.0", "name": "pods", "type": "vswitch-cni", "network": network})
}

fn netns(sleeper: &Sleeper) -> String {
    format!("/proc/{}/ns/net", sleeper.pid())
}

#[test]
fn a_pod_is_asked_for_with_all_that_its_runtime_wants() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let mut config = config("RED");
    config["runtimeConfig"] = json!({
        "portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "TCP", "HostIP": ""}],
        "ips": ["10.10.10.9/24"], "mac": "02:42:0a:0a:0a:09", "aliases": {"pods": ["www"]},
        "dns": {"Servers": ["10.10.10.53"], "Searches": null, "Options": null},
        "bandwidth": {"ingressRate": 1_000_000, "ingressBurst": 4_294_967_295_u64},
    });
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web;K8S_POD_UID=7";
    let variables = [("CNI_COMMAND", "ADD"), ("CNI_NETNS", &*netns(&sleeper)), ("CNI_ARGS", args)];
    call_with(&variables, api.socket(), &config.to_string());
    let requests = api.take();
    assert_eq!(requests[0].line, "POST /v1/ports");
    let expected = json!({
        "network": "RED", "name": "web.prod", "otherwise": ["c0ffee"], "fresh": true, "hostname": "web", "netns": netns(&sleeper),
        "container_id": "c0ffee", "ifname": "eth0", "ip": "10.10.10.9", "mac": "02:42:0a:0a:0a:09",
        "aliases": ["www"], "publish": ["8080:80/tcp"], "dns": ["10.10.10.53"],
        "labels": {"org.vswitch.cni": "pods", "io.kubernetes.pod.namespace": "prod"},
        "limits": {"egress_rate": 1_000_000},
    });
    assert_eq!(requests[0].body, expected);
    // The double's answer is no port, so that nobody knows what was made: it is taken back.
    assert_eq!(requests[1].line, "DELETE /v1/ports/c0ffee?network=RED&ifname=eth0");
}

#[test]
fn failures_have_their_codes_and_the_configs_version() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let own = "/proc/self/ns/net";
    let there = netns(&sleeper);
    let with = |key: &str, value: Value| {
        let mut config = config("RED");
        config[key] = value;
        config
    };
    let cases = [
        ("ADD", with("cniVersion", json!("0.2.0")), there.as_str(), 1, "incompatible CNI versions"),
        ("GC", with("cniVersion", json!("1.0.0")), "", 1, "GC came with 1.1.0"),
        ("STATUS", with("cniVersion", json!("1.0.0")), "", 1, "STATUS came with 1.1.0"),
        ("CHECK", with("cniVersion", json!("0.3.1")), &there, 1, "CHECK came with 0.4.0"),
        ("ADD", with("runtimeConfig", json!({"ipRanges": []})), &there, 2, "ipRanges"),
        ("ADD", config("RED"), "", 4, "[CNI_NETNS]"),
        ("FLY", config("RED"), &there, 4, "FLY"),
        ("ADD", with("ipam", json!({"type": "dhcp"})), &there, 7, "dhcp"),
        ("ADD", config("refused"), &there, 7, "network refused not found"),
        ("CHECK", config("RED"), &there, 7, "prevResult"),
        ("ADD", config("RED"), "/nonexistent", 8, "/nonexistent"),
        ("STATUS", config("RED"), "", 50, "405"),
    ];
    for (verb, config, netns, code, word) in cases {
        let (status, answer) = call(verb, api.socket(), netns, &config);
        assert_eq!((status, &answer["code"]), (1, &json!(code)), "{verb}: {answer}");
        assert!(answer["msg"].as_str().unwrap().contains(word), "{verb}: {answer} has no {word}");
        assert_eq!(answer["cniVersion"], config["cniVersion"]);
    }
    let variables = [("CNI_COMMAND", "ADD"), ("CNI_NETNS", there.as_str())];
    assert_eq!(call_with(&variables, api.socket(), "{").1["code"], 6);
    // The plugin runs where a runtime runs: in the host's own namespace.
    assert_eq!(call("ADD", api.socket(), own, &config("RED")).1["code"], 8);
}

#[test]
fn an_add_behind_another_maker_of_the_link_is_refused() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let mut config = config("RED");
    let netns = netns(&sleeper);
    config["prevResult"] = json!({"interfaces": [{"name": "eth0", "sandbox": netns}], "ips": []});
    let (_, answer) = call("ADD", api.socket(), &netns, &config);
    assert!(answer["code"] == 7 && answer["details"].as_str().unwrap().contains("first plugin"), "{answer}");
    assert!(api.take().is_empty());
}

#[test]
fn without_a_daemon_a_runtime_is_told_to_come_again_unless_all_is_gone() {
    let sleeper = Sleeper::start();
    let nobody = Path::new("/nonexistent/vswitchd.sock");
    for verb in ["ADD", "DEL"] {
        let (status, answer) = call(verb, nobody, &netns(&sleeper), &config("RED"));
        assert_eq!((status, &answer["code"]), (1, &json!(11)), "{verb}: {answer}");
        assert!(answer["msg"].as_str().unwrap().contains("/nonexistent/vswitchd.sock"), "{answer}");
    }
    for gone in ["", "/run/netns/no-such-namespace"] {
        assert_eq!(call("DEL", nobody, gone, &config("RED")), (0, Value::Null));
    }
    assert_eq!(call("STATUS", nobody, "", &config("RED")).1["code"], 50);
    let mut gc = config("RED");
    assert_eq!(call("GC", nobody, "", &gc), (0, Value::Null), "without a list nothing is collected");
    gc["cni.dev/valid-attachments"] = json!([]);
    assert_eq!(call("GC", nobody, "", &gc).1["code"], 11);
    let (status, answer) = call_with(&[("CNI_COMMAND", "VERSION"), ("CNI_NETNS", "dummy")], nobody, "");
    assert_eq!((status, &answer["supportedVersions"][0]), (0, &json!("0.3.0")));
}

#[test]
fn a_removal_names_the_attachment_and_takes_unknown_for_done() {
    let api = ApiDouble::start();
    // What ADD refuses was never attached; its removal succeeds all the same.
    for (key, value) in [
        ("ipam", json!({"type": "dhcp"})),
        ("subnet", json!("nonsense")),
        ("driver", json!("overlay")),
        ("runtimeConfig", json!({"ipRanges": [[]], "portMappings": [{"protocol": "sctp"}], "mac": "x"})),
    ] {
        let mut refused = config("RED");
        refused[key] = value;
        assert_eq!(call("DEL", api.socket(), "", &refused), (0, Value::Null), "{key}");
        api.take().pop().unwrap();
    }
    assert_eq!(call("DEL", api.socket(), "", &config("RED")), (0, Value::Null));
    let variables = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "unknown")];
    assert_eq!(call_with(&variables, api.socket(), &config("RED").to_string()), (0, Value::Null));
    let lines: Vec<_> = api.take().into_iter().map(|request| request.line).collect();
    let expected =
        ["DELETE /v1/ports/c0ffee?network=RED&ifname=eth0", "DELETE /v1/ports/unknown?network=RED&ifname=eth0"];
    assert_eq!(lines, expected);
}
