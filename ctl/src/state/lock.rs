//! One vswitchd for one state directory: an advisory lock that the kernel releases with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::Error;

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
        let path = dir.join("lock");
        let failed = |why: String| Error { path: path.clone(), why };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| failed(format!("{error} (choose another directory with --state-dir)")))?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
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
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()) && refused.contains("--state-dir"), "{refused}");
        drop(first);
        assert!(Lock::take(dir.path()).is_ok());
    }
}
