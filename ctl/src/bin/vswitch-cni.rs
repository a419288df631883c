//! `vswitch-cni`: called by a container runtime, with CNI_ variables and a network configuration on standard input.
//! All that it decides is in `ctl::cni`. Invariant: standard output is one JSON document or nothing, and every failure
//! is one with its code.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::process::ExitCode;

use ctl::cni::{self, Call, Config, Failure, Verb};
use serde_json::Value;

/// The longest configuration that is read, in bytes.
const LIMIT: u64 = 4 << 20;

fn main() -> ExitCode {
    let mut input = Vec::new();
    let (answer, code) = match run(&mut input) {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(failure) => {
            // For people who read the runtime's log.
            let _ = writeln!(io::stderr(), "vswitch-cni: {failure}");
            (Some(failure.json(&cni::version_of(&input))), ExitCode::FAILURE)
        }
    };
    if let Some(answer) = answer
        && writeln!(io::stdout(), "{answer}").is_err()
    {
        return ExitCode::FAILURE;
    }
    code
}

fn run(input: &mut Vec<u8>) -> Result<Option<Value>, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let call = Call::read(variable);
    // Nothing else says what it may be about, and somebody at a terminal is not waited for.
    if !matches!(&call, Ok(Call { verb: Verb::Version, .. })) && variable("CNI_COMMAND").is_some() {
        let read = io::stdin().lock().take(LIMIT).read_to_end(input);
        read.map_err(|error| Failure::new(cni::INPUT, format!("standard input: {error}")))?;
    }
    let call = call?;
    if call.verb == Verb::Version {
        return Ok(Some(cni::supported()));
    }
    let config = Config::read(input, matches!(call.verb, Verb::Del | Verb::Gc), variable)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(cni::LATER, format!("cannot start: {error}")))?;
    runtime.block_on(cni::run(&call, config))
}
