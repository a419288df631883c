//! Attachments that are interrupted: the daemon killed among 200 of them, and the plugin killed in the middle of one.
//! Whatever was not complete is gone or told, and no address is held twice or for ever [C3, I3, N5].

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cni::{Cni, Pod};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Place, Sandbox, scenario, wait};

/// Containers of the storm.
const PODS: usize = 200;

fn ids(daemon: &Vswitchd) -> Result<BTreeSet<String>> {
    let rows = daemon.rows(&["ports"])?;
    Ok(rows.iter().filter_map(|row| row["container_id"].as_str().map(String::from)).collect())
}

/// Adds all pods at once; those that were added.
fn storm(cni: &Cni, pods: &[Pod], meanwhile: impl FnOnce() -> Result<()>) -> Result<BTreeSet<String>> {
    thread::scope(|scope| {
        let calls: Vec<_> = pods.iter().map(|pod| scope.spawn(|| cni.call("ADD", Some(pod), json!({})))).collect();
        meanwhile()?;
        let mut added = BTreeSet::new();
        for (pod, call) in pods.iter().zip(calls) {
            let (code, answer) = call.join().ok().context("a caller panicked")??;
            match code {
                0 => drop(added.insert(pod.id.clone())),
                _ => ensure!(answer["code"] == 11, "{}: {answer}", pod.id),
            }
        }
        Ok(added)
    })
}

/// Every row is a link with its address, no two rows share one, and nobody else has a link.
fn ensure_whole(daemon: &Vswitchd, pods: &[(Pod, Sandbox)]) -> Result<()> {
    let rows = daemon.rows(&["ports"])?;
    let addresses: BTreeSet<&str> = rows.iter().filter_map(|row| row["addresses"][0].as_str()).collect();
    ensure!(addresses.len() == rows.len(), "an address is held twice: {rows:?}");
    for (pod, sandbox) in pods {
        let links = sandbox.exec(&["ip", "-br", "-4", "address"])?;
        match rows.iter().find(|row| row["container_id"] == pod.id.as_str()) {
            Some(row) => {
                let address = row["addresses"][0].as_str().unwrap_or_default();
                ensure!(links.contains(address) && row["state"] == "up", "{row} has {links}");
            }
            None => ensure!(!links.contains("eth0"), "{} has a link that nobody knows: {links}", pod.id),
        }
    }
    Ok(())
}

fn ensure_leases_are_rows(daemon: &Vswitchd) -> Result<()> {
    wait::until(Duration::from_secs(20), "no address to be held for nobody", || {
        let bare = |text: &Value| text.as_str().and_then(|text| text.split('/').next()).map(String::from);
        let held: BTreeSet<_> = daemon
            .rows(&["leases", "pods"])?
            .iter()
            .filter(|row| row["state"] == "held")
            .filter_map(|row| bare(&row["address"]))
            .collect();
        let used: BTreeSet<_> = daemon.rows(&["ports"])?.iter().filter_map(|row| bare(&row["addresses"][0])).collect();
        ensure!(held == used, "held: {held:?}, used: {used:?}");
        Ok(())
    })
    .map(drop)
}

#[test]
fn a_daemon_killed_among_200_attachments_knows_or_tells_each_of_them() {
    scenario(|lab| {
        let h1 = lab.host("h1")?;
        let _underlay = lab.underlay(&[&h1], 1500)?;
        let mut daemon = Vswitchd::start_with(&h1, Options::default())?;
        let config = json!({"cniVersion": "1.1.0", "name": "pods", "driver": "overlay", "subnet": "10.66.0.0/16"});
        let cni = Cni::of(&daemon, config)?;
        let containers = (0..PODS)
            .map(|n| {
                let sandbox = Sandbox::start(&h1)?;
                Ok((Pod::new(&format!("c{n}"), &sandbox), sandbox))
            })
            .collect::<Result<Vec<(Pod, Sandbox)>>>()?;
        let pods: Vec<Pod> = containers.iter().map(|(pod, _)| pod.clone()).collect();
        let added = storm(&cni, &pods, || {
            wait::until(Duration::from_secs(60), "a third to be attached", || {
                ensure!(ids(&daemon)?.len() >= PODS / 3);
                Ok(())
            })?;
            daemon.kill9()
        })?;
        ensure!(added.len() < PODS, "the storm was over before the daemon was killed");
        daemon.resume()?;
        let known = ids(&daemon)?;
        let lost: Vec<_> = added.difference(&known).collect();
        ensure!(lost.is_empty(), "answered and lost: {lost:?}");
        // What came back is told to the store in a moment.
        wait::until(Duration::from_secs(20), "links to be whole", || ensure_whole(&daemon, &containers))?;
        let told = daemon.rows(&["events"])?;
        for event in told.iter().filter(|event| event["kind"] == "attach_interrupted") {
            let name = event["object"].as_str().unwrap_or_default().trim_start_matches("port ");
            ensure!(!known.contains(name), "{name} is attached, and told as interrupted");
        }
        ensure_leases_are_rows(&daemon)?;

        // The runtime cleans up after each failure, and tries again.
        let again: Vec<Pod> = pods.iter().filter(|pod| !added.contains(&pod.id)).cloned().collect();
        thread::scope(|scope| {
            let calls: Vec<_> = again.iter().map(|pod| scope.spawn(|| cni.done("DEL", Some(pod), json!({})))).collect();
            calls.into_iter().try_for_each(|call| call.join().ok().context("a caller panicked")?.map(drop))
        })?;
        ensure!(storm(&cni, &again, || Ok(()))?.len() == again.len());
        ensure!(ids(&daemon)?.len() == PODS);
        ensure_whole(&daemon, &containers)?;
        cni.done("GC", None, json!({"cni.dev/valid-attachments": []}))?;
        ensure!(ids(&daemon)?.is_empty());
        ensure_whole(&daemon, &containers)?;
        ensure_leases_are_rows(&daemon)
    });
}

#[test]
fn a_plugin_killed_at_any_moment_leaves_nothing_after_its_removal() {
    scenario(|lab| {
        let daemon = Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })?;
        let cni = Cni::of(&daemon, json!({"cniVersion": "1.1.0", "name": "pods", "subnet": "10.67.0.0/16"}))?;
        let sandbox = Sandbox::start(daemon.host())?;
        // From before it has asked until after its answer.
        let mut under_way = 0;
        for step in 0..24 {
            let pod = Pod::new(&format!("c{step}"), &sandbox);
            let mut adding = cni.start("ADD", &pod)?;
            thread::sleep(Duration::from_millis(3 * step));
            under_way += usize::from(adding.check_alive().is_ok());
            adding.kill9()?;
            cni.done("DEL", Some(&pod), json!({}))?;
            let left = daemon.rows(&["ports"])?;
            ensure!(left.is_empty(), "killed after {} ms: {left:?}", 3 * step);
            ensure!(!sandbox.exec(&["ip", "-br", "link"])?.contains("eth0"));
        }
        ensure!(under_way > 0, "every call was over before it was killed");
        ensure_leases_are_rows(&daemon)
    });
}
