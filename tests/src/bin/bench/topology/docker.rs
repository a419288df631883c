//! The peer Docker: engines with networks of their own. On two hosts they are a swarm with an attachable overlay; on one it is
//! the bridge that every engine comes with, and its published ports.

use anyhow::{Context, Result, ensure};
use tests::{Docker, Host, Lab};

use super::{A, B, CONNECTIONS, Edge, GATEWAY, STREAM, SUBNET, Side, kernel};

const NETWORK: &str = "bench";
/// Where the swarm finds addresses for itself, apart from the containers'.
const RANGE: &str = "10.10.10.128/25";

/// A container on each of two hosts.
pub(crate) fn overlay(lab: &Lab) -> Result<Side> {
    possible()?;
    let (one, two) = (lab.host("docker8")?, lab.host("docker9")?);
    lab.cable(&one, &two, 1500)?;
    let (first, second) = (engine(lab, &one, &[])?, engine(lab, &two, &[])?);
    let (manager, worker) = (one.address4().to_string(), two.address4().to_string());
    first.run(&["swarm", "init", "--advertise-addr", &manager])?;
    let token = first.run(&["swarm", "join-token", "--quiet", "worker"])?;
    second.run(&["swarm", "join", "--advertise-addr", &worker, "--token", &token, &manager])?;
    let create = ["network", "create", "--driver", "overlay", "--attachable", "--subnet", SUBNET, "--ip-range", RANGE];
    first.run(&[&create[..], &["--gateway", "10.10.10.129", NETWORK]].concat())?;
    for (docker, name, address) in [(&first, "one", A), (&second, "two", B)] {
        docker.container(name, &["--network", NETWORK, "--ip", &address.to_string()], &[])?;
    }
    // The bridge of an overlay is in a namespace that the engine keeps for it.
    for (docker, host) in [(&first, &one), (&second, &two)] {
        let all = host.dir().join("exec/netns/1-*");
        let still = format!("nsenter --net=$netns sysctl -qw {}=0", kernel::CALL_IPTABLES);
        let each = format!("for netns in {}; do {still}; done", all.display());
        docker.inside(&["sh", "-c", &format!("[ ! -e /proc/sys/net/bridge ] || {{ {each}; }}")])?;
    }
    let (sender, receiver) = (first.netns("one")?, second.netns("two")?);
    Side::new(sender, receiver, vec![one.clone(), two], &one, Box::new((second, first)))
}

/// A container on an engine's own bridge, with two published ports.
pub(crate) fn edge(lab: &Lab) -> Result<Edge> {
    possible()?;
    let host = lab.host("docker10")?;
    let outside = lab.outside(&[&host], 1500)?;
    let docker = engine(lab, &host, &["--bip", &format!("{GATEWAY}/24")])?;
    let [stream, connections] = [STREAM, CONNECTIONS].map(|port| format!("{port}:{port}"));
    docker.container("box", &["--publish", &stream, "--publish", &connections], &[])?;
    let row = docker.inspect("box")?;
    let address = row["NetworkSettings"]["IPAddress"].as_str().context("it has no address")?;
    ensure!(address == A.to_string(), "Docker gave the container {address}");
    let container = docker.netns("box")?;
    Edge::new(container, outside, host, Box::new(docker))
}

fn engine(lab: &Lab, host: &Host, flags: &[&str]) -> Result<Docker> {
    let docker = Docker::whole(lab, host, flags)?;
    kernel::no_netfilter(host)?;
    Ok(docker)
}

fn possible() -> Result<()> {
    match Docker::missing() {
        Some(reason) => anyhow::bail!(reason),
        None => Ok(()),
    }
}
