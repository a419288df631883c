//! Ctrl-C and SIGTERM end the bench between two runs, so that everything is dropped as at a normal end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{SigSet, Signal};

static CAME: AtomicBool = AtomicBool::new(false);

/// Catches the signals from now on. Called before any other thread exists: all inherit the blocked mask.
/// Child processes do not, so Ctrl-C ends what it reaches of them and with that the run in progress.
pub(crate) fn watch() -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().context("cannot block signals")?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        while signals.wait().is_ok() {
            if !CAME.swap(true, Ordering::Relaxed) {
                eprintln!("\nbench: interrupted, cleaning up");
            }
        }
    })?;
    Ok(())
}

/// Fails once a signal came.
pub(crate) fn check() -> Result<()> {
    ensure!(!came(), "interrupted");
    Ok(())
}

/// Whether a signal came.
pub(crate) fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}
