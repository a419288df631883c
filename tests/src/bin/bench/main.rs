//! `make bench`: the switch beside what people use today. Both topologies of a case exist at the same
//! time and are measured in turn, A B A B, on an otherwise idle machine; medians decide.
//! Prints a table and writes `target/bench.json`.
#![forbid(unsafe_code)]

mod args;
mod cases;
mod guard;
mod interrupt;
mod load;
mod measure;
mod others;
mod report;
mod solo;
mod stats;
mod topology;
mod worlds;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use tests::lab;

use crate::args::{Args, Command};
use crate::cases::CASES;

/// What Ctrl-C gives in a shell.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)) {
        Ok(Command::List) => {
            CASES.iter().for_each(|case| println!("{:<16} {}", case.name, case.about));
            ExitCode::SUCCESS
        }
        Ok(Command::Run(args)) => run(&args).unwrap_or_else(|error| {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }),
        Err(error) => {
            eprintln!("bench: {error:#}\n{}", args::USAGE);
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root: run `make bench` (it uses sudo)");
    interrupt::watch()?;
    let mut report = report::Report::new()?;
    let outcome = lab::run(|lab| measure::all(lab, args, &mut report));
    report.print();
    outcome?;
    Ok(match (interrupt::came(), report.complete()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}
