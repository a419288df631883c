//! `make demo`: one network, real containers, on two hosts with Consul or on one host without a server.
//! The show runs in a child process; this one waits for it, and cleans up after it however it ends.
#![forbid(unsafe_code)]

mod print;
mod show;

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use tests::lab;

/// What Ctrl-C gives in a shell.
const INTERRUPTED: u8 = 130;

const USAGE: &str = "usage: demo [--store consul|file]";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["--on-stage", "consul"] => return act(show::two_hosts),
        ["--on-stage", "file"] => return act(show::one_host),
        [] => direct("consul"),
        ["--store", store @ ("consul" | "file")] => direct(store),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("demo: {error:#}");
        ExitCode::FAILURE
    })
}

fn act(show: fn(&lab::Lab) -> Result<()>) -> ExitCode {
    // A mask outlives fork and exec: daemons that inherited this one's would not hear that they should end.
    match unblock().and_then(|()| lab::run(show)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn unblock() -> Result<()> {
    SigSet::all().thread_unblock().context("cannot unblock signals")
}

/// Runs the show as a child. A signal kills it and all its daemons at once (they follow their parent);
/// what needs undoing is undone as for any harness that was killed.
fn direct(store: &str) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("network namespaces need root: run `make demo` (it uses sudo)");
    }
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    // Blocked before the child exists, so none is lost.
    signals.thread_block().context("cannot block signals")?;
    let mut child = Command::new(env::current_exe()?).args(["--on-stage", store]).spawn()?;
    let code = loop {
        let signal = signals.wait()?;
        if let Some(status) = child.try_wait()? {
            // Ctrl-C reaches the whole process group: the child may be quicker to end.
            break status.code().map_or(INTERRUPTED, |code| code as u8);
        }
        if signal != Signal::SIGCHLD {
            child.kill()?;
            child.wait()?;
            break INTERRUPTED;
        }
    };
    if code == INTERRUPTED {
        eprintln!("\ndemo: interrupted, cleaning up");
    }
    lab::sweep();
    Ok(ExitCode::from(code))
}
