//! Many attaches at once [I3]: no address twice, all reachable, all gone.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tests::traffic::ping;
use tests::{Cluster, Station, scenario, wait};

#[test]
fn sixty_four_parallel_attaches_over_two_hosts() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let id = cluster.overlay("RED", &["--subnet", "10.10.0.0/24"])?;
        let stations = thread::scope(|s| {
            let attaching: Vec<_> = (0..64)
                .map(|n| {
                    let cluster = &cluster;
                    s.spawn(move || cluster.attach(n % 2, "RED", &format!("c{n}"), &[]))
                })
                .collect();
            attaching
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("an attaching thread panicked"))?)
                .collect::<Result<Vec<Station>>>()
        })?;
        let addresses = stations.iter().map(Station::address4).collect::<Result<BTreeSet<_>>>()?;
        ensure!(addresses.len() == 64, "{} different addresses", addresses.len());
        // .1 is the gateway: without a hole, the 64 lowest free ones are .2 to .65.
        let highest = addresses.last().map(ToString::to_string).unwrap_or_default();
        ensure!(highest == "10.10.0.65", "highest address {highest}");

        // One from each host reaches everybody.
        for from in [&stations[0], &stations[1]] {
            for to in &stations {
                ping::all_answered(from, to.address4()?, 1)?;
            }
        }

        thread::scope(|s| {
            let detaching: Vec<_> = stations
                .iter()
                .enumerate()
                .map(|(n, station)| {
                    let daemon = &cluster.daemons[n % 2];
                    s.spawn(move || daemon.vsctl(&["del-port", &station.name]))
                })
                .collect();
            for thread in detaching {
                thread.join().map_err(|_| anyhow!("a detaching thread panicked"))??;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        for daemon in &cluster.daemons {
            wait::until(Duration::from_secs(2), "all of it to be gone", || {
                for table in ["ports", "peers", "neigh"] {
                    let rows = daemon.rows(&[table])?;
                    ensure!(rows.is_empty(), "{table} on {}: {rows:?}", daemon.host().name());
                }
                Ok(())
            })?;
        }
        let leases = cluster.daemons[0].rows(&["leases", "RED"])?;
        ensure!(leases.iter().all(|row| row["state"] != "held"), "{leases:?}");
        let endpoints = cluster.consul.keys(&format!("vswitch/v1/endpoints/{id}/"))?;
        ensure!(endpoints.is_empty(), "{endpoints:?}");
        Ok(())
    });
}
