//! Limits of the process. The underlay alone may hold a thousand sockets, every container port one descriptor more.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Error;

/// Raises the soft limit of open files to the hard one; returns it. Affects the whole process, and what it starts.
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn raise_open_files() -> Result<u64, Error> {
    let failed = |wanted| move |errno: nix::Error| Error::OpenFiles { wanted, source: errno.into() };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed(0))?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed(hard))?;
    }
    Ok(hard)
}

/// The soft limit of open files; 0 when the kernel does not say.
pub fn open_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

/// Makes the soft limit of open files at least `wanted`, and the hard one too where that is lower and this process may
/// raise it (CAP_SYS_RESOURCE, up to fs.nr_open). Returns the soft limit. Affects the whole process, and what it starts.
///
/// # Errors
/// The limit stays below `wanted`.
pub fn ensure_open_files(wanted: u64) -> Result<u64, Error> {
    let failed = |errno: nix::Error| Error::OpenFiles { wanted, source: errno.into() };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft >= wanted {
        return Ok(soft);
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map_err(failed)?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_becomes_the_hard_one() {
        let limit = raise_open_files().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((soft, hard), (limit, limit));
        assert_eq!(ensure_open_files(limit).unwrap(), limit);
        assert!(ensure_open_files(u64::MAX - 1).is_err(), "beyond fs.nr_open");
        assert_eq!(open_files(), limit);
    }
}
