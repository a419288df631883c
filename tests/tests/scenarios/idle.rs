//! Idle costs nothing [O7].

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::traffic::ping;
use tests::{Cluster, scenario};

const WINDOW: Duration = Duration::from_secs(6);

#[test]
fn an_idle_daemon_uses_under_half_a_percent_of_a_core() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        ping::all_answered(&c1, c2.address4()?, 3)?;
        // Neighbour discovery of the attach must be over.
        thread::sleep(Duration::from_secs(2));
        let daemon = &cluster.daemons[0];
        let (start, before) = (Instant::now(), (daemon.cpu_time()?, daemon.wakeups()?));
        let sleeper = sleeper()?;
        let seconds = start.elapsed().as_secs_f64();
        let (used, woken) = (daemon.cpu_time()? - before.0, daemon.wakeups()? - before.1);
        let rate = woken as f64 / seconds;
        ensure!(rate < 10.0, "woken {rate:.1} times a second");
        // A virtual machine can be so slow to wake that a program that does nothing but sleep is above the bound.
        let bound = (0.005 * seconds).max(2.0 * sleeper.as_secs_f64());
        ensure!(
            used.as_secs_f64() < bound,
            "{:.2} % of a core ({used:?}, {woken} wake-ups; a bare sleeper: {sleeper:?})",
            used.as_secs_f64() / seconds * 100.0
        );
        Ok(())
    });
}

/// CPU time of a thread that for [`WINDOW`] does no more than wake up twice a second and read a file.
fn sleeper() -> Result<Duration> {
    let own = || -> Result<u64> {
        let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
        Ok(stat.split_whitespace().next().context("schedstat")?.parse()?)
    };
    let (start, before) = (Instant::now(), own()?);
    while start.elapsed() < WINDOW {
        thread::sleep(Duration::from_millis(500));
        own()?;
    }
    Ok(Duration::from_nanos(own()? - before))
}
