//! Control groups that a runtime made and did not live to remove. Version 1 has a tree for each
//! controller, version 2 one tree; a container's group is at the top of each.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How the groups of all labs' containers begin; the container's id, which ends in the lab's tag, follows.
pub(crate) const PREFIX: &str = "vswitch-lab-";

const ROOT: &str = "/sys/fs/cgroup";

/// Kills what still runs in the groups of one lab, and removes them.
pub(super) fn remove_all(tag: &str) {
    let end = format!("-{tag}");
    for group in groups() {
        let name = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && name.ends_with(&end) {
            remove(&group);
        }
    }
}

fn groups() -> Vec<PathBuf> {
    let top = children(Path::new(ROOT));
    let below = top.iter().flat_map(|tree| children(tree)).collect::<Vec<_>>();
    top.into_iter().chain(below).collect()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path()).collect()
}

fn remove(group: &Path) {
    // An engine's containers have groups of their own below its own.
    children(group).iter().for_each(|child| remove(child));
    for _ in 0..40 {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // Refused while a member is still ending.
        if fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    eprintln!("control group {}: cannot be removed", group.display());
}
