//! CPU time that processes other than the bench's own have used: what disturbs a measurement.
//! Kernel threads do not count; on an otherwise idle machine what they do is the bench's. Nor does what a hypervisor takes: no
//! process has that.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// kthreadd, the parent of all kernel threads.
const KERNEL: u32 = 2;

/// What /proc/PID/stat says of a process.
struct Process {
    parent: u32,
    /// CPU time in ticks of 10 ms, with that of its children that have ended.
    ticks: u64,
}

/// Ticks since boot of all processes but this one, its descendants, and kernel threads. A process that ends
/// during a measurement is still in the sum: its parent has inherited its time.
pub(crate) fn ticks() -> Result<u64> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while it is looked at.
        if let Some(process) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse(&stat)) {
            all.insert(pid, process);
        }
    }
    let own = std::process::id();
    Ok(all.iter().filter(|(pid, _)| !descends(&all, **pid, own)).map(|(_, process)| process.ticks).sum())
}

/// Whether the process is, or descends from, `ancestor` or the kernel's.
fn descends(all: &HashMap<u32, Process>, mut pid: u32, ancestor: u32) -> bool {
    // Processes were not all read in one moment, so a chain could be odd; it is never this long.
    for _ in 0..64 {
        if pid == ancestor || pid == KERNEL {
            return true;
        }
        match all.get(&pid) {
            Some(process) => pid = process.parent,
            None => return false,
        }
    }
    false
}

/// The name, in brackets, may itself contain anything.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Counted from 1 in proc(5): field 4 is ppid; 14 to 17 are utime, stime, cutime, cstime. The first here is 3.
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_and_blanks_are_passed_over() {
        let process = parse("7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 100").unwrap();
        assert_eq!((process.parent, process.ticks), (1, 100));
        assert!(parse("7 (a) S 1").is_none());
    }

    #[test]
    fn own_time_is_not_the_others() {
        let before = ticks().unwrap();
        let own = std::process::id();
        let all = HashMap::from([(own, Process { parent: 1, ticks: 5 }), (1, Process { parent: 0, ticks: 7 })]);
        assert!(descends(&all, own, own) && !descends(&all, 1, own));
        assert!(ticks().unwrap() >= before);
    }
}
