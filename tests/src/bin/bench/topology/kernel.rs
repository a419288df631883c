//! The peer `kernel`: veth and bridge, a `vxlan` device between hosts, and iptables rules towards the outside, as Docker's
//! drivers set them up.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Result, ensure};
use tests::kernel_vtep::Segment;
use tests::outside::OUTER;
use tests::underlay::veth;
use tests::{Host, KernelVtep, Lab, Netns, Place, exec};

use super::{A, B, CONNECTIONS, Edge, GATEWAY, STREAM, SUBNET, Side, TUNNEL_MTU, VNI};

/// Two containers on a bridge.
pub(crate) fn local(lab: &Lab) -> Result<Side> {
    on_bridge(lab.host("kernel1")?)
}

/// The same once more, for the comparison with AF_XDP ports.
pub(crate) fn beside_xdp(lab: &Lab) -> Result<Side> {
    on_bridge(lab.host("kernel11")?)
}

fn on_bridge(host: Host) -> Result<Side> {
    no_netfilter(&host)?;
    let (a, b) = bridged(&host)?;
    Side::new(a, b, Vec::new(), &host, Box::new(host.clone()))
}

/// Two containers on a bridge whose frames pass the host's iptables.
pub(crate) fn filtered(lab: &Lab) -> Result<(Host, Netns, Netns)> {
    let host = lab.host("kernel5")?;
    ensure!(
        has_netfilter(),
        "the kernel's bridge does not pass frames to iptables: br_netfilter is not loaded (run modprobe br_netfilter; if there \
         is no such module, use a kernel that has it)"
    );
    host.netns()?.sysctl(CALL_IPTABLES, "1")?;
    let (a, b) = bridged(&host)?;
    Ok((host, a, b))
}

fn bridged(host: &Host) -> Result<(Netns, Netns)> {
    host.exec(&["ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"])?;
    host.exec(&["ip", "link", "set", "br0", "up"])?;
    let (a, b) = (Netns::create()?, Netns::create()?);
    for (inner, name, address) in [(&a, "c0", A), (&b, "c1", B)] {
        veth(host, name, inner, "eth0", "1500")?;
        host.exec(&["ip", "link", "set", name, "master", "br0"])?;
        inner.exec(&["ip", "address", "add", &with_length(address), "dev", "eth0"])?;
    }
    Ok((a, b))
}

/// A container behind a bridge and a `vxlan` device on each of two hosts.
pub(crate) fn tunnel(lab: &Lab) -> Result<Side> {
    let (one, two) = (lab.host("kernel2")?, lab.host("kernel3")?);
    lab.cable(&one, &two, 1500)?;
    let vtep = |host: &Host, other: &Host, address: Ipv4Addr| -> Result<KernelVtep> {
        no_netfilter(host)?;
        let (local, remote) = (host.address4(), other.address4());
        let addresses = with_length(address);
        KernelVtep::create(host, &Segment { vni: VNI, remote, local, addresses: &[&addresses], mtu: TUNNEL_MTU })
    };
    let (a, b) = (vtep(&one, &two, A)?, vtep(&two, &one, B)?);
    let (sender, receiver) = (a.netns()?, b.netns()?);
    Side::new(sender, receiver, vec![one.clone(), two], &one, Box::new((a, b)))
}

/// A container whose source address the host's iptables translate, with ports of the host's sent to it. It is on a veth of
/// its own, without a bridge: kinder to the kernel than Docker.
pub(crate) fn edge(lab: &Lab) -> Result<Edge> {
    let host = lab.host("kernel4")?;
    let outside = lab.outside(&[&host], 1500)?;
    let inner = Netns::create()?;
    veth(&host, "c0", &inner, "eth0", "1500")?;
    host.exec(&["ip", "address", "add", &with_length(GATEWAY), "dev", "c0"])?;
    inner.exec(&["ip", "address", "add", &with_length(A), "dev", "eth0"])?;
    inner.exec(&["ip", "route", "add", "default", "via", &GATEWAY.to_string()])?;
    host.netns()?.sysctl("net.ipv4.ip_forward", "1")?;
    let nat = ["iptables", "-w", "-t", "nat", "-A"];
    let masquerade = ["POSTROUTING", "-s", SUBNET, "-o", OUTER, "-j", "MASQUERADE"];
    host.exec(&[&nat[..], &masquerade].concat())?;
    for port in [STREAM, CONNECTIONS].map(|port| port.to_string()) {
        let to = format!("{A}:{port}");
        let publish = ["PREROUTING", "-i", OUTER, "-p", "tcp", "--dport", &port, "-j", "DNAT", "--to-destination", &to];
        host.exec(&[&nat[..], &publish].concat())?;
    }
    Edge::new(inner, outside, host, Box::new(()))
}

/// Whether bridged frames pass the namespace's iptables.
pub(super) const CALL_IPTABLES: &str = "net.bridge.bridge-nf-call-iptables";

/// Has br_netfilter loaded from the start. A Docker engine would load it in the middle, and from then on frames would pass
/// iptables on the bridges of all namespaces that had been made before. A kernel without the module has none for Docker either.
pub(crate) fn load_netfilter() {
    if !has_netfilter() {
        let _ = exec::run_in(None, &["modprobe", "br_netfilter"]);
    }
}

fn has_netfilter() -> bool {
    Path::new("/proc/sys/net/bridge").exists()
}

/// Bridged frames stay out of iptables, which would slow the kernel down.
pub(super) fn no_netfilter(host: &Host) -> Result<()> {
    if !has_netfilter() {
        return Ok(());
    }
    let netns = host.netns()?;
    [CALL_IPTABLES, "net.bridge.bridge-nf-call-ip6tables"].into_iter().try_for_each(|name| netns.sysctl(name, "0"))
}

fn with_length(address: Ipv4Addr) -> String {
    format!("{address}/24")
}
