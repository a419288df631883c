//! The network below the switch: veth links named `under0` in every host, one subnet per family.
//! It is a lossless wire of the lab; what a NIC would do to a frame is set by [`wire_like`].

use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use crate::host::Host;
use crate::netns::Place;

/// The interface of a host that faces the underlay.
pub const LINK: &str = "under0";
/// The number of the host that stands in the middle.
const MIDDLE: &str = "sw250";

/// Hosts around a bridge. The middle has an address too: a place for servers that all hosts reach.
#[derive(Debug)]
pub struct Underlay {
    middle: Host,
}

impl Underlay {
    /// Joins each host to a bridge in a namespace of its own, by a veth of this MTU in bytes.
    pub fn bridged(lab: &Path, hosts: &[&Host], mtu: u32) -> Result<Underlay> {
        let middle = Host::create(lab, MIDDLE)?;
        middle.exec(&["ip", "link", "add", LINK, "type", "bridge", "forward_delay", "0"])?;
        let underlay = Underlay { middle };
        address(&underlay.middle)?;
        for host in hosts {
            underlay.join(host, mtu)?;
        }
        Ok(underlay)
    }

    /// Adds one more host to the bridge.
    pub fn join(&self, host: &Host, mtu: u32) -> Result<()> {
        let (end, mtu) = (self.port(host), mtu.to_string());
        veth(host, LINK, &self.middle, &end, &mtu)?;
        self.middle.exec(&["ip", "link", "set", &end, "master", LINK, "up"])?;
        address(host)
    }

    /// Two hosts on one veth pair, as two machines on one cable.
    pub fn cable(a: &Host, b: &Host, mtu: u32) -> Result<()> {
        veth(a, LINK, b, LINK, &mtu.to_string())?;
        address(a)?;
        address(b)
    }

    /// The host in the middle: servers that every host reaches run here.
    pub fn middle(&self) -> &Host {
        &self.middle
    }

    /// Cuts the host's cable, or mends it.
    pub fn connect(&self, host: &Host, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        self.middle.exec(&["ip", "link", "set", &self.port(host), state])?;
        Ok(())
    }

    fn port(&self, host: &Host) -> String {
        format!("to-{}", host.name())
    }
}

/// Makes the host's end behave as a NIC without offloads: whole segments with full checksums, none
/// longer than the MTU, are what leaves it and what a capture on it sees.
pub fn wire_like(host: &Host) -> Result<()> {
    host.exec(&["ethtool", "-K", LINK, "tx", "off", "tso", "off", "gso", "off", "tx-udp-segmentation", "off"])?;
    Ok(())
}

/// A veth pair with one end in each place, both up.
pub fn veth(a: &impl Place, a_name: &str, b: &impl Place, b_name: &str, mtu: &str) -> Result<()> {
    let b_netns = b.netns()?;
    let target = b_netns.path().display().to_string();
    a.exec(&[
        "ip", "link", "add", a_name, "mtu", mtu, "type", "veth", "peer", "name", b_name, "mtu", mtu, "netns", &target,
    ])?;
    a.exec(&["ip", "link", "set", a_name, "up"])?;
    b_netns.exec(&["ip", "link", "set", b_name, "up"])?;
    Ok(())
}

fn address(host: &Host) -> Result<()> {
    for address in [host.address4(), host.address6()] {
        let length = match address {
            IpAddr::V4(_) => 24,
            IpAddr::V6(_) => 64,
        };
        host.exec(&["ip", "address", "add", &format!("{address}/{length}"), "dev", LINK])?;
    }
    host.exec(&["ip", "link", "set", LINK, "up"])?;
    Ok(())
}
