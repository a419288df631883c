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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_becomes_the_hard_one() {
        let limit = raise_open_files().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((soft, hard), (limit, limit));
    }
}
