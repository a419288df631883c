//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cases::{CASES, Case};

pub(crate) const USAGE: &str = "\
usage: bench [--runs N] [--seconds N] [--force] [--write-docs DIR] [--list] [--help] [CASE...]
  --runs N          measured runs of each side (default 5)
  --seconds N       length of a run (default 1)
  --force           measure although the machine is busy
  --write-docs DIR  write benchmarks.md and its plots there; of all cases only
  --list            name the cases and end
  --help            say this and end";

/// What to do.
pub(crate) enum Command {
    List,
    Help,
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
                "--help" | "-h" => return Ok(Command::Help),
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
        ensure!(
            args.docs.is_none() || args.cases.is_empty(),
            "--write-docs replaces the figures of all cases: leave out the names of cases"
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn documentation_is_written_of_all_cases_only() {
        let Ok(Command::Run(args)) = parse("--runs 3 --write-docs docs") else { panic!("it should run") };
        assert_eq!((args.cases.len(), args.docs, args.runs), (CASES.len(), Some("docs".into()), 3));
        let error = parse("idle --write-docs docs").err().unwrap().to_string();
        assert!(error.contains("--write-docs"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let Ok(Command::Run(args)) = parse("idle xdp-60b") else { panic!("it should run") };
        assert_eq!(args.cases.iter().map(|case| case.name).collect::<Vec<_>>(), ["idle", "xdp-60b"]);
        assert!(matches!(parse("--help"), Ok(Command::Help)));
        for line in ["idel", "--fast", "--runs", "--runs 0", "--seconds x"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
