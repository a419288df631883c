//! Real containers by runc and crun, attached by the hook [C2].

use anyhow::{Context, Result, ensure};
use tests::traffic::{ping, tcp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Cluster, Container, Host, Lab, Place, Runtime, scenario, wait};

const NETWORKS: &str = "org.vswitch.networks";
const NAME: &str = "org.vswitch.name";

fn two_containers_ping(runtime: Runtime) {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let run = |host: usize, name: &str, networks: &str| {
            Container::run(lab, runtime, &cluster.daemons[host], name, &[(NETWORKS, networks), (NAME, name)])
        };
        let c1 = run(0, "container1", "RED")?;
        let c2 = run(1, "container2", "RED:ip=10.10.10.50")?;
        let ports = cluster.daemons[1].rows(&["ports"])?;
        ensure!(ports[0]["name"] == "container2" && ports[0]["container_id"] == c2.id(), "{ports:?}");
        c1.exec_inside(&["ping", "-c", "2", "-W", "1", "10.10.10.50"])?;
        tcp::transfer(&c1, &c2, "10.10.10.50".parse()?, 4_000_000)?;
        c2.remove()?;
        ensure!(cluster.daemons[1].rows(&["ports"])?.is_empty());
        c1.remove()?;
        ensure!(cluster.daemons[0].rows(&["ports"])?.is_empty());
        Ok(())
    });
}

#[test]
fn runc_containers_on_two_hosts_reach_each_other() {
    two_containers_ping(Runtime::Runc);
}

#[test]
fn crun_containers_on_two_hosts_reach_each_other() {
    two_containers_ping(Runtime::Crun);
}

fn lone_daemon(lab: &Lab) -> Result<(Host, Vswitchd)> {
    let h1 = lab.host("h1")?;
    let daemon = Vswitchd::start_with(&h1, Options { local_only: true, ..Options::default() })?;
    daemon.vsctl(&["network", "create", "--subnet", "10.30.0.0/24", "GREEN"])?;
    daemon.vsctl(&["network", "create", "--subnet", "10.31.0.0/24", "BROWN"])?;
    Ok((h1, daemon))
}

#[test]
fn two_networks_in_the_annotation_make_two_interfaces() {
    scenario(|lab| {
        let (_h1, daemon) = lone_daemon(lab)?;
        let annotations = [(NETWORKS, "GREEN:alias=a+b;BROWN"), ("org.vswitch.label.tier", "front")];
        let c = Container::run(lab, Runtime::Runc, &daemon, "two", &annotations)?;
        let links = c.exec_inside(&["ip", "address"])?;
        ensure!(links.contains("eth0") && links.contains("10.30.0.2/24"), "{links}");
        ensure!(links.contains("eth1") && links.contains("10.31.0.2/24"), "{links}");
        // Without a name of its own it is known by its id.
        ensure!(daemon.rows(&["ports"])?.iter().all(|row| row["name"] == c.id()));
        // Rules name it by its label, in each network.
        let rule = ["rule", "add", "--network", "BROWN", "--from", "label=tier=front", "deny"];
        ensure!(daemon.json(&rule)?["unknown"].is_null());
        let saved = daemon.vsctl(&["filter", "save", "--network", "BROWN"])?;
        ensure!(saved.contains("-s 10.31.0.2/32") && !saved.contains("10.30."), "{saved}");
        Ok(())
    });
}

#[test]
fn a_failing_attach_fails_the_container_and_says_why() {
    scenario(|lab| {
        let (_h1, daemon) = lone_daemon(lab)?;
        for (networks, why) in
            [("GREEN;NOSUCH", "NOSUCH"), ("GREEN:ip=10.99.0.1", "10.99.0.1"), ("GREEN:colour=blue", "colour")]
        {
            let outcome = Container::run(lab, Runtime::Runc, &daemon, "bad", &[(NETWORKS, networks)]);
            let said = format!("{:#}", outcome.err().with_context(|| format!("{networks} was accepted"))?);
            ensure!(said.contains(why), "{networks}: {said}");
            // What was attached before the failure is gone again.
            ensure!(daemon.rows(&["ports"])?.is_empty());
        }
        Ok(())
    });
}

#[test]
fn a_container_without_annotations_is_left_alone() {
    scenario(|lab| {
        let (_h1, daemon) = lone_daemon(lab)?;
        let c = Container::run(lab, Runtime::Crun, &daemon, "plain", &[])?;
        ensure!(c.exec(&["ip", "-br", "link"])?.lines().count() == 1);
        ensure!(daemon.rows(&["ports"])?.is_empty());
        Ok(())
    });
}

#[test]
fn removal_completes_without_the_daemon_which_then_cleans_up_by_itself() {
    scenario(|lab| {
        let (_h1, mut daemon) = lone_daemon(lab)?;
        let c1 = Container::run(lab, Runtime::Runc, &daemon, "c1", &[(NETWORKS, "GREEN")])?;
        let c2 = Container::run(lab, Runtime::Runc, &daemon, "c2", &[(NETWORKS, "GREEN")])?;
        daemon.kill9()?;
        c1.remove()?;
        daemon.resume()?;
        wait::until(std::time::Duration::from_secs(5), "the removed one to be gone", || {
            let ports = daemon.rows(&["ports"])?;
            ensure!(ports.len() == 1 && ports[0]["container_id"] == c2.id(), "{ports:?}");
            Ok(())
        })?;
        let c3 = Container::run(lab, Runtime::Runc, &daemon, "c3", &[(NETWORKS, "GREEN")])?;
        let at = c2.exec(&["ip", "-4", "-br", "address", "show", "eth0"])?;
        let at = at.split_whitespace().nth(2).and_then(|a| a.split('/').next()).context("no address")?;
        ping::all_answered(&c3, at.parse()?, 3).map(drop)
    });
}
