//! Real containers by runc and crun, attached by the hook [C2].

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::traffic::{ping, tcp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Cluster, Container, Host, Lab, Place, Podman, Runtime, scenario, wait};

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
        wait::until(Duration::from_secs(5), "the removed one to be gone", || {
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

/// The resolv.conf of a container that asks the gateway of this network, as far as it has lines of name servers.
fn ensure_asks(resolver: &str, gateway: &str) -> Result<()> {
    let servers: Vec<&str> = resolver.lines().filter(|line| line.starts_with("nameserver")).collect();
    ensure!(servers == [format!("nameserver {gateway}")], "{resolver}");
    Ok(())
}

#[test]
fn containers_of_one_image_have_their_own_resolvers_names_and_limits() {
    scenario(|lab| {
        let (_h1, daemon) = lone_daemon(lab)?;
        for (runtime, name) in [(Runtime::Runc, "one"), (Runtime::Crun, "two")] {
            // Both share one root file system, which has no /etc.
            let green = "GREEN:hostname=web,rate=10mbit,egress-rate=20mbit,vlan=7";
            let in_green = [(NETWORKS, green), (NAME, "green")];
            let c1 = Container::run(lab, runtime, &daemon, &format!("{name}1"), &in_green)?;
            let c2 =
                Container::run(lab, runtime, &daemon, &format!("{name}2"), &[(NETWORKS, "BROWN"), (NAME, "brown")])?;
            ensure_asks(&c1.exec_inside(&["cat", "/etc/resolv.conf"])?, "10.30.0.1")?;
            ensure_asks(&c2.exec_inside(&["cat", "/etc/resolv.conf"])?, "10.31.0.1")?;
            let row = &daemon.rows(&["ports", "green"])?[0];
            ensure!(row["hostname"] == "web" && row["vlan"] == json!({"access": 7}), "{row}");
            ensure!(row["limits"] == json!({"rate": 10_000_000, "egress_rate": 20_000_000}), "{row}");
            ensure!(daemon.rows(&["ports", "brown"])?[0]["hostname"] == "container", "the configuration's");
            c1.remove()?;
            c2.remove()?;
        }
        // Of the image itself nothing was changed, and nothing of the mounts is left.
        ensure!(fs::read_to_string(lab.dir().join("rootfs/etc/resolv.conf"))?.is_empty());
        ensure!(!fs::read_to_string("/proc/self/mounts")?.contains(&lab.dir().display().to_string()));
        Ok(())
    });
}

#[test]
fn podman_containers_are_attached_by_the_packaged_hooks() {
    scenario(|lab| {
        let (_h1, daemon) = lone_daemon(lab)?;
        let podman = Podman::on(lab, &daemon)?;
        let neighbour = Container::run(lab, Runtime::Runc, &daemon, "plain", &[(NETWORKS, "GREEN"), (NAME, "plain")])?;
        let annotations = [(NETWORKS, "GREEN:alias=www;BROWN"), (NAME, "web"), ("org.vswitch.publish", "18090:80")];
        let web = podman.run("web", &annotations)?;
        let rows = daemon.rows(&["ports", "web"])?;
        ensure!(rows.len() == 2 && rows[0]["aliases"] == json!(["www"]), "{rows:?}");
        ensure!(rows[0]["published"][0]["host_port"] == 18090, "{rows:?}");
        let links = podman.exec("web", &["ip", "address"])?;
        ensure!(links.contains("10.30.0.3/24") && links.contains("10.31.0.2/24"), "{links}");
        let resolver = podman.exec("web", &["cat", "/etc/resolv.conf"])?;
        ensure!(resolver.contains("nameserver 10.30.0.1"), "{resolver}");
        tcp::transfer(&neighbour, &web, "10.30.0.3".parse()?, 1_000_000)?;
        drop(web);
        podman.remove("web")?;
        ensure!(daemon.rows(&["ports"])?.len() == 1 && daemon.rows(&["publish", "ls"])?.is_empty());
        // Without the annotation the hook is not even called.
        podman.run("alone", &[])?;
        ensure!(podman.exec("alone", &["ip", "-o", "link"])?.lines().count() == 1);
        let refused = podman.run("bad", &[(NETWORKS, "NOSUCH")]).err().context("NOSUCH was accepted")?;
        ensure!(format!("{refused:#}").contains("NOSUCH"), "{refused:#}");
        Ok(())
    });
}

#[test]
fn a_hundred_starts_and_stops_leave_nothing() {
    scenario(|lab| {
        let h1 = lab.host("h1")?;
        let daemon = Vswitchd::start_with(&h1, Options { local_only: true, ..Options::default() })?;
        daemon.vsctl(&["network", "create", "--subnet", "10.32.0.0/22", "GREEN"])?;
        let annotations = |n: usize| format!("GREEN:alias=alias{n}");
        // One before, so that what is made once is there.
        let first = Container::run(lab, Runtime::Runc, &daemon, "first", &[(NETWORKS, "GREEN")])?;
        first.remove()?;
        let pid = daemon.pid().context("the daemon")?;
        let count = |what: &str| -> Result<usize> { Ok(fs::read_dir(format!("/proc/{pid}/{what}"))?.count()) };
        let links = || -> Result<usize> { Ok(h1.exec(&["ip", "-o", "link"])?.lines().count()) };
        let before = (count("fd")?, links()?);
        std::thread::scope(|scope| {
            let runs = [Runtime::Runc, Runtime::Crun].map(|runtime| {
                let (daemon, annotations) = (&daemon, &annotations);
                scope.spawn(move || -> Result<()> {
                    for n in 0..50 {
                        let (name, networks) = (format!("{}{n}", runtime.program()), annotations(n));
                        let asked = [(NETWORKS, &*networks), ("org.vswitch.publish", "80/tcp")];
                        let container = Container::run(lab, runtime, daemon, &name, &asked)?;
                        let row = &daemon.rows(&["ports", container.id()])?[0];
                        ensure!(row["state"] == "up" && !row["published"].is_null(), "{row}");
                        let said = container.remove()?;
                        ensure!(said.trim().is_empty(), "{said}");
                    }
                    Ok(())
                })
            });
            runs.into_iter().try_for_each(|run| run.join().ok().context("a runner panicked")?)
        })?;
        wait::until(Duration::from_secs(10), "everything to be closed", || {
            let after = (count("fd")?, links()?);
            // The first one's may not all have been closed when they were counted.
            let grown = after.0 > before.0 || after.1 > before.1;
            ensure!(!grown, "descriptors and links: {before:?} before, {after:?} after");
            Ok(())
        })?;
        for table in [&["ports"][..], &["publish", "ls"], &["fdb"]] {
            let rows = daemon.rows(table)?;
            ensure!(rows.is_empty(), "{table:?}: {rows:?}");
        }
        let held = daemon.rows(&["leases", "GREEN"])?;
        ensure!(held.iter().all(|row| row["state"] == "resting"), "{held:?}");
        // Threads of attachments end with them.
        let threads = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
        let sandbox = threads
            .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == "sandbox"));
        ensure!(sandbox.count() == 0, "a thread of an attachment is left");
        Ok(())
    });
}
