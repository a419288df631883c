//! A network namespace held by an open descriptor, and what runs inside it.
//! It has no name in /run/netns: when the last descriptor and the last process are gone, so is it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

/// An open network namespace; clones share the descriptor.
#[derive(Clone, Debug)]
pub struct Netns {
    file: Arc<File>,
}

impl Netns {
    /// Makes a new namespace with its loopback up. Needs root.
    pub fn create() -> Result<Netns> {
        let netns = Netns::bare()?;
        // Addresses are unique here by construction: duplicate address detection only costs time.
        netns.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        netns.sysctl("net.ipv6.conf.all.accept_dad", "0")?;
        crate::exec::run_in(Some(&netns), &["ip", "link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// Makes a new namespace as the kernel makes it, nothing up in it. Needs root.
    pub fn bare() -> Result<Netns> {
        let file = thread::scope(|s| {
            s.spawn(|| -> Result<File> {
                unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace (needs root)")?;
                Ok(File::open("/proc/thread-self/ns/net")?)
            })
            .join()
            .map_err(|_| anyhow!("the thread that makes a namespace panicked"))?
        })?;
        Ok(Netns { file: Arc::new(file) })
    }

    /// Opens the namespace of a process, or any nsfs path.
    pub fn open(path: impl AsRef<Path>) -> Result<Netns> {
        let path = path.as_ref();
        let file = File::open(path).with_context(|| format!("cannot open namespace {}", path.display()))?;
        Ok(Netns { file: Arc::new(file) })
    }

    /// Opens the namespace that the process `pid` lives in.
    pub fn of_pid(pid: u32) -> Result<Netns> {
        Netns::open(format!("/proc/{pid}/ns/net"))
    }

    /// A path by which another process can open the namespace while this one lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// Moves the calling thread into the namespace, for good: only for threads made for it.
    pub(crate) fn join(&self) -> std::io::Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(std::io::Error::from)
    }

    /// Runs `work` on a fresh thread inside the namespace: sockets it opens belong there for good.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|s| {
            s.spawn(|| {
                self.join().context("cannot enter the namespace")?;
                work()
            })
            .join()
            .map_err(|_| anyhow!("a thread inside the namespace panicked"))?
        })
    }

    /// Writes one `net.` sysctl of this namespace; dots separate, as in sysctl(8).
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.enter(|| std::fs::write(&path, value).with_context(|| format!("cannot set {name} to {value}")))
    }
}

/// Anything with a network namespace of its own: a host, a sandbox, a container.
pub trait Place: Sync {
    /// The namespace, opened anew or shared; not to be kept past the place's life.
    fn netns(&self) -> Result<Netns>;

    /// Runs a command there and returns what it printed; a non-zero exit is an error.
    fn exec(&self, argv: &[&str]) -> Result<String> {
        crate::exec::run_in(Some(&self.netns()?), argv)
    }

    /// Opens sockets, or does anything else that belongs there, on a thread inside.
    fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T>
    where
        Self: Sized,
    {
        self.netns()?.enter(work)
    }
}

impl Place for Netns {
    fn netns(&self) -> Result<Netns> {
        Ok(self.clone())
    }
}
