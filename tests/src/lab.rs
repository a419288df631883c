//! One test's world: a directory and unique names. Hosts, daemons and containers made from it clean
//! up when they are dropped, after a panic too; what a killed harness left is swept by the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::container;
use crate::docker;
use crate::exec::tail;
use crate::host::Host;
use crate::outside::Outside;
use crate::podman;
use crate::underlay::Underlay;

/// Below it, one directory per lab, named `PID.STARTTIME-N` after its owner.
const ROOT: &str = "/tmp/vswitch-lab";

/// A scratch world for one test or demo.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    failed: AtomicBool,
}

impl Lab {
    /// Makes the lab's directory, and clears away labs whose owner is dead. Needs root.
    pub fn new() -> Result<Lab> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root: run `make test` (it uses sudo)");
        sweep();
        let pid = std::process::id();
        let dir = Path::new(ROOT).join(format!(
            "{pid}.{}-{}",
            start_time(pid).context("own /proc entry")?,
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        // A lab that ends just now may remove the root between its making and ours.
        let mut made = fs::create_dir_all(&dir);
        for _ in 0..10 {
            if made.is_ok() {
                break;
            }
            made = fs::create_dir_all(&dir);
        }
        made.with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Lab { dir, failed: AtomicBool::new(false) })
    }

    /// The lab's directory: short enough for unix socket paths below it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A part of a name that no other lab on this machine has: `PID-N`.
    pub fn tag(&self) -> String {
        tag(&self.dir)
    }

    /// A host: a namespace with its own directory, and no link but loopback.
    pub fn host(&self, name: &str) -> Result<Host> {
        Host::create(&self.dir, name)
    }

    /// Hosts joined by a bridge in a namespace of its own; see [`Underlay::bridged`].
    pub fn underlay(&self, hosts: &[&Host], mtu: u32) -> Result<Underlay> {
        Underlay::bridged(&self.dir, hosts, mtu)
    }

    /// Two hosts joined by one veth pair and nothing else; see [`Underlay::cable`].
    pub fn cable(&self, a: &Host, b: &Host, mtu: u32) -> Result<()> {
        Underlay::cable(a, b, mtu)
    }

    /// The world outside of these hosts, with their default routes; see [`Outside`].
    pub fn outside(&self, hosts: &[&Host], mtu: u32) -> Result<Outside> {
        Outside::of(hosts, mtu)
    }

    fn print_logs(&self) {
        for (path, text) in logs(&self.dir) {
            eprintln!("---- {} (last lines)\n{}", path.display(), tail(&text, 40));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.failed.load(Ordering::Relaxed) || std::thread::panicking() {
            self.print_logs();
        }
        if let Err(error) = dismantle(&self.dir) {
            eprintln!("lab: {error:#}");
        }
    }
}

/// Runs `body` in a new lab; when it fails, prints the daemons' last log lines.
pub fn run(body: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::new()?;
    let outcome = body(&lab);
    lab.failed.store(outcome.is_err(), Ordering::Relaxed);
    outcome
}

/// A test's body: [`run`], and a panic with the chain of reasons when it fails.
pub fn scenario(body: impl FnOnce(&Lab) -> Result<()>) {
    if let Err(error) = run(body) {
        // The chain alone: where in the harness it was made says nothing about the failure.
        panic!("{error:#}");
    }
}

/// Removes the containers and files of one lab; its processes end with their owners.
pub fn dismantle(dir: &Path) -> Result<()> {
    podman::remove_all(dir);
    container::remove_all(dir, &tag(dir));
    docker::remove_all(dir);
    // A container's mounts may outlive its process for a moment.
    let mut outcome = fs::remove_dir_all(dir);
    for _ in 0..20 {
        match &outcome {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(50));
                outcome = fs::remove_dir_all(dir);
            }
            _ => break,
        }
    }
    // Fails while other labs are there: then it is not the last one.
    let _ = fs::remove_dir(ROOT);
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", dir.display())
        }
        _ => Ok(()),
    }
}

/// Dismantles every lab whose owner no longer runs.
pub fn sweep() {
    for dir in lab_dirs().filter(|dir| !owner_lives(dir)) {
        if let Err(error) = dismantle(&dir) {
            eprintln!("lab: stale {error:#}");
        }
    }
}

fn tag(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let (pid, rest) = name.split_once('.').unwrap_or((&name, ""));
    format!("{pid}-{}", rest.rsplit('-').next().unwrap_or(""))
}

fn lab_dirs() -> impl Iterator<Item = PathBuf> {
    fs::read_dir(ROOT).into_iter().flatten().flatten().map(|e| e.path())
}

fn owner_lives(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let owner = name.split_once('-').map_or(&*name, |(owner, _)| owner);
    owner
        .split_once('.')
        .is_some_and(|(pid, start)| pid.parse().ok().and_then(start_time).is_some_and(|now| now.to_string() == start))
}

/// When a process started, in clock ticks after boot: with the pid, its identity (proc(5), field 22).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn logs(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            // Containers' root file systems hold no logs.
            if entry.file_name() != "rootfs" {
                found.extend(logs(&path));
            }
        } else if path.extension().is_some_and(|e| e == "log") {
            let bytes = fs::read(&path).unwrap_or_default();
            found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}
