//! Bodies of replies. `vsctl` reads the same structures and ignores fields it does not know.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use port::xdp::XdpInfo;
use serde::{Deserialize, Serialize};
use wire::Mac;

use super::Published;
use super::Uplink;
use crate::model::{Limits, PortVlan, Resolver, XdpMode};

/// `GET /v1/show`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Show {
    /// The host's name.
    pub name: String,
    /// Of vswitchd.
    pub version: String,
    /// Of vswitchd.
    pub pid: u32,
    /// Since vswitchd started.
    pub uptime_seconds: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Our VTEP address; none: no overlay networks here.
    pub advertise: Option<IpAddr>,
    /// UDP port of the underlay.
    pub vxlan_port: u16,
    /// MTU of the interface that has the VTEP address, in bytes.
    pub underlay_mtu: Option<u32>,
    /// The shared state.
    pub store: Store,
    /// The way to the host and outside.
    pub uplink: Uplink,
    /// What not every kernel has, as tried out when vswitchd started, and whether it is used.
    pub features: Vec<Feature>,
    /// The memory of AF_XDP ports; none as long as there was no such port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xdp_memory: Option<XdpMemory>,
    /// How many networks are known, the predefined ones among them.
    pub networks: usize,
    /// How many endpoints are on this host.
    pub ports: usize,
    /// All known hosts, this one among them.
    pub hosts: Vec<Host>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// The store in [`Show`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Store {
    /// Without secrets.
    pub url: String,
    /// Whether other hosts see it.
    pub shared: bool,
    /// Whether it answered last time.
    pub connected: bool,
    /// What is to be written as soon as it answers.
    pub waiting: Vec<String>,
    /// Why it did not answer, or refused.
    pub last_error: Option<String>,
}

/// Something that not every kernel has, in [`Show`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Feature {
    /// `tap_tso`, `tap_uso`: super-frames of TCP and UDP on TAP links; `udp_gso`, `udp_gro`: of tunnels; `tcx`: the hook of
    /// the uplink's programs; `af_xdp`, `af_xdp_busy_poll`, `af_xdp_multi_buffer`.
    pub name: String,
    /// `used`; `unused`: it is there, and nothing needs it now; `missing`.
    pub state: String,
    /// Why it is not used.
    pub note: Option<String>,
}

/// The memory of AF_XDP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct XdpMemory {
    /// Chunks in use; each holds a frame.
    pub used: usize,
    /// All of them.
    pub chunks: usize,
}

/// A host of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Host {
    /// Unique in the cluster.
    pub name: String,
    /// Its VXLAN addresses.
    pub vteps: Vec<IpAddr>,
}

/// A row of `GET /v1/networks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Network {
    /// 64 hex digits.
    pub id: String,
    /// Unique.
    pub name: String,
    /// `bridge`, `overlay`, `host` or `null`.
    pub driver: String,
    /// `local` or `global`.
    pub scope: String,
    /// RFC 3339 with nanoseconds.
    pub created: String,
    /// The address plan.
    pub subnets: Vec<Subnet>,
    /// Overlay only.
    pub vni: Option<u32>,
    /// In bytes; 0 where there is no link of ours.
    pub mtu: u32,
    /// No way to the outside.
    pub internal: bool,
    /// `allow` or `deny`: whether its containers may reach each other where no rule says so.
    #[serde(default)]
    pub policy: String,
    /// As created.
    pub attachable: bool,
    /// The user's own notes.
    pub labels: BTreeMap<String, String>,
    /// What its containers' resolvers hold instead of its gateways.
    #[serde(default, skip_serializing_if = "Resolver::is_empty")]
    pub dns: Resolver,
    /// As created.
    pub options: BTreeMap<String, String>,
    /// Endpoints this host knows of, on every host if the network is in use here.
    pub endpoints: usize,
}

/// A subnet of [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Subnet {
    /// The prefix.
    #[cfg_attr(test, schemars(with = "String"))]
    pub subnet: IpNet,
    /// Where dynamic addresses come from.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub ip_range: Option<IpNet>,
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// Reserved addresses by name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// `POST /v1/networks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Created {
    /// 64 hex digits.
    pub id: String,
    /// As asked.
    pub name: String,
    /// Empty when there is nothing to say.
    pub warning: String,
}

/// A row of `GET /v1/ports`: one endpoint of this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Port {
    /// The sandbox's NAME.
    pub name: String,
    /// The network's name.
    pub network: String,
    /// 64 hex digits.
    pub network_id: String,
    /// 64 hex digits.
    pub endpoint_id: String,
    /// The runtime's id; empty when none was given.
    pub container_id: String,
    /// The link's name in the sandbox.
    pub ifname: String,
    /// The link's MAC address.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: Mac,
    /// With prefix lengths, IPv4 first.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub addresses: Vec<IpNet>,
    /// The network's gateways by which its addresses lead out; none in an internal network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<IpAddr>,
    /// Other names in this network.
    pub aliases: Vec<String>,
    /// What the container calls itself; also a name in this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What the sandbox's resolv.conf is to hold.
    #[serde(default)]
    pub dns: Resolver,
    /// The user's own notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// In bytes.
    pub mtu: u32,
    /// `up`; `waiting`: its row is not in the store yet; `gone`: the sandbox vanished and the rest is being cleared.
    pub state: String,
    /// `tap`, `veth` or `xdp`.
    pub kind: String,
    /// How its interface is had by AF_XDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xdp: Option<Xdp>,
    /// Whether the source guard is on.
    pub guard: bool,
    /// Its VLAN or VLANs; none: it is in the untagged network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<PortVlan>,
    /// What it may send, get and flood.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// The namespace.
    pub sandbox: Sandbox,
    /// Frames from the container.
    pub rx_frames: u64,
    /// Bytes from the container.
    pub rx_bytes: u64,
    /// Frames to the container.
    pub tx_frames: u64,
    /// Bytes to the container.
    pub tx_bytes: u64,
    /// Frames of either direction that were dropped.
    pub drops: u64,
    /// Ports of the host that lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

/// What became of an interface by AF_XDP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Xdp {
    /// The interface; that of a veth link is in a namespace of the switch's own.
    pub interface: String,
    /// Where the program runs.
    pub mode: XdpMode,
    /// Whether the card reads and writes the switch's memory itself.
    pub zero_copy: bool,
    /// Whether calls of the switch drive its queues.
    pub busy_poll: bool,
    /// Whether frames over 3.8 KB pass, in several pieces of the switch's memory.
    #[serde(default)]
    pub multi_buffer: bool,
    /// How many queues it has.
    pub queues: usize,
    /// Why it is not in native mode, if that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_generic: Option<String>,
}

impl From<&XdpInfo> for Xdp {
    fn from(info: &XdpInfo) -> Xdp {
        Xdp {
            interface: info.interface.clone(),
            mode: match info.mode {
                port::xdp::XdpMode::Native => XdpMode::Native,
                port::xdp::XdpMode::Generic => XdpMode::Generic,
            },
            zero_copy: info.zero_copy,
            busy_poll: info.busy_poll,
            multi_buffer: info.multi_buffer,
            queues: info.queues,
            why_generic: info.why_generic.clone(),
        }
    }
}

impl fmt::Display for Xdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.mode == XdpMode::Native { "native" } else { "generic" };
        let copies = if self.zero_copy { "zero-copy" } else { "copy" };
        let polling = if self.busy_poll { ", busy polling" } else { "" };
        let pieces = if self.multi_buffer { ", multi-buffer" } else { "" };
        write!(f, "{mode}, {copies}{polling}{pieces}")
    }
}

/// The namespace of a [`Port`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sandbox {
    /// A process in it, if it was named by one.
    pub pid: Option<u32>,
    /// Its path.
    pub netns: String,
}

/// A row of `GET /v1/fdb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fdb {
    /// The network's name.
    pub network: String,
    /// The station.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: Mac,
    /// Its VLAN; none: the untagged network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The sandbox it is behind, or
    pub port: Option<String>,
    /// the VTEP it is behind.
    pub vtep: Option<IpAddr>,
    /// `endpoint`, `learned` or `static`.
    pub kind: String,
    /// Since it was last seen; learned ones only.
    pub age_seconds: Option<u64>,
}

/// A row of `GET /v1/neigh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Neighbour {
    /// The network's name.
    pub network: String,
    /// The address that is answered for.
    pub address: IpAddr,
    /// Its owner.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: Mac,
    /// The sandbox it is behind, or
    pub port: Option<String>,
    /// the VTEP it is behind.
    pub vtep: Option<IpAddr>,
}

/// A row of `GET /v1/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "PeerRow"))]
pub struct Peer {
    /// The network's name.
    pub network: String,
    /// Its VXLAN address.
    pub vtep: IpAddr,
    /// The host's name, when it is one of ours.
    pub host: Option<String>,
    /// `store` or `static`.
    pub kind: String,
    /// How many endpoints of the network it holds, as far as the store says.
    pub endpoints: usize,
}

/// A row of `GET /v1/drops`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Drop {
    /// snake_case name.
    pub reason: String,
    /// Since start.
    pub count: u64,
    /// For people.
    pub meaning: String,
}

/// A row of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// RFC 3339 with nanoseconds.
    pub time: String,
    /// snake_case: `network_created`, `row_refused` ...
    pub kind: String,
    /// The network, port, host or row.
    pub object: String,
    /// What happened.
    pub text: String,
}

/// A row of `GET /v1/leases/REF`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// `<host>/<sandbox key>`.
    pub owner: String,
    /// The owner's host.
    pub host: String,
    /// `held` or `resting`.
    pub state: String,
}
