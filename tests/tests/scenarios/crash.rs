//! Containers and daemons that die without a word [N5, O6, S2].

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::traffic::ping;
use tests::vswitchd::Vswitchd;
use tests::{Cluster, Place, Station, programs, scenario, wait};

fn ensure_absent(daemon: &Vswitchd, table: &[&str], needle: &str) -> Result<()> {
    let rows = daemon.rows(table)?;
    let found = rows.iter().find(|row| row.to_string().contains(needle));
    ensure!(found.is_none(), "{needle} is in {table:?} of {}: {found:?}", daemon.host().name());
    Ok(())
}

#[test]
fn a_sandbox_killed_with_its_namespace_leaves_nothing_anywhere() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let id = cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        ping::all_answered(&c2, c1.address4()?, 3)?;
        let (address, mac) = (c1.address4()?.to_string(), c1.row["mac"].as_str().context("mac")?.to_owned());
        c1.sandbox.kill9()?;
        wait::until(Duration::from_secs(5), "the endpoint to be gone everywhere", || {
            for daemon in &cluster.daemons {
                for table in ["ports", "neigh", "fdb"] {
                    ensure_absent(daemon, &[table], &mac)?;
                }
                ensure_absent(daemon, &["network", "inspect", "RED"], &mac)?;
            }
            ensure_absent(&cluster.daemons[1], &["peers"], "192.168.77.1")?;
            let held = cluster.daemons[1].rows(&["leases", "RED"])?;
            let held = held.iter().find(|row| row["address"] == address.as_str() && row["state"] == "held");
            ensure!(held.is_none(), "still leased: {held:?}");
            let keys = cluster.consul.keys(&format!("vswitch/v1/endpoints/{id}/"))?;
            ensure!(keys.iter().all(|key| !key.ends_with("/h1")), "{keys:?}");
            Ok(())
        })?;
        // No link is left in the host's namespace but its own and the daemon's, and the name is free again.
        let links = cluster.daemons[0].host().exec(&["ip", "-br", "link"])?;
        let expected = ["lo", "under0", "vsw0"];
        let others = links.lines().filter(|line| !expected.iter().any(|own| line.starts_with(own))).count();
        ensure!(others == 0, "left on h1: {links}");
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        ping::all_answered(&c2, c1.address4()?, 3).map(drop)
    });
}

#[test]
fn a_killed_daemon_finds_its_networks_leases_and_ports_again() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        let id = cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let gone = cluster.attach(0, "RED", "gone", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        cluster.daemons[0].vsctl(&["network", "create", "--subnet", "10.40.0.0/24", "HERE"])?;
        let here = Station::attach(&cluster.daemons[0], "HERE", "here", &[])?;

        cluster.daemons[0].kill9()?;
        // One sandbox dies while nobody watches.
        gone.sandbox.kill9()?;
        cluster.daemons[0].resume()?;

        let daemon = &cluster.daemons[0];
        let rows = daemon.rows(&["network", "ls"])?;
        ensure!(rows.iter().any(|row| row["id"] == id.as_str()), "RED is lost: {rows:?}");
        ensure!(rows.iter().any(|row| row["name"] == "HERE"), "HERE is lost: {rows:?}");
        wait::until(Duration::from_secs(5), "the ports to be back", || {
            let ports = daemon.rows(&["ports"])?;
            let names: Vec<_> = ports.iter().filter_map(|row| row["name"].as_str()).collect();
            ensure!(ports.len() == 2 && names.contains(&"c1") && names.contains(&"here"), "{ports:?}");
            ensure!(ports.iter().all(|row| row["state"] == "up"), "{ports:?}");
            Ok(())
        })?;
        wait::until(Duration::from_secs(5), "traffic to flow again", || {
            ping::all_answered(&c1, c2.address4()?, 2)?;
            ping::all_answered(&c2, c1.address6()?, 2).map(drop)
        })?;
        // Same address, same MAC, and the lease of the dead one is not held any more.
        let link = c1.exec(&["ip", "-o", "address", "show", "eth0"])?;
        ensure!(link.contains(&c1.address4()?.to_string()), "{link}");
        let leases = daemon.rows(&["leases", "RED"])?;
        let dead = gone.row["addresses"][0].as_str().and_then(|a| a.split('/').next()).context("address")?;
        ensure!(!leases.iter().any(|row| row["address"] == dead && row["state"] == "held"), "{leases:?}");
        ensure!(here.exec(&["ip", "-br", "link"])?.contains("eth0"));
        Ok(())
    });
}

#[test]
fn a_daemon_that_is_stopped_is_forgotten_at_once() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        ping::all_answered(&c1, c2.address4()?, 2)?;
        cluster.daemons[1].stop()?;
        wait::until(Duration::from_secs(1), "h2 to leave the peer table", || {
            ensure_absent(&cluster.daemons[0], &["peers"], "192.168.77.2")
        })?;
        cluster.daemons[1].resume()?;
        wait::until(Duration::from_secs(5), "traffic to flow again", || {
            ping::all_answered(&c1, c2.address4()?, 2).map(drop)
        })?;
        Ok(())
    });
}

#[test]
fn a_lost_host_is_forgotten_within_twice_its_session() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let _c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        // Twice the session is Consul's own timer, from the last renewal, and those are 5 s apart. A kill between two
        // leaves the rest of it, and not one second, for all that comes after the timer.
        thread::sleep(Duration::from_millis(2500));
        cluster.daemons[1].kill9()?;
        wait::until(Duration::from_secs(31), "h2 to leave the peer table", || {
            ensure_absent(&cluster.daemons[0], &["peers"], "192.168.77.2")
        })?;
        // Its addresses stay its own: it may only be cut off [I3].
        let leases = cluster.daemons[0].rows(&["leases", "RED"])?;
        let address = c2.address4()?.to_string();
        ensure!(leases.iter().any(|row| row["address"] == address.as_str()), "{leases:?}");
        // And no ghost endpoint blocks the network's removal [N5].
        cluster.daemons[0].vsctl(&["del-port", "c1"])?;
        wait::until(Duration::from_secs(2), "the removal to be accepted", || {
            cluster.daemons[0].vsctl(&["network", "rm", "RED"]).map(drop)
        })?;
        Ok(())
    });
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_a_stale_socket_is_not() {
    scenario(|lab| {
        let h1 = lab.host("h1")?;
        let mut daemon =
            Vswitchd::start_with(&h1, tests::vswitchd::Options { local_only: true, ..Default::default() })?;
        let program = programs::find("vswitchd")?.display().to_string();
        let (state, socket) = (daemon.state_dir().display().to_string(), daemon.socket().display().to_string());
        let argv = [program.as_str(), "--name", "h1", "--state-dir", &state, "--socket", &socket];
        let second = tests::exec::output_in(Some(&h1.netns()?), &argv)?;
        ensure!(!second.status.success(), "a second daemon runs on {state}");
        let said = String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
        ensure!(said.contains(&state) || said.contains(&socket), "the refusal names neither: {said}");
        // The first one is untouched; killed, it leaves a socket that the next start replaces.
        daemon.vsctl(&["show"])?;
        daemon.kill9()?;
        ensure!(daemon.socket().exists());
        daemon.resume().map(drop)
    });
}
