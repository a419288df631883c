//! On which CPU the calling thread runs.

use std::io;

pub use nix::sched::CpuSet;
use nix::sched::{sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Keeps the calling thread on the CPU that it runs on. Returns the CPUs that it was allowed, for [`roam`]; `None`: it has
/// no choice anyway.
///
/// # Errors
/// The kernel has more CPUs than 1,024, or took this one away just now.
pub fn stay() -> io::Result<Option<CpuSet>> {
    let allowed = sched_getaffinity(SELF)?;
    if (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu) == Ok(true)).nth(1).is_none() {
        return Ok(None);
    }
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    sched_setaffinity(SELF, &here)?;
    Ok(Some(allowed))
}

/// Keeps the calling thread on another of `allowed`: the one after the CPU that it runs on.
///
/// # Errors
/// The CPU is not there any more.
pub fn move_on(allowed: &CpuSet) -> io::Result<()> {
    let here = sched_getcpu()?;
    let after = (here + 1..CpuSet::count()).chain(0..here);
    let Some(next) = { after }.find(|&cpu| allowed.is_set(cpu) == Ok(true)) else { return Ok(()) };
    let mut there = CpuSet::new();
    there.set(next)?;
    Ok(sched_setaffinity(SELF, &there)?)
}

/// Lets the calling thread run on any of `allowed`.
///
/// # Errors
/// None of them is there any more.
pub fn roam(allowed: &CpuSet) -> io::Result<()> {
    Ok(sched_setaffinity(SELF, allowed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_and_roams_again() {
        std::thread::spawn(|| {
            let before = sched_getaffinity(SELF).unwrap();
            let Some(allowed) = stay().unwrap() else { return };
            let here = sched_getaffinity(SELF).unwrap();
            let cpus = (0..CpuSet::count()).filter(|&cpu| here.is_set(cpu).unwrap());
            assert_eq!(cpus.collect::<Vec<_>>(), [sched_getcpu().unwrap()]);
            assert_eq!(stay().unwrap(), None, "there is no choice left");
            let left = sched_getcpu().unwrap();
            move_on(&allowed).unwrap();
            assert_ne!(sched_getcpu().unwrap(), left);
            roam(&allowed).unwrap();
            assert_eq!(sched_getaffinity(SELF).unwrap(), before);
        })
        .join()
        .unwrap();
    }
}
