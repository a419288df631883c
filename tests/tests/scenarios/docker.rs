//! A real engine of Docker on a host of the switch: what people do with containers and networks, restarts of either
//! daemon, and that nothing is left. Where Docker cannot run each says so.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Docker, Lab, Place, scenario, wait};

const SOON: Duration = Duration::from_secs(15);
const SERVE: [&str; 6] = ["nc", "-ll", "-p", "80", "-e", "hostname"];

fn with_docker(body: impl FnOnce(&Lab) -> Result<()>) {
    match Docker::missing() {
        Some(why) => eprintln!("skipped: {why}"),
        None => scenario(body),
    }
}

/// Host `h1` with both daemons, the switch's first.
fn host(lab: &Lab) -> Result<(Docker, Vswitchd)> {
    let mut docker = Docker::prepare(lab, &lab.host("h1")?, &[])?;
    let daemon = docker.vswitchd(Options { local_only: true, ..Options::default() })?;
    docker.resume()?;
    docker.import()?;
    Ok((docker, daemon))
}

fn create(docker: &Docker, name: &str, flags: &[&str]) -> Result<String> {
    let args = ["network", "create", "-d", "vswitch", "--ipam-driver", "vswitch"];
    docker.run(&[&args[..], flags, &[name]].concat())
}

/// Waits until the switch knows these containers, by name and network, and where each is.
fn known(daemon: &Vswitchd, expected: &[(&str, &str)]) -> Result<()> {
    wait::until(SOON, &format!("ports {expected:?}"), || {
        let rows = daemon.rows(&["ports"])?;
        ensure!(rows.len() == expected.len(), "{rows:?}");
        for (name, network) in expected {
            let row = rows.iter().find(|row| row["name"] == *name && row["network"] == *network);
            let row = row.with_context(|| format!("no {name} in {network}: {rows:?}"))?;
            ensure!(row["ifname"].as_str().is_some_and(|ifname| ifname.starts_with("eth")), "not located: {row}");
        }
        Ok(())
    })
    .map(drop)
}

fn pings(docker: &Docker, from: &str, to: &str) -> Result<()> {
    wait::until(SOON, &format!("a ping from {from} to {to}"), || {
        docker.exec(from, &["ping", "-c", "1", "-W", "1", to]).map(drop)
    })
    .map(drop)
}

#[test]
fn what_people_do_with_containers_and_networks() {
    with_docker(|lab| {
        let (docker, daemon) = host(lab)?;
        create(&docker, "work", &["--subnet", "10.41.0.0/24", "-o", "vswitch.name=WORK"])?;
        create(&docker, "back", &["--subnet", "10.42.0.0/24", "--internal", "-o", "vswitch.name=BACK"])?;
        docker.container("web", &["--network", "work", "--network-alias", "www", "-p", "8080:80"], &SERVE)?;
        let fixed = ["--network", "work", "--ip", "10.41.0.77", "--mac-address", "02:42:aa:bb:cc:dd"];
        docker.container("db", &fixed, &[])?;
        known(&daemon, &[("web", "WORK"), ("db", "WORK")])?;
        pings(&docker, "web", "db")?;
        let link = docker.exec("db", &["ip", "address", "show", "eth0"])?;
        ensure!(link.contains("10.41.0.77/24") && link.contains("02:42:aa:bb:cc:dd"), "{link}");
        let routes = docker.exec("db", &["ip", "route"])?;
        ensure!(routes.contains("default via 10.41.0.1"), "{routes}");

        // The address is taken, and so is the port; who has them is said.
        let why = docker.refused(&["run", "--rm", "--network", "work", "--ip", "10.41.0.77", "busybox", "true"])?;
        ensure!(why.contains("10.41.0.77 is in use") && why.contains("db"), "{why}");
        let why = docker.refused(&["run", "--rm", "--network", "work", "-p", "8080:80", "busybox", "true"])?;
        ensure!(why.contains("8080") && why.contains("web"), "{why}");
        let answer = || daemon.host().exec(&["busybox", "nc", "-w", "5", "127.0.0.1", "8080"]);
        ensure!(!answer()?.is_empty());

        // A second network for a running container, without a way out, and back.
        docker.run(&["network", "connect", "--alias", "store", "back", "db"])?;
        docker.run(&["network", "connect", "back", "web"])?;
        known(&daemon, &[("web", "WORK"), ("db", "WORK"), ("web", "BACK"), ("db", "BACK")])?;
        pings(&docker, "web", "store")?;
        docker.run(&["network", "disconnect", "work", "db"])?;
        let routes = docker.exec("db", &["ip", "route"])?;
        ensure!(!routes.contains("default"), "{routes}");
        docker.run(&["network", "connect", "work", "db"])?;
        docker.run(&["network", "disconnect", "back", "db"])?;
        let inspected = docker.inspect("work")?;
        ensure!(inspected["Containers"].as_object().is_some_and(|all| all.len() == 2), "{inspected}");

        // Renamed, stopped and started, its ports go with it.
        docker.run(&["rename", "web", "shop"])?;
        known(&daemon, &[("shop", "WORK"), ("shop", "BACK"), ("db", "WORK")])?;
        docker.run(&["restart", "-t", "0", "shop"])?;
        known(&daemon, &[("shop", "WORK"), ("shop", "BACK"), ("db", "WORK")])?;
        wait::until(SOON, "an answer at the published port", || {
            ensure!(!answer()?.is_empty());
            Ok(())
        })?;
        ensure!(docker.refused(&["network", "rm", "work"])?.contains("active endpoints"));
        docker.run(&["rm", "-f", "shop", "db"])?;
        known(&daemon, &[])?;
        ensure!(daemon.rows(&["publish", "ls"])?.is_empty());
        ensure!(!daemon.host().exec(&["ip", "-o", "link"])?.contains("alias vswitch:"));
        let leases = daemon.rows(&["leases", "WORK"])?;
        ensure!(leases.iter().all(|lease| lease["state"] == "resting"), "{leases:?}");
        docker.run(&["network", "prune", "-f"])?;
        let left = daemon.rows(&["network", "ls"])?;
        ensure!(left.iter().all(|row| row["name"] != "WORK" && row["name"] != "BACK"), "{left:?}");
        Ok(())
    });
}

#[test]
fn networks_that_are_there_and_other_address_managements() {
    with_docker(|lab| {
        let (docker, daemon) = host(lab)?;
        let both = ["network", "create", "--subnet", "10.43.0.0/24", "--subnet", "fd43::/64", "LAN"];
        daemon.vsctl(&both)?;
        let lan = ["-o", "vswitch.network=LAN", "--ipam-opt", "vswitch.network=LAN"];
        // Docker takes wishes for addresses only where the subnets were named.
        let subnets = ["--ipv6", "--subnet", "10.43.0.0/24", "--subnet", "fd43::/64"];
        create(&docker, "lan", &[&lan[..], &subnets].concat())?;
        docker.container("both", &["--network", "lan", "--ip6", "fd43::77"], &[])?;
        let addresses = docker.exec("both", &["ip", "-o", "address", "show", "eth0"])?;
        ensure!(addresses.contains("10.43.0.2/24") && addresses.contains("fd43::77/64"), "{addresses}");
        // One network, whoever attaches: a process that Docker knows nothing of.
        let sandbox = tests::Station::attach(&daemon, "LAN", "other", &[])?;
        pings(&docker, "both", &sandbox.address4()?.to_string())?;
        pings(&docker, "both", &sandbox.address6()?.to_string())?;
        ensure!(create(&docker, "x", &["--ipam-opt", "vswitch.network=NONE"]).is_err());
        docker.run(&["rm", "-f", "both"])?;
        docker.run(&["network", "rm", "lan"])?;
        daemon.vsctl(&["network", "inspect", "LAN"])?;

        docker.run(&["network", "create", "-d", "vswitch", "--subnet", "10.44.0.0/24", "plain"])?;
        let said = docker.run(&["run", "--rm", "--network", "plain", "busybox", "ip", "address", "show", "eth0"])?;
        ensure!(said.contains("10.44.0.2/24"), "{said}");
        docker.run(&["network", "create", "-d", "vswitch", "--ipam-driver", "null", "ours"])?;
        let said = docker.run(&["run", "--rm", "--network", "ours", "busybox", "ip", "address", "show", "eth0"])?;
        ensure!(said.contains("inet 172."), "{said}");
        Ok(())
    });
}

#[test]
fn restarts_of_either_daemon() {
    with_docker(|lab| {
        let (mut docker, mut daemon) = host(lab)?;
        create(&docker, "work", &["--subnet", "10.45.0.0/24", "-o", "vswitch.name=WORK"])?;
        create(&docker, "more", &["--subnet", "10.46.0.0/24", "-o", "vswitch.name=MORE"])?;
        let always = ["--restart", "always", "--network", "work"];
        docker.container("web", &[&always[..], &["--ip", "10.45.0.50", "-p", "8081:80"]].concat(), &SERVE)?;
        docker.container("db", &always, &[])?;
        docker.run(&["network", "connect", "more", "db"])?;
        // Addresses of Docker's own choice: the same again after a crash.
        docker.run(&[
            "network",
            "create",
            "-d",
            "vswitch",
            "--subnet",
            "10.47.0.0/24",
            "-o",
            "vswitch.name=OWN",
            "own",
        ])?;
        docker.container("plain", &["--restart", "always", "--network", "own"], &[])?;
        let all = [("web", "WORK"), ("db", "WORK"), ("db", "MORE"), ("plain", "OWN")];
        let works = |docker: &Docker, daemon: &Vswitchd| -> Result<()> {
            known(daemon, &all)?;
            pings(docker, "db", "web")?;
            wait::until(SOON, "an answer at the published port", || {
                ensure!(!daemon.host().exec(&["busybox", "nc", "-w", "5", "127.0.0.1", "8081"])?.is_empty());
                Ok(())
            })?;
            Ok(())
        };
        works(&docker, &daemon)?;
        let before = docker.exec("db", &["ip", "route"])?;

        // The switch, killed and in order: the same links come back to the same containers.
        daemon.kill9()?;
        daemon.resume()?;
        works(&docker, &daemon)?;
        let after = docker.exec("db", &["ip", "route"])?;
        ensure!(after.lines().next() == before.lines().next(), "{before}\n{after}");
        daemon.stop()?;
        daemon.resume()?;
        works(&docker, &daemon)?;

        // The engine, killed: it starts its containers again, and drops what it had.
        docker.kill9()?;
        docker.resume()?;
        works(&docker, &daemon)?;
        docker.stop()?;
        docker.resume()?;
        works(&docker, &daemon)?;

        // Both, as after a power cut: the containers' namespaces are gone, too.
        docker.stop()?;
        daemon.kill9()?;
        daemon.resume()?;
        docker.resume()?;
        works(&docker, &daemon)?;

        // A container that ends while the switch is away is cleaned up after.
        daemon.kill9()?;
        let pid = docker.inspect("db")?["State"]["Pid"].to_string();
        daemon.host().exec(&["kill", "-9", &pid])?;
        daemon.resume()?;
        docker.run(&["rm", "-f", "db", "web", "plain"])?;
        known(&daemon, &[])?;
        wait::until(SOON, "addresses to be given back", || {
            let leases = daemon.rows(&["leases", "WORK"])?;
            ensure!(leases.iter().all(|lease| lease["state"] == "resting"), "{leases:?}");
            Ok(())
        })?;
        docker.run(&["network", "rm", "work", "more", "own"]).map(drop)
    });
}
