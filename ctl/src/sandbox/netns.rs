//! Network namespaces: opening one by process or path, and finding the same one again later.
//! Not entering it (see `thread`). Invariant: a [`Netns`] holds its namespace alive, so it lives as long as one
//! operation; what is kept is the [`Reference`], which holds nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use serde::{Deserialize, Serialize};

use super::{Error, thread};

/// Where a namespace was found and which one it was, to find the same one again. It does not keep it alive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// `/proc/PID/ns/net`, or a bind mount of it.
    pub path: PathBuf,
    /// The process whose namespace it is, where one is known.
    pub pid: Option<u32>,
    /// The device number of the namespace's inode.
    pub dev: u64,
    /// Its inode number. The kernel gives the number of a dead namespace to a new one, so alone it proves nothing.
    pub ino: u64,
    /// When the process started, in clock ticks since boot: with it a process that got the same number is told apart.
    #[serde(default)]
    pub started: Option<u64>,
}

/// An open network namespace. Cheap to clone; the last clone lets go of the namespace.
#[derive(Debug, Clone)]
pub struct Netns {
    file: Arc<File>,
    reference: Reference,
}

impl Netns {
    /// Opens the namespace of process `pid`.
    ///
    /// # Errors
    /// [`Error::Gone`] when there is no such process, [`Error::Open`] when the kernel refuses.
    pub fn from_pid(pid: u32) -> Result<Netns, Error> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// Opens the namespace at an absolute path: `/proc/PID/ns/net` or a bind mount such as `/run/netns/NAME`.
    ///
    /// # Errors
    /// [`Error::Gone`] when nothing is there, [`Error::NotANamespace`] when it is something else, [`Error::Open`] when
    /// the kernel refuses.
    pub fn from_path(path: &Path) -> Result<Netns, Error> {
        if !path.is_absolute() {
            // A relative path would mean the daemon's directory, not the caller's.
            return Err(Error::NotANamespace { sandbox: path.display().to_string() });
        }
        Self::open(path)
    }

    /// The daemon's own, in which the host's interfaces are.
    ///
    /// # Errors
    /// [`Error::Open`] when the kernel refuses.
    pub fn own() -> Result<Netns, Error> {
        Self::open(Path::new(thread::OWN))
    }

    /// Opens the namespace of an earlier [`Netns::reference`] again; `None` when it is gone, or when another one, or
    /// another process, is in its place.
    ///
    /// # Errors
    /// [`Error::Open`] when the kernel refuses, so that nobody knows whether it is gone.
    pub fn reopen(reference: &Reference) -> Result<Option<Netns>, Error> {
        match Self::open(&reference.path) {
            Ok(netns) => {
                let found = netns.reference();
                let same = (found.dev, found.ino) == (reference.dev, reference.ino)
                    && (reference.started.is_none() || reference.started == found.started);
                Ok(same.then_some(netns))
            }
            Err(Error::Gone { .. } | Error::NotANamespace { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What to keep in order to [`Netns::reopen`] it.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Whether it is the daemon's own namespace, that is, the sandbox uses the host's network.
    pub fn is_own(&self) -> bool {
        fs::metadata(thread::OWN).is_ok_and(|own| (own.dev(), own.ino()) == (self.reference.dev, self.reference.ino))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn open(path: &Path) -> Result<Netns, Error> {
        let sandbox = || path.display().to_string();
        let failed = |source: io::Error| match source.raw_os_error() {
            // ESRCH: the process ended between the look-up and the opening.
            Some(libc::ENOENT | libc::ESRCH | libc::ENOTDIR) => Error::Gone { sandbox: sandbox() },
            _ => Error::Open { sandbox: sandbox(), source },
        };
        // Looked at before it is opened: opening a device or a FIFO can have effects or wait.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::NotANamespace { sandbox: sandbox() });
        }
        let pid = process_of(path);
        let started = pid.and_then(started);
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
        if !is_network_namespace(&file) {
            return Err(Error::NotANamespace { sandbox: sandbox() });
        }
        let found = file.metadata().map_err(failed)?;
        let reference = Reference { path: path.to_owned(), pid, dev: found.dev(), ino: found.ino(), started };
        Ok(Netns { file: Arc::new(file), reference })
    }
}

/// The process in `/proc/PID/ns/net`.
fn process_of(path: &Path) -> Option<u32> {
    path.to_str()?.strip_prefix("/proc/")?.strip_suffix("/ns/net")?.parse().ok()
}

/// The start time of a process: field 22 of its stat line, counted behind the command, which may hold spaces and
/// parentheses (proc(5)).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = stat.rsplit_once(") ")?;
    // Behind the command the next field is number 3.
    behind.split(' ').nth(22 - 3)?.parse().ok()
}

/// Whether a descriptor is a network namespace. The kernel names such inodes `net:[number]`, but a bind mount by its own
/// path: then entering it is the proof.
fn is_network_namespace(file: &File) -> bool {
    if !fstatfs(file).is_ok_and(|found| found.filesystem_type() == NSFS_MAGIC) {
        return false;
    }
    match fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(target) if target.to_string_lossy().contains(":[") => target.to_string_lossy().starts_with("net:["),
        _ => thread::can_enter(file),
    }
}
