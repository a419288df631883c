//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cases::{CASES, Case};

pub(crate) const USAGE: &str = "\
usage: bench [--runs N] [--seconds N] [--force] [--write-docs DIR] [--list] [CASE...]
  --runs N          measured runs of each side (default 5)
  --seconds N       length of a run (default 1)
  --force           measure although the machine is busy
  --write-docs DIR  write benchmarks.md and its plots there
  --list            name the cases and end";

/// What to do.
pub(crate) enum Command {
    List,
    Run(Args),
}

/// How to measure.
pub(crate) struct Args {
    pub(crate) runs: u32,
    pub(crate) seconds: u32,
    pub(crate) force: bool,
    pub(crate) docs: Option<PathBuf>,
    pub(crate) cases: Vec<&'static Case>,
}

impl Args {
    /// Parses what follows the program's name.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command> {
        let mut args = Args { runs: 5, seconds: 1, force: false, docs: None, cases: Vec::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--list" => return Ok(Command::List),
                "--force" => args.force = true,
                "--write-docs" => args.docs = Some(words.next().context("--write-docs needs a directory")?.into()),
                "--runs" => args.runs = number(&word, words.next())?,
                "--seconds" => args.seconds = number(&word, words.next())?,
                flag if flag.starts_with('-') => bail!("unknown flag {flag}"),
                name => {
                    let case = CASES.iter().find(|case| case.name == name);
                    args.cases.push(case.with_context(|| format!("no case {name} (--list names them)"))?);
                }
            }
        }
        if args.cases.is_empty() {
            args.cases = CASES.iter().collect();
        }
        Ok(Command::Run(args))
    }

    /// The length of a run.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

fn number(flag: &str, value: Option<String>) -> Result<u32> {
    let value = value.with_context(|| format!("{flag} needs a number"))?;
    let number = value.parse().with_context(|| format!("{flag}: {value} is not a number"))?;
    ensure!((1..=1_000).contains(&number), "{flag}: {number} is not from 1 to 1000");
    Ok(number)
}
