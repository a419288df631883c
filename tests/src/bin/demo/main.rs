//! `make demo`: one network, real containers, on two hosts with Consul or on one host without a server.
//! The show runs in a child process; this one waits for it, and cleans up after it however it ends.
#![forbid(unsafe_code)]

mod show;

use std::env;
use std::process::ExitCode;

use tests::stage;

const USAGE: &str = "usage: demo [--store consul|file]";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["--on-stage", "consul"] => stage::act("demo", show::two_hosts),
        ["--on-stage", "file"] => stage::act("demo", show::one_host),
        [] => stage::direct("demo", &["--on-stage", "consul"]),
        ["--store", store @ ("consul" | "file")] => stage::direct("demo", &["--on-stage", store]),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
