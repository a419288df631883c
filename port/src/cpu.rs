//! On which CPU the calling thread runs.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// The number of the CPU that the calling thread runs on.
///
/// # Errors
/// The kernel does not say.
pub fn here() -> io::Result<usize> {
    Ok(sched_getcpu()?)
}

/// The numbers of the CPUs that the calling thread may run on.
///
/// # Errors
/// The kernel has more CPUs than 1,024.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(SELF)?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu) == Ok(true)).collect())
}

/// Those to [`keep_to`] for a thread that may run on `cpus` now: where these are all that the machine has, others that come
/// later as well.
pub fn with_later(cpus: Vec<usize>) -> Vec<usize> {
    match sysconf(SysconfVar::_NPROCESSORS_ONLN) {
        Ok(Some(online)) if cpus.len() as i64 >= online => (0..CpuSet::count()).collect(),
        _ => cpus,
    }
}

/// Keeps the calling thread to these CPUs; when this returns, it is on one of them.
///
/// # Errors
/// None of them is there any more, or the thread's cpuset has none of them.
pub fn keep_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|&cpu| set.set(cpu))?;
    Ok(sched_setaffinity(SELF, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_and_roams_again() {
        std::thread::spawn(|| {
            let all = allowed().unwrap();
            for &cpu in &all {
                keep_to(&[cpu]).unwrap();
                assert_eq!(here().unwrap(), cpu);
                assert_eq!(allowed().unwrap(), [cpu]);
            }
            keep_to(&with_later(all.clone())).unwrap();
            assert_eq!(allowed().unwrap(), all);
        })
        .join()
        .unwrap();
    }
}
