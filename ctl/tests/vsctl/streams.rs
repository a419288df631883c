//! Exit codes, standard streams, and what is said when there is no vswitchd.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::answers::networks;
use crate::fake::Fake;

#[test]
fn no_daemon_is_told_with_the_socket_and_what_to_do() {
    let fake = Fake::new([]);
    let output = fake.vsctl("network ls --socket /nonexistent/s").assert().code(1).stdout("").get_output().clone();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("error: vswitchd is not reachable at /nonexistent/s: no such file or directory\n  remedy: "),
        "{told}"
    );
    assert!(told.contains("--socket") && told.contains("VSWITCH_SOCKET"), "{told}");
    assert_eq!(told.lines().count(), 2, "also for a command with several objects: {told}");
    fake.vsctl("network rm --socket /nonexistent/s A B").assert().code(1).stderr(told);
}

#[test]
fn a_wrong_command_line_is_code_2() {
    let fake = Fake::new([]);
    for line in ["", "frobnicate", "ports --format yaml", "network create", "add-port RED web0"] {
        fake.vsctl(line).assert().code(2).stdout("");
    }
}

#[test]
fn help_and_version_are_answers() {
    let fake = Fake::new([]);
    let help = fake.lines("network create --help").join("\n");
    assert!(help.contains("Examples:") && help.contains("--aux-address"), "{help}");
    assert_eq!(fake.lines("--version"), [concat!("vsctl ", env!("CARGO_PKG_VERSION"))]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let many: Vec<_> = (0..4_000).map(|_| networks()[0].clone()).collect();
    let fake = Fake::new([("GET /v1/networks", 200, json!(many))]);
    let program = fake.vsctl("network ls");
    let mut child = Command::new(program.get_program())
        .args(program.get_args())
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"NETWORK ID");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_answer_of_another_kind_is_told() {
    let fake = Fake::new([("GET /v1/ports", 200, json!({"not": "an array"}))]);
    let output = fake.vsctl("ports").assert().code(1).stdout("").get_output().clone();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("/v1/ports") && told.contains("remedy:"), "{told}");
}
