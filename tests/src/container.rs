//! A real container: runc or crun from Debian, a busybox root file system, and the built `oci-hook`
//! as its createRuntime and poststop hook. It runs detached, without a terminal.

mod bundle;
mod cgroup;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::exec::{self, Process};
use crate::host::Host;
use crate::lab::Lab;
use crate::netns::{Netns, Place};
use crate::vswitchd::Vswitchd;

pub use bundle::Hook;
pub(crate) use bundle::{root, root_file_system};
pub(crate) use cgroup::PREFIX as CGROUP;

/// The OCI runtime that makes a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The reference runtime.
    Runc,
    /// The one podman uses.
    Crun,
}

impl Runtime {
    /// The program's name, which is also the name of its state directory in the lab.
    pub fn program(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
        }
    }

    /// The command line up to the sub-command, with all state below the lab's directory.
    fn argv(self, lab: &Path) -> Vec<String> {
        let root = lab.join(self.program()).display().to_string();
        let call = [self.program(), "--root", &root];
        self.wrapper().iter().chain(&call).map(|s| s.to_string()).collect()
    }

    /// What has to stand before a command line that calls it.
    pub(crate) fn wrapper(self) -> &'static [&'static str] {
        // crun 1.8 takes version 2 beside version 1 for a broken set-up; it sees version 1 alone.
        let hybrid = Path::new("/sys/fs/cgroup/unified").is_dir();
        match self {
            Runtime::Crun if hybrid => {
                &["unshare", "-m", "sh", "-c", "umount /sys/fs/cgroup/unified && exec \"$@\"", "sh"]
            }
            _ => &[],
        }
    }

    fn run(self, lab: &Path, netns: Option<&Netns>, args: &[&str]) -> Result<String> {
        let prefix = self.argv(lab);
        let mut argv: Vec<&str> = prefix.iter().map(String::as_str).collect();
        argv.extend(args);
        exec::run_in(netns, &argv)
    }
}

/// A running container. Dropped, it is killed and removed, its poststop hook run.
#[derive(Debug)]
pub struct Container {
    runtime: Runtime,
    lab: PathBuf,
    netns: Netns,
    id: String,
    pid: u32,
    log: PathBuf,
}

impl Container {
    /// Runs `sleep` in a container on the daemon's host, attached by the hook as the annotations
    /// say. Fails with the runtime's words when the hook refuses.
    pub fn run(
        lab: &Lab,
        runtime: Runtime,
        daemon: &Vswitchd,
        name: &str,
        annotations: &[(&str, &str)],
    ) -> Result<Container> {
        let hook = Hook::of(daemon)?;
        Container::run_with(lab, runtime, daemon.host(), name, annotations, Some(&hook))
    }

    /// Runs `sleep` in a container on a host, with this hook or none.
    pub fn run_with(
        lab: &Lab,
        runtime: Runtime,
        host: &Host,
        name: &str,
        annotations: &[(&str, &str)],
        hook: Option<&Hook>,
    ) -> Result<Container> {
        let id = format!("{name}-{}", lab.tag());
        let dir = lab.dir().join("bundles").join(&id);
        bundle::write(lab.dir(), &dir, &id, annotations, hook)?;
        let log = dir.join("container.log");
        let pid_file = dir.join("pid");
        let netns = host.netns()?;
        let prefix = runtime.argv(lab.dir());
        let (dir_text, pid_text) = (dir.display().to_string(), pid_file.display().to_string());
        let mut argv: Vec<&str> = prefix.iter().map(String::as_str).collect();
        argv.extend(["run", "--detach", "--bundle", &dir_text, "--pid-file", &pid_text, &id]);
        // The container keeps the standard streams, so they are a file, not a pipe to wait on.
        let status = Process::start(Some(&netns), &argv, &[], &log)?.wait()?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        if !status.success() {
            let _ = runtime.run(lab.dir(), Some(&netns), &["delete", "--force", &id]);
            bail!("{} run {id}: {status}: {}", runtime.program(), said.trim_end());
        }
        let pid = fs::read_to_string(&pid_file)
            .with_context(|| format!("{} wrote no pid file: {said}", runtime.program()))?;
        Ok(Container {
            runtime,
            lab: lab.dir().to_owned(),
            netns,
            id,
            pid: pid.trim().parse().context("pid file")?,
            log,
        })
    }

    /// The container's id: the name and the lab's tag.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its first process, as the host sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Runs a command inside, by the runtime.
    pub fn exec_inside(&self, argv: &[&str]) -> Result<String> {
        let mut args = vec!["exec", self.id.as_str()];
        args.extend(argv);
        self.runtime.run(&self.lab, Some(&self.netns), &args)
    }

    /// Kills it and removes it; returns what the runtime printed, hooks' warnings included.
    pub fn remove(self) -> Result<String> {
        let said = self.delete();
        std::mem::forget(self);
        said
    }

    fn delete(&self) -> Result<String> {
        let said = self.runtime.run(&self.lab, Some(&self.netns), &["delete", "--force", &self.id])?;
        Ok(said + &fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Place for Container {
    fn netns(&self) -> Result<Netns> {
        Netns::of_pid(self.pid)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(error) = self.delete() {
            eprintln!("container {}: {error:#}", self.id);
        }
    }
}

/// Removes every container whose state is below the lab's directory, whoever made it, and what is left
/// of those that a runtime killed half-way has not written down yet.
pub(crate) fn remove_all(lab: &Path, tag: &str) {
    for runtime in [Runtime::Runc, Runtime::Crun] {
        if !lab.join(runtime.program()).is_dir() {
            continue;
        }
        let listed = runtime.run(lab, None, &["list", "--format", "json"]).unwrap_or_default();
        let rows: Option<Vec<Value>> = serde_json::from_str(&listed).unwrap_or_default();
        for id in rows.iter().flatten().filter_map(|row| row["id"].as_str()) {
            if let Err(error) = runtime.run(lab, None, &["delete", "--force", id]) {
                eprintln!("container {id}: {error:#}");
            }
        }
    }
    cgroup::remove_all(tag);
}
