//! The store is away, or loses everything, or is not there yet [S1, S3]: traffic never notices.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::cluster::PREFIX;
use tests::traffic::ping;
use tests::traffic::stream::Stream;
use tests::vswitchd::{Options, Vswitchd};
use tests::{Cluster, Consul, Host, Station, scenario, wait};

/// The packets per second of the stream that must not have a gap.
const RATE: u32 = 1000;

fn store_is(daemon: &Vswitchd, connected: bool) -> Result<()> {
    let show = daemon.json(&["show"])?;
    ensure!(show["store"]["connected"] == connected, "{}", show["store"]);
    Ok(())
}

#[test]
fn thirty_seconds_without_consul_cost_no_packet_and_lose_no_change() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        let _leaving = cluster.attach(0, "RED", "leaving", &[])?;
        let stream = Stream::start(&c1, &c2, c2.address4()?, RATE)?;
        thread::sleep(Duration::from_millis(500));
        cluster.consul.kill9()?;

        wait::until(Duration::from_secs(10), "the daemon to notice", || store_is(&cluster.daemons[0], false))?;
        // What needs no agreement goes on …
        cluster.daemons[0].vsctl(&["network", "create", "--subnet", "10.50.0.0/24", "LOCAL"])?;
        let a = Station::attach(&cluster.daemons[0], "LOCAL", "a", &[])?;
        let b = Station::attach(&cluster.daemons[0], "LOCAL", "b", &[])?;
        ping::all_answered(&a, b.address4()?, 3)?;
        cluster.daemons[0].vsctl(&["del-port", "leaving"])?;
        // … what needs it says why not, and `show` says what waits.
        let said = cluster.daemons[0].vsctl_refused(&["network", "create", "-d", "overlay", "BLUE"])?;
        ensure!(said.contains(":8500"), "the refusal does not name the store: {said}");
        let said = cluster.daemons[0].vsctl_refused(&["network", "inspect", "PERHAPS"])?;
        ensure!(said.contains(":8500") && !said.contains("not found"), "nobody can tell that it is not there: {said}");
        let show = cluster.daemons[0].json(&["show"])?;
        let waiting = show["store"]["waiting"].as_array().context("waiting")?;
        ensure!(!waiting.is_empty(), "nothing waits, says {}", show["store"]);

        thread::sleep(Duration::from_secs(28));
        cluster.consul.resume()?;
        wait::until(Duration::from_secs(15), "h2 to hear of the detach", || {
            store_is(&cluster.daemons[0], true)?;
            let rows = cluster.daemons[1].rows(&["neigh"])?;
            let endpoints = rows.iter().filter(|row| !(row["port"].is_null() && row["vtep"].is_null()));
            ensure!(endpoints.count() == 2, "{rows:?}");
            let show = cluster.daemons[0].json(&["show"])?;
            ensure!(show["store"]["waiting"].as_array().is_some_and(Vec::is_empty), "{}", show["store"]);
            Ok(())
        })?;
        // The session is checked for a while longer: a late expiry would take the rows away.
        thread::sleep(Duration::from_secs(3));
        stream.stop()?.ensure_complete()?;
        ping::all_answered(&c2, c1.address4()?, 3).map(drop)
    });
}

/// A server that comes back leads before it has read all it wrote: its first answers must take nothing away.
#[test]
fn a_store_that_restarts_again_and_again_costs_no_packet() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        let stream = Stream::start(&c1, &c2, c2.address4()?, RATE)?;
        for _ in 0..4 {
            cluster.consul.kill9()?;
            wait::until(Duration::from_secs(10), "the daemons to notice", || {
                cluster.daemons.iter().try_for_each(|daemon| store_is(daemon, false))
            })?;
            cluster.consul.resume()?;
            wait::until(Duration::from_secs(15), "the daemons to find the store", || {
                cluster.daemons.iter().try_for_each(|daemon| store_is(daemon, true))
            })?;
            // Each watch has a rest of its own before it reads again.
            thread::sleep(Duration::from_secs(2));
        }
        stream.stop()?.ensure_complete()?;
        for daemon in &cluster.daemons {
            let events = daemon.rows(&["events"])?;
            let wrong = |kind: &str| ["session_lost", "store_wiped", "host_lost"].contains(&kind);
            let wrong = events.iter().find(|event| event["kind"].as_str().is_some_and(wrong));
            ensure!(wrong.is_none(), "{} took it for a loss: {wrong:?}", daemon.host().name());
        }
        Ok(())
    });
}

#[test]
fn a_wiped_store_is_filled_again_and_no_packet_is_lost() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let id = cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        let before = cluster.consul.keys(PREFIX)?;
        let stream = Stream::start(&c1, &c2, c2.address4()?, RATE)?;
        thread::sleep(Duration::from_millis(300));
        cluster.consul.kv(&["delete", "-recurse", PREFIX])?;
        wait::until(Duration::from_secs(15), "the rows to come back", || {
            let now = cluster.consul.keys(PREFIX)?;
            let missing: Vec<_> = before.iter().filter(|key| !now.contains(key)).collect();
            ensure!(missing.is_empty(), "missing: {missing:?}");
            Ok(())
        })?;
        thread::sleep(Duration::from_secs(1));
        stream.stop()?.ensure_complete()?;
        for daemon in &cluster.daemons {
            let rows = daemon.rows(&["network", "ls"])?;
            ensure!(rows.iter().any(|row| row["id"] == id.as_str()), "RED is lost: {rows:?}");
        }
        // The store works on: a new endpoint gets an address that nobody has.
        let c3 = cluster.attach(1, "RED", "c3", &[])?;
        ensure!(![c1.address4()?, c2.address4()?].contains(&c3.address4()?), "{}", c3.row);
        ping::all_answered(&c1, c3.address4()?, 3).map(drop)
    });
}

#[test]
fn daemons_start_without_their_store_and_join_it_later() {
    scenario(|lab| {
        let hosts = [lab.host("h1")?, lab.host("h2")?];
        let underlay = lab.underlay(&hosts.iter().collect::<Vec<&Host>>(), 1500)?;
        let mut consul = Consul::prepare(underlay.middle());
        let options = Options { store: Some(consul.url(PREFIX)), ..Options::default() };
        let d1 = Vswitchd::start_with(&hosts[0], options.clone())?;
        let d2 = Vswitchd::start_with(&hosts[1], options)?;
        store_is(&d1, false)?;
        d1.vsctl(&["network", "create", "--subnet", "10.50.0.0/24", "LOCAL"])?;
        let a = Station::attach(&d1, "LOCAL", "a", &[])?;
        let b = Station::attach(&d1, "LOCAL", "b", &[])?;
        ping::all_answered(&a, b.address4()?, 3)?;
        let said = d1.vsctl_refused(&["network", "create", "-d", "overlay", "RED"])?;
        ensure!(said.contains(":8500"), "{said}");

        consul.resume()?;
        wait::until(Duration::from_secs(15), "the daemons to find the store", || {
            store_is(&d1, true)?;
            store_is(&d2, true)
        })?;
        let id = d1.vsctl(&["network", "create", "-d", "overlay", "--subnet", "10.10.10.0/24", "RED"])?;
        wait::until(Duration::from_secs(1), "the network on h2", || {
            let rows = d2.rows(&["network", "ls"])?;
            ensure!(rows.iter().any(|row| row["id"] == id.as_str()), "{rows:?}");
            Ok(())
        })?;
        let c1 = Station::attach(&d1, "RED", "c1", &[])?;
        let c2 = Station::attach(&d2, "RED", "c2", &[])?;
        ping::all_answered(&c1, c2.address4()?, 3).map(drop)
    });
}

#[test]
fn a_daemon_restarted_without_its_store_serves_the_networks_it_knew() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 1)?;
        let id = cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(0, "RED", "c2", &[])?;
        cluster.consul.kill9()?;
        cluster.daemons[0].kill9()?;
        cluster.daemons[0].resume()?;
        let rows = cluster.daemons[0].rows(&["network", "ls"])?;
        ensure!(rows.iter().any(|row| row["id"] == id.as_str()), "RED is lost: {rows:?}");
        wait::until(Duration::from_secs(5), "traffic to flow again", || {
            ping::all_answered(&c1, c2.address4()?, 2).map(drop)
        })?;
        Ok(())
    });
}
