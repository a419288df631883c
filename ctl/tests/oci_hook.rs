//! The program `oci-hook` as a runtime calls it, against an API server that only notes what it is asked.
//! Needs root for the namespaces of the containers' stand-ins.

mod api_double;
mod namespace;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use api_double::ApiDouble;
use namespace::Sleeper;
use serde_json::{Value, json};

/// Calls the hook with `state` on its standard input.
fn hook(arguments: &[&str], socket: &Path, state: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_oci-hook"))
        .args(arguments)
        .env("VSWITCH_SOCKET", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A hook that refuses its command line reads nothing.
    let _ = child.stdin.take().unwrap().write_all(state.as_bytes());
    child.wait_with_output().unwrap()
}

fn state(pid: u32, annotations: Value) -> String {
    json!({"ociVersion": "1.2.0", "id": "c0ffee", "status": "creating", "pid": pid, "bundle": "/nowhere",
           "annotations": annotations, "root": "/extra"})
    .to_string()
}

/// The hook's words; there has to be exactly one line of them.
fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text.trim_end().to_owned()
}

#[test]
fn two_networks_are_attached_in_order() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let networks = "RED:ip=10.10.10.9,mac=02:42:0a:0a:0a:09,alias=web+www;BLUE:ip6=fd00::9,ifname=net1";
    let annotations = json!({"org.vswitch.networks": networks, "org.vswitch.name": "web0"});
    for stage in ["createRuntime", "prestart"] {
        let output = hook(&[stage], api.socket(), &state(sleeper.pid(), annotations.clone()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let requests = api.take();
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().all(|request| request.line == "POST /v1/ports"));
        let red = json!({"network": "RED", "name": "web0", "pid": sleeper.pid(), "container_id": "c0ffee",
                         "ip": "10.10.10.9", "mac": "02:42:0a:0a:0a:09", "aliases": ["web", "www"]});
        let blue = json!({"network": "BLUE", "name": "web0", "pid": sleeper.pid(), "container_id": "c0ffee",
                          "ip6": "fd00::9", "ifname": "net1"});
        assert_eq!((&requests[0].body, &requests[1].body), (&red, &blue));
    }
}

#[test]
fn the_name_is_the_annotations_then_the_options_then_the_id() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let plain = state(sleeper.pid(), json!({"org.vswitch.networks": "RED"}));
    assert!(hook(&["createRuntime"], api.socket(), &plain).status.success());
    assert!(hook(&["createRuntime", "--name", "web1"], api.socket(), &plain).status.success());
    let names: Vec<_> = api.take().into_iter().map(|request| request.body["name"].clone()).collect();
    assert_eq!(names, ["c0ffee", "web1"]);
}

#[test]
fn a_second_network_that_fails_takes_the_first_one_back() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let annotations = json!({"org.vswitch.networks": "RED;GREEN;refused;BLUE"});
    let output = hook(&["createRuntime"], api.socket(), &state(sleeper.pid(), annotations));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "oci-hook: container c0ffee: network refused: network refused not found (see `vsctl network ls`)"
    );
    let lines: Vec<_> = api.take().into_iter().map(|request| request.line).collect();
    let undone = ["DELETE /v1/ports/c0ffee?network=GREEN", "DELETE /v1/ports/c0ffee?network=RED"];
    assert_eq!(lines[..3], ["POST /v1/ports", "POST /v1/ports", "POST /v1/ports"]);
    assert_eq!(lines[3..], undone);
}

#[test]
fn ports_are_published_after_the_last_network_and_a_refusal_takes_everything_back() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let annotations = json!({"org.vswitch.networks": "RED;BLUE", "org.vswitch.publish": "8080:80; 53:53/udp"});
    assert!(hook(&["createRuntime"], api.socket(), &state(sleeper.pid(), annotations)).status.success());
    let requests = api.take();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[2].line, "POST /v1/publish");
    assert_eq!(requests[2].body, json!({"name": "c0ffee", "publish": ["8080:80/tcp", "53:53/udp"]}));

    let annotations = json!({"org.vswitch.networks": "RED;BLUE", "org.vswitch.publish": "666:80"});
    let output = hook(&["createRuntime"], api.socket(), &state(sleeper.pid(), annotations));
    assert_eq!(output.status.code(), Some(1));
    let reason =
        "oci-hook: container c0ffee: annotation org.vswitch.publish: publish 666:80/tcp: taken (choose another)";
    assert_eq!(said(&output), reason);
    let lines: Vec<_> = api.take().into_iter().map(|request| request.line).collect();
    assert_eq!(lines[3..], ["DELETE /v1/ports/c0ffee?network=BLUE", "DELETE /v1/ports/c0ffee?network=RED"]);
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up_in_time_and_asked_to_undo() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let output =
        hook(&["createRuntime"], api.socket(), &state(sleeper.pid(), json!({"org.vswitch.networks": "silent"})));
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("network silent: vswitchd at ") && said.contains("did not answer"), "{said}");
    // Nobody knows whether it was attached.
    assert_eq!(api.take().last().unwrap().line, "DELETE /v1/ports/c0ffee?network=silent");
}

#[test]
fn without_the_annotation_nothing_is_done() {
    let api = ApiDouble::start();
    for stage in ["createRuntime", "poststop"] {
        for annotations in [json!({}), json!({"org.other": "RED", "org.vswitch.name": "web0"})] {
            let output = hook(&[stage], api.socket(), &state(0, annotations));
            assert!(output.status.success() && output.stderr.is_empty());
        }
    }
    assert!(api.take().is_empty());
}

#[test]
fn what_cannot_be_understood_fails_the_container_with_a_reason() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let asks = |networks: &str| json!({"org.vswitch.networks": networks});
    let own = std::process::id();
    let cases = [
        (state(sleeper.pid(), asks("RED:ipv4=1")), "annotation org.vswitch.networks: network RED: unknown key `ipv4`"),
        (state(sleeper.pid(), asks("")), "an empty network name"),
        (state(sleeper.pid(), json!({"org.vswitch.networks": 7})), "org.vswitch.networks: not a string"),
        (state(sleeper.pid(), json!({"org.vswitch.publish": "80"})), "give it org.vswitch.networks, too"),
        (
            state(sleeper.pid(), json!({"org.vswitch.networks": "RED", "org.vswitch.publish": "80/sctp"})),
            "annotation org.vswitch.publish: 80/sctp: protocol `sctp` is not tcp or udp",
        ),
        (state(0, asks("RED")), "names no process"),
        (json!({"id": "c0ffee", "annotations": asks("RED")}).to_string(), "names no process"),
        (state(4_194_304, asks("RED")), "process 4194304: cannot look at its network namespace"),
        (state(own, asks("RED")), "the container uses the host's network, which cannot be connected to RED"),
        (json!({"id": "c0ffee", "bundle": "/nowhere"}).to_string(), "/nowhere/config.json: cannot read"),
        ("{".into(), "the runtime's state on standard input cannot be read"),
        (String::new(), "the runtime's state on standard input cannot be read"),
    ];
    for (state, reason) in cases {
        let output = hook(&["createRuntime"], api.socket(), &state);
        assert_eq!(output.status.code(), Some(1), "{state}");
        assert!(said(&output).contains(reason), "{} instead of {reason}", said(&output));
        let removal = hook(&["poststop"], api.socket(), &state);
        assert_eq!(removal.status.code(), Some(0), "{state}");
    }
    assert!(api.take().iter().all(|request| request.line == "DELETE /v1/ports/c0ffee"));
}

#[test]
fn the_annotations_of_the_bundle_count_where_the_state_has_none() {
    let (api, sleeper) = (ApiDouble::start(), Sleeper::start());
    let bundle = tempfile::tempdir().unwrap();
    let config = json!({"ociVersion": "1.2.0", "annotations": {"org.vswitch.networks": "RED"}});
    std::fs::write(bundle.path().join("config.json"), config.to_string()).unwrap();
    let state = json!({"id": "c0ffee", "pid": sleeper.pid(), "bundle": bundle.path()}).to_string();
    assert!(hook(&["createRuntime"], api.socket(), &state).status.success());
    assert_eq!(api.take()[0].body["network"], "RED");
}

#[test]
fn the_end_of_a_container_always_completes() {
    let api = ApiDouble::start();
    let asks = json!({"org.vswitch.networks": "RED"});
    // As podman calls it: without a process.
    let stopped = json!({"id": "c0ffee", "status": "stopped", "bundle": "/b", "annotations": asks}).to_string();
    let output = hook(&["poststop"], api.socket(), &stopped);
    assert!(output.status.success() && output.stderr.is_empty());
    let lines: Vec<_> = api.take().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["DELETE /v1/ports/c0ffee"]);
    // The double knows no port of this name.
    let unknown = stopped.replace("c0ffee", "unknown");
    let output = hook(&["poststop"], api.socket(), &unknown);
    assert!(output.status.success() && output.stderr.is_empty());

    let nobody = api.socket().with_file_name("nobody.sock");
    let output = hook(&["poststop"], &nobody, &stopped);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).starts_with("oci-hook: container c0ffee: vswitchd is not reachable at "));
    let output = hook(&["poststop", "--no-such-option"], &nobody, &stopped);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_daemon_that_is_down_fails_the_container_at_once() {
    let sleeper = Sleeper::start();
    let nobody = Path::new("/nonexistent/vswitchd.sock");
    let flag = ["createRuntime", "--socket", "/nonexistent/named.sock"];
    let output = hook(&flag, nobody, &state(sleeper.pid(), json!({"org.vswitch.networks": "RED"})));
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("network RED: vswitchd is not reachable at /nonexistent/named.sock"));
}

#[test]
fn a_runtime_that_discards_the_words_is_told_on_its_own_standard_error() {
    // The shell stands for crun; in the background, because it would redirect itself for a command that it waits for.
    let script = format!("{} createRuntime 2>/dev/null & wait $!; echo status $?", env!("CARGO_BIN_EXE_oci-hook"));
    let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "status 1\n");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.starts_with("oci-hook: the runtime's state on standard input cannot be read"), "{words}");
}

#[test]
fn a_wrong_command_line_is_told() {
    let nobody = Path::new("/nonexistent/vswitchd.sock");
    for arguments in [&[][..], &["createContainer"], &["createRuntime", "--no-such-option"]] {
        assert_eq!(hook(arguments, nobody, "{}").status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(hook(&["--help"], nobody, "").status.code(), Some(0));
}
