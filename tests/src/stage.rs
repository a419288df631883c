//! Shows on a terminal: one runs in a child process, and who started it waits, and cleans up after it however it ends.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

use crate::lab;

/// What Ctrl-C gives in a shell.
const INTERRUPTED: u8 = 130;

/// The show itself, in the child. `name` is the program's.
pub fn act(name: &str, show: fn(&lab::Lab) -> Result<()>) -> ExitCode {
    // A mask outlives fork and exec: daemons that inherited this one's would not hear that they should end.
    ended(name, unblock().and_then(|()| lab::run(show)).map(|()| ExitCode::SUCCESS))
}

/// Runs the show as a child, which is this program with these words.
pub fn direct(name: &str, words: &[&str]) -> ExitCode {
    ended(name, run(name, words))
}

fn ended(name: &str, outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("{name}: {error:#}");
        ExitCode::FAILURE
    })
}

fn unblock() -> Result<()> {
    SigSet::all().thread_unblock().context("cannot unblock signals")
}

/// Runs the show as a child. A signal kills it and all its daemons at once (they follow their parent);
/// what needs undoing is undone as for any harness that was killed.
fn run(name: &str, words: &[&str]) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("network namespaces need root: run `make {name}` (it uses sudo)");
    }
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    // Blocked before the child exists, so none is lost.
    signals.thread_block().context("cannot block signals")?;
    let mut child = Command::new(env::current_exe()?).args(words).spawn()?;
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
        eprintln!("\n{name}: interrupted, cleaning up");
    }
    lab::sweep();
    Ok(ExitCode::from(code))
}
