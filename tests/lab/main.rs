//! `make lab`: the multi-host lab of docs/tutorial.md, on three nodes with a real engine of Docker each. Every step does the
//! real thing and checks it. The same steps run in `make test`.
#![forbid(unsafe_code)]

mod steps;

use std::env;
use std::process::ExitCode;

use tests::{Docker, stage};

fn main() -> ExitCode {
    if let Some(why) = Docker::missing() {
        eprintln!("lab: {why}");
        return ExitCode::FAILURE;
    }
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--on-stage"] => stage::act("lab", steps::all),
        [] => stage::direct("lab", &["--on-stage"]),
        _ => {
            eprintln!("usage: lab");
            ExitCode::from(2)
        }
    }
}
