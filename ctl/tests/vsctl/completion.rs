//! Completion as the shells ask for it: words, names that vswitchd knows, and nothing where it is away.

use serde_json::json;

use crate::answers::{networks, port};
use crate::fake::Fake;

/// What may come as the last of these words, as bash's script asks.
fn offered(fake: &Fake, words: &[&str]) -> Vec<String> {
    let mut vsctl = fake.vsctl("");
    vsctl.env("VSCTL_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    vsctl.env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).arg("--").args(words);
    let output = vsctl.assert().success().stderr("").get_output().stdout.clone();
    String::from_utf8(output).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn commands_and_names_are_offered() {
    let fake = Fake::new([("GET /v1/networks", 200, networks()), ("GET /v1/ports", 200, json!([port()]))]);
    assert_eq!(offered(&fake, &["vsctl", "network", "cr"]), ["create"]);
    assert_eq!(offered(&fake, &["vsctl", "network", "inspect", "B"]), ["BLUE"]);
    assert_eq!(offered(&fake, &["vsctl", "connect", "RED", "c"]), ["container1"]);
    assert_eq!(offered(&fake, &["vsctl", "rule", "ls", "--network", "R"]), ["RED"]);
    assert_eq!(offered(&fake, &["vsctl", "del-port", "cont"]), ["container1"]);
    assert!(offered(&fake, &["vsctl", "--socket", "/nonexistent/s", "network", "inspect", "B"]).is_empty());
    assert!(offered(&fake, &["vsctl", "network", "create", "R"]).is_empty(), "a new network's name is new");
}

#[test]
fn without_vswitchd_words_are_still_offered() {
    let fake = Fake::new([]);
    assert!(offered(&fake, &["vsctl", "network", "inspect", "B"]).is_empty());
    assert_eq!(offered(&fake, &["vsctl", "ne"]), ["network", "neigh"]);
}

#[test]
fn scripts_need_no_daemon() {
    let fake = Fake::new([]);
    for shell in ["bash", "zsh", "fish"] {
        let script = fake.lines(&format!("completion {shell} --socket /nonexistent/s")).join("\n");
        assert!(script.contains("VSCTL_COMPLETE") && script.contains("vsctl"), "{shell}");
    }
    assert_eq!(fake.asked(), []);
}
