//! One vswitchd for one state directory: an advisory lock that the kernel releases with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Error;

/// How long a killed predecessor may take to end: the kernel first closes its links and sockets, maybe thousands.
const PATIENCE: Duration = Duration::from_secs(2);

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Locks `<dir>/lock` and writes our process id into it, for people.
    ///
    /// # Errors
    /// When another process holds it, or the directory does not allow it.
    pub fn take(dir: &Path) -> Result<Lock, Error> {
        Lock::take_within(dir, PATIENCE)
    }

    fn take_within(dir: &Path, patience: Duration) -> Result<Lock, Error> {
        let path = dir.join("lock");
        let failed = |why: String| Error { path: path.clone(), why };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| failed(format!("{error} (choose another directory with --state-dir)")))?;
        let start = Instant::now();
        let locked = loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Err((back, Errno::EWOULDBLOCK)) if start.elapsed() < patience => file = back,
                result => break result,
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut file = locked.map_err(|_| {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            failed(format!(
                "another vswitchd (process {}) uses this directory; stop it, or choose another with --state-dir",
                holder.trim()
            ))
        })?;
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| failed(error.to_string()))?;
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let refused = Lock::take_within(dir.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()) && refused.contains("--state-dir"), "{refused}");
        let ending = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(first);
        });
        assert!(Lock::take(dir.path()).is_ok(), "one that is ending is waited for");
        ending.join().unwrap();
    }
}
