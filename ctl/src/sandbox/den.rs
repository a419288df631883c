//! The network namespace of the daemon's own, in which the switch's ends of veth links are. It has no name and ends with the
//! process, and with it all these links and their other ends: a daemon that was killed leaves none in any container.
//! Nothing there has an address, so that a frame which is not the switch's is nobody's.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use nix::sched::{CloneFlags, unshare};

use super::{Error, thread};

/// Where the namespace of the calling thread is found.
const CALLERS: &str = "/proc/thread-self/ns/net";

static DEN: Mutex<Option<File>> = Mutex::new(None);

/// Moves the calling thread there; the first one makes it. Only for threads of `thread::run`.
pub(super) fn enter() -> Result<(), Error> {
    let mut den = DEN.lock().unwrap_or_else(PoisonError::into_inner);
    let entered = match &*den {
        Some(file) => thread::enter_file(file),
        None => make().map(|file| *den = Some(file)),
    };
    entered.map_err(|source| Error::Enter { sandbox: "of the switch's own".into(), source })
}

fn make() -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    // A kernel without IPv6 has nothing to say there.
    for which in ["default", "all"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
    }
    File::open(CALLERS)
}
