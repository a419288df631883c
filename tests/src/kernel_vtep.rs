//! A VTEP that is the Linux kernel: a `vxlan` device and a bridge on a host of its own, and one
//! container namespace behind them. The independent implementation to interoperate with.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::host::Host;
use crate::netns::{Netns, Place};
use crate::underlay::{LINK, veth};
use crate::wait;

/// The kernel's end of one VXLAN network.
#[derive(Debug)]
pub struct KernelVtep {
    host: Host,
    inner: Netns,
}

/// What the kernel is told.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// The VXLAN network identifier.
    pub vni: u32,
    /// The other VTEP, of the same family as `local`.
    pub remote: IpAddr,
    /// The kernel's own VTEP address.
    pub local: IpAddr,
    /// The inner container's addresses with their prefix lengths.
    pub addresses: &'a [&'a str],
    /// The inner container's MTU in bytes.
    pub mtu: u32,
}

impl KernelVtep {
    /// Builds the device, the bridge and the container on a host that is on the underlay. The device
    /// learns, and floods to `remote`.
    pub fn create(host: &Host, segment: &Segment) -> Result<KernelVtep> {
        let (vni, mtu) = (segment.vni.to_string(), segment.mtu.to_string());
        let (local, remote) = (segment.local.to_string(), segment.remote.to_string());
        // Over IPv6 the checksum is on by default, over IPv4 off; the switch takes both.
        host.exec(&[
            "ip", "link", "add", "vx0", "mtu", &mtu, "type", "vxlan", "id", &vni, "dev", LINK, "dstport", "4789",
            "local", &local, "remote", &remote,
        ])?;
        host.exec(&["ip", "link", "add", "br0", "mtu", &mtu, "type", "bridge", "forward_delay", "0"])?;
        let inner = Netns::create()?;
        veth(host, "c0", &inner, "eth0", &mtu)?;
        for link in ["vx0", "c0"] {
            host.exec(&["ip", "link", "set", link, "master", "br0", "up"])?;
        }
        host.exec(&["ip", "link", "set", "br0", "up"])?;
        for address in segment.addresses {
            inner.exec(&["ip", "address", "add", address, "dev", "eth0"])?;
        }
        // The kernel opens the bridge's ports when it gets to see their carrier, which a busy machine lets wait.
        wait::until(Duration::from_secs(10), "the kernel's bridge to forward", || {
            let ports = host.exec(&["bridge", "link", "show"])?;
            let forwarding = ports.lines().filter(|line| line.contains("state forwarding")).count();
            ensure!(forwarding == 2, "{ports}");
            let tentative = inner.exec(&["ip", "-6", "address", "show", "tentative"])?;
            ensure!(tentative.is_empty(), "{tentative}");
            Ok(())
        })?;
        Ok(KernelVtep { host: host.clone(), inner })
    }

    /// Whether the container's end completes checksums itself, as behind a NIC (`false`), or leaves
    /// them to the veth, which passes them on unfinished (`true`, the kernel's default).
    pub fn partial_checksums(&self, on: bool) -> Result<()> {
        self.inner.exec(&["ethtool", "-K", "eth0", "tx", if on { "on" } else { "off" }])?;
        Ok(())
    }

    /// The host with the device, named `vx0`.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The container's MAC address.
    pub fn mac(&self) -> Result<String> {
        let said = self.inner.exec(&["ip", "-br", "link", "show", "eth0"])?;
        Ok(said.split_whitespace().nth(2).unwrap_or_default().to_owned())
    }
}

impl Place for KernelVtep {
    fn netns(&self) -> Result<Netns> {
        Ok(self.inner.clone())
    }
}
