//! What the control plane says to the engine: each update is one change of constant cost, never a rebuild.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;
use vxlan::Vni;
use wire::Mac;

use crate::{Policing, VlanMode};

/// The number of a bridge: one network on this host. Chosen by the caller, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BridgeId(pub u32);

/// The number of a port. Chosen by the caller, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortId(pub u32);

impl PortId {
    /// The port that leads to the host and, through its NICs, outside. It belongs to no bridge.
    pub const HOST: PortId = PortId(u32::MAX);
    /// Stands for the underlay where a frame from another host is treated like one from a port.
    pub(crate) const TUNNEL: PortId = PortId(u32::MAX - 1);

    /// A way in from a NIC beside [`PortId::HOST`], by a number up to 255: what comes there is treated as what comes by that.
    pub const fn inlet(number: u8) -> PortId {
        PortId(u32::MAX - 2 - number as u32)
    }

    /// Whether it is an [`PortId::inlet`].
    pub fn is_inlet(self) -> bool {
        (PortId::inlet(u8::MAX)..=PortId::inlet(0)).contains(&self)
    }

    /// The port that the engine knows what comes here by.
    pub(crate) fn known_as(self) -> PortId {
        if self.is_inlet() { PortId::HOST } else { self }
    }
}

/// The number of a published rule. Chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PublishId(pub u32);

/// Where a station is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Behind a port of this host.
    Port(PortId),
    /// Behind another host's VTEP.
    Tunnel(IpAddr),
}

/// What a bridge is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeSettings {
    /// The network's name, for tables and messages.
    pub name: Arc<str>,
    /// The VXLAN network, if frames travel to other hosts.
    pub vni: Option<Vni>,
    /// Longest packet, in bytes, without the Ethernet header.
    pub mtu: u16,
    /// How long a learned station is kept after its last frame; 300 s is usual (IEEE 802.1D table 7-5).
    pub ageing: Duration,
    /// Most stations that are learned.
    pub station_limit: usize,
    /// Most stations that are learned behind one port or one VTEP.
    pub place_limit: usize,
    /// Its gateway, if it has one.
    pub gateway: Option<Gateway>,
}

/// A network's gateway: the switch itself, the same on every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its MAC address.
    pub mac: Mac,
    /// Its address in each subnet, with the subnet's prefix length.
    pub addresses: Vec<IpNet>,
    /// Whether nothing leads out of the network.
    pub internal: bool,
    /// Whether the host reaches the network's containers by their addresses, and they see its addresses unchanged.
    pub host_access: bool,
}

impl Gateway {
    /// The gateway's address of a family.
    pub(crate) fn address(&self, v4: bool) -> Option<IpAddr> {
        self.addresses.iter().map(IpNet::addr).find(|address| address.is_ipv4() == v4)
    }

    /// The gateway's address by which somebody in the network knows it: that in the same subnet.
    pub(crate) fn address_towards(&self, address: IpAddr) -> Option<IpAddr> {
        let subnet = self.addresses.iter().find(|subnet| subnet.contains(&address));
        subnet.map(IpNet::addr).or_else(|| self.address(address.is_ipv4()))
    }

    /// Whether an address is the gateway's own.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|subnet| subnet.addr() == address)
    }

    /// Whether an address is in one of the network's subnets.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|subnet| subnet.contains(&address))
    }
}

/// One of the host's routes, as far as translation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: IpNet,
    /// The address that the host sends from, and containers get.
    pub source: IpAddr,
    /// Longest packet, in bytes.
    pub mtu: u16,
}

/// A published port, or a range of them: one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// IP protocol: TCP or UDP.
    pub protocol: u8,
    /// The host's address; `None`: all of them.
    pub at: Option<IpAddr>,
    /// Addresses by which the host itself reaches the rule through [`PortId::HOST`].
    pub via: Vec<IpAddr>,
    /// First and last port on the host.
    pub ports: (u16, u16),
    /// The network of the endpoint.
    pub bridge: BridgeId,
    /// The endpoint's addresses, at most one of each family. A family without is not translated.
    pub to: Vec<IpAddr>,
    /// The endpoint's port for the first port of the rule; the others follow in order.
    pub to_port: u16,
}

impl BridgeSettings {
    /// The usual settings for a network of that name.
    pub fn new(name: &str, vni: Option<Vni>, mtu: u16) -> BridgeSettings {
        BridgeSettings {
            name: name.into(),
            vni,
            mtu,
            ageing: Duration::from_secs(300),
            station_limit: 65_536,
            place_limit: 1_024,
            gateway: None,
        }
    }
}

/// Whose frames a port may send: the source guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The endpoint's MAC address.
    pub mac: Mac,
    /// The endpoint's IP addresses. Its link-local address goes without saying where it is made from `mac` (EUI-64, the
    /// kernel's default); another one has to be listed.
    pub addresses: Vec<IpAddr>,
}

/// What a port is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSettings {
    /// Its name, for tables and messages.
    pub name: Arc<str>,
    /// The bridge that it belongs to.
    pub bridge: BridgeId,
    /// Its source guard; without one it may send as anybody, and its stations are learned.
    pub guard: Option<Guard>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Adds a bridge, or changes its settings.
    Bridge {
        /// Which.
        id: BridgeId,
        /// Its settings from now on.
        settings: BridgeSettings,
    },
    /// Removes a bridge with everything in it, its ports too.
    RemoveBridge {
        /// Which.
        id: BridgeId,
    },
    /// Adds a port to an existing bridge, or changes its guard or name.
    Port {
        /// Which.
        id: PortId,
        /// Its settings from now on.
        settings: PortSettings,
    },
    /// Limits what a port sends, gets and floods. A port begins without limits.
    Policing {
        /// Which.
        id: PortId,
        /// Its limits from now on.
        limits: Policing,
    },
    /// Says what a port has to do with VLANs. A port begins as a plain one. What was learned behind it is forgotten.
    Vlan {
        /// Which.
        id: PortId,
        /// From now on.
        mode: VlanMode,
    },
    /// Removes a port and every station behind it.
    RemovePort {
        /// Which.
        id: PortId,
    },
    /// Says where an endpoint is and which addresses it owns. Replaces what was said of that MAC address before.
    Endpoint {
        /// Its network.
        bridge: BridgeId,
        /// Its MAC address.
        mac: Mac,
        /// Its IP addresses, for which ARP and ND are answered.
        addresses: Vec<IpAddr>,
        /// Where it is.
        place: Place,
    },
    /// Forgets an endpoint, if it is (still) at that place.
    RemoveEndpoint {
        /// Its network.
        bridge: BridgeId,
        /// Its MAC address.
        mac: Mac,
        /// Where it was.
        place: Place,
    },
    /// Says which names somebody in a network has, wherever it is; `None`: it has none any more.
    Names {
        /// The network.
        bridge: BridgeId,
        /// Who it is: a number of the caller's, of its own in each network.
        holder: u64,
        /// The names and what they lead to, in place of those before.
        entry: Option<dns::Entry>,
    },
    /// A static forwarding entry: neither learned over nor aged out.
    Static {
        /// Its network.
        bridge: BridgeId,
        /// The station.
        mac: Mac,
        /// Where it is.
        place: Place,
    },
    /// Removes a static entry.
    RemoveStatic {
        /// Its network.
        bridge: BridgeId,
        /// The station.
        mac: Mac,
    },
    /// A VTEP that holds endpoints of the network: it gets floods, and frames from it are taken.
    Peer {
        /// The network.
        bridge: BridgeId,
        /// The VTEP.
        vtep: IpAddr,
    },
    /// Says how the host's end of [`PortId::HOST`] is addressed; `None`: there is no way to the host and outside.
    Uplink {
        /// The MAC address of the host's end.
        mac: Option<Mac>,
    },
    /// What is to be known of the host. Replaces what was said before.
    Host {
        /// All its addresses but the loopback ones.
        addresses: Vec<IpAddr>,
        /// Its routes.
        routes: Vec<Route>,
    },
    /// Adds a published rule, or changes it; connections that it no longer leads to end.
    Publish {
        /// Which.
        id: PublishId,
        /// The rule from now on.
        rule: Publish,
    },
    /// Removes a published rule, and ends the connections that it made.
    RemovePublish {
        /// Which.
        id: PublishId,
    },
    /// A VTEP that no longer holds any; stations learned behind it are forgotten.
    RemovePeer {
        /// The network.
        bridge: BridgeId,
        /// The VTEP.
        vtep: IpAddr,
    },
}

#[cfg(test)]
mod tests {
    use super::PortId;

    #[test]
    fn inlets_are_the_hosts_port_and_no_other() {
        for number in [0, 255] {
            assert!(PortId::inlet(number).is_inlet());
            assert_eq!(PortId::inlet(number).known_as(), PortId::HOST);
        }
        for other in [PortId::HOST, PortId::TUNNEL, PortId(0), PortId(PortId::inlet(255).0 - 1)] {
            assert!(!other.is_inlet() && other.known_as() == other);
        }
    }
}
