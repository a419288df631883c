//! The switch: real daemons with their embedded store, containers attached as an operator would.

use std::net::Ipv4Addr;

use anyhow::Result;
use tests::vswitchd::Options;
use tests::{Host, Lab, Place, Station, Vswitchd};

use super::{A, B, CONNECTIONS, Edge, STREAM, SUBNET, Side, TUNNEL_MTU, VNI};

const NETWORK: &str = "RED";

/// Two containers on one host.
pub(crate) fn local(lab: &Lab) -> Result<Side> {
    let host = lab.host("ours1")?;
    let daemon = alone(&host)?;
    let a = attach(&daemon, "a", A)?;
    let b = attach(&daemon, "b", B)?;
    let (sender, receiver) = (a.netns()?, b.netns()?);
    Side::new(sender, receiver, Vec::new(), &host, Box::new((a, b, daemon)))
}

/// Two containers on one host, on veth links whose other ends the switch has by AF_XDP.
pub(crate) fn xdp(lab: &Lab) -> Result<Side> {
    let host = lab.host("ours12")?;
    let daemon = alone(&host)?;
    let attach = |name: &str, address: Ipv4Addr| {
        Station::attach(&daemon, NETWORK, name, &["--ip", &address.to_string(), "--type", "veth"])
    };
    let (a, b) = (attach("a", A)?, attach("b", B)?);
    let (sender, receiver) = (a.netns()?, b.netns()?);
    Side::new(sender, receiver, Vec::new(), &host, Box::new((a, b, daemon)))
}

/// A container on each of two hosts. The hosts are each other's static peers: a store that both share would
/// cost CPU time beside the switch's, and decides nothing about a frame.
pub(crate) fn tunnel(lab: &Lab) -> Result<Side> {
    let (one, two) = (lab.host("ours2")?, lab.host("ours3")?);
    lab.cable(&one, &two, 1500)?;
    let daemon = |host: &Host, other: &Host| -> Result<Vswitchd> {
        let daemon = Vswitchd::start_with(host, Options::default())?;
        let (vni, mtu) = (VNI.to_string(), TUNNEL_MTU.to_string());
        let create = ["network", "create", "-d", "overlay", "--subnet", SUBNET, "--vni", &vni, "--mtu", &mtu, NETWORK];
        daemon.vsctl(&create)?;
        daemon.vsctl(&["peers", "add", NETWORK, &other.address4().to_string()])?;
        Ok(daemon)
    };
    let (daemon_one, daemon_two) = (daemon(&one, &two)?, daemon(&two, &one)?);
    let (a, b) = (attach(&daemon_one, "a", A)?, attach(&daemon_two, "b", B)?);
    let (sender, receiver) = (a.netns()?, b.netns()?);
    let alive = Box::new((a, b, daemon_one, daemon_two));
    Side::new(sender, receiver, vec![one.clone(), two], &one, alive)
}

/// A container with a way out, and two ports of the host published for it.
pub(crate) fn edge(lab: &Lab) -> Result<Edge> {
    let host = lab.host("ours4")?;
    let outside = lab.outside(&[&host], 1500)?;
    let daemon = alone(&host)?;
    let [stream, connections] = [STREAM, CONNECTIONS].map(|port| format!("{port}:{port}"));
    let flags = ["--ip", &A.to_string(), "--publish", &stream, "--publish", &connections];
    let a = Station::attach(&daemon, NETWORK, "a", &flags)?;
    Edge::new(a.netns()?, outside, host, Box::new((a, daemon)))
}

/// A daemon without underlay, and a network on it.
pub(crate) fn alone(host: &Host) -> Result<Vswitchd> {
    let daemon = Vswitchd::start_with(host, Options { local_only: true, ..Options::default() })?;
    daemon.vsctl(&["network", "create", "--subnet", SUBNET, NETWORK])?;
    Ok(daemon)
}

/// Attaches `count` containers to the network of [`alone`].
pub(crate) fn attach_many(daemon: &Vswitchd, count: usize) -> Result<Vec<Station>> {
    (0..count)
        .map(|number| {
            crate::interrupt::check()?;
            Station::attach(daemon, NETWORK, &format!("c{number}"), &[])
        })
        .collect()
}

pub(crate) fn attach(daemon: &Vswitchd, name: &str, address: Ipv4Addr) -> Result<Station> {
    Station::attach(daemon, NETWORK, name, &["--ip", &address.to_string()])
}
