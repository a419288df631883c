//! `make bench`: the switch beside what people use today. All topologies of a case exist at the same time and are measured in
//! turn, A B C A B C, on an otherwise idle machine; medians decide. Prints a table and writes `target/bench.json`; with
//! `--write-docs` also `docs/benchmarks.md` and its plots.
#![forbid(unsafe_code)]

mod args;
mod cases;
mod cpu;
mod docs;
mod guard;
mod interrupt;
mod load;
mod measure;
mod others;
mod peer;
mod report;
mod row;
mod solo;
mod stats;
mod topology;
mod worlds;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, setrlimit};
use tests::lab;

use crate::args::{Args, Command};
use crate::cases::CASES;

/// Open files.
const FILES: u64 = 20_000;
/// What Ctrl-C gives in a shell.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)) {
        Ok(Command::List) => {
            CASES.iter().for_each(|case| println!("{:<16} {}", case.name, case.about));
            ExitCode::SUCCESS
        }
        Ok(Command::Help) => {
            println!("{}", args::USAGE);
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
    // A descriptor for each of a thousand containers; daemons inherit it, and have more in their unit.
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).context("cannot raise the limit of open files")?;
    topology::kernel::load_netfilter();
    let mut report = report::Report::new()?;
    let outcome = lab::run(|lab| measure::all(lab, args, &mut report));
    report.print();
    outcome?;
    if let Some(dir) = args.docs.as_ref().filter(|_| !interrupt::came()) {
        docs::write(dir, &report, args)?;
        println!("Written to {}", dir.display());
    }
    Ok(match (interrupt::came(), report.complete()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}
