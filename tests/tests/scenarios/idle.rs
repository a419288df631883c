//! Idle costs nothing [O7].

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::traffic::ping;
use tests::{Cluster, scenario};

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
        let (start, before) = (Instant::now(), cluster.daemons[0].cpu_time()?);
        thread::sleep(Duration::from_secs(6));
        let used = cluster.daemons[0].cpu_time()? - before;
        let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
        ensure!(share < 0.005, "{:.2} % of a core ({used:?})", share * 100.0);
        Ok(())
    });
}
