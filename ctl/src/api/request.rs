//! Bodies of requests. Unknown fields and wrong types are refused while reading, by name; everything that needs to
//! know other objects is checked by the control plane.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::Mac;

use crate::model::{Limits, PortVlan, XdpMode};

/// `POST /v1/networks`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateNetwork {
    /// A letter or digit, then letters, digits, `_`, `.`, `-`; at most 128. Unique among all networks the host knows.
    pub name: String,
    /// `bridge` (the default) or `overlay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// None: one IPv4 subnet from the driver's pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<NewSubnet>,
    /// Whether the network has IPv6 too; a subnet is chosen when none is given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ipv6: bool,
    /// Whether the network has no way to the outside.
    #[serde(default, skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Whether its containers may reach each other where no rule says so: `allow` (the default) or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Kept for Docker's sake: every container may be attached anyway.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attachable: bool,
    /// In bytes, 68 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// 1 to 16777215; overlay only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// The user's own notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Docker's driver options; an unknown key is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Name servers for its containers' resolvers instead of its gateway; three at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// Search domains for its containers' resolvers; `.` alone: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options for its containers' resolvers, such as `ndots:2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
}

/// One subnet of a new network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSubnet {
    /// The prefix; none: one from the driver's pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub subnet: Option<IpNet>,
    /// Where dynamic addresses come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub ip_range: Option<IpNet>,
    /// The gateway; none: the first usable address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Addresses that are never given, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// `POST /v1/networks/REF/connect`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// The NAME of a sandbox that is attached somewhere already, or its container id.
    pub name: String,
    /// A static IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// A static IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip6: Option<IpAddr>,
    /// A MAC address instead of the one derived from the IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub mac: Option<Mac>,
    /// The link's name; none: the lowest free `ethN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// Other names in this network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What the container calls itself; also a name in this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name servers for its resolver instead of its networks' gateways; three at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// Search domains for its resolver; `.` alone: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options for its resolver, such as `ndots:2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// What it may send, get and flood.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// None: it is in the untagged network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<PortVlan>,
}

/// `POST /v1/networks/REF/disconnect`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    /// The sandbox's NAME or container id.
    pub name: String,
    /// Succeed also when it is not connected.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
}

/// What a port's link is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LinkType {
    /// A TAP in a sandbox; super-frames pass whole
    #[default]
    Tap,
    /// A veth link of a sandbox, by AF_XDP; more small frames, no super-frames
    Veth,
    /// An interface of the host, by AF_XDP
    Xdp,
}

impl LinkType {
    fn is_tap(&self) -> bool {
        *self == LinkType::Tap
    }
}

/// `POST /v1/ports`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AddPort {
    /// The network: name, id, or unique prefix of an id.
    pub network: String,
    /// The sandbox's NAME on this host.
    pub name: String,
    /// What its link is to be; with `xdp` there is no namespace, and `iface` instead.
    #[serde(default, rename = "type", skip_serializing_if = "LinkType::is_tap")]
    pub link: LinkType,
    /// The interface of the host that is to be the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iface: Option<String>,
    /// The XDP program's mode; none: native, or else generic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xdp_mode: Option<XdpMode>,
    /// Whether it has to go without copies; otherwise it does if the driver can.
    #[serde(default, skip_serializing_if = "is_false")]
    pub xdp_zero_copy: bool,
    /// Whether calls of the switch drive the queues instead of interrupts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub xdp_busy_poll: bool,
    /// A process in the namespace; this or `netns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// A path to the namespace; this or `pid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<PathBuf>,
    /// The runtime's id of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The link's name; none: the lowest free `ethN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// A static IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// A static IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip6: Option<IpAddr>,
    /// A MAC address instead of the one derived from the IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub mac: Option<Mac>,
    /// Other names in this network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What the container calls itself; also a name in this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name servers for its resolver instead of its networks' gateways; three at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// Search domains for its resolver; `.` alone: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options for its resolver, such as `ndots:2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// The user's own notes, for which rules may ask.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether the source guard is off for this port.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_spoof: bool,
    /// What it may send, get and flood.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// None: it is in the untagged network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<PortVlan>,
    /// Names to take instead, in this order, where another living sandbox of this host has `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<String>,
    /// Refuse (409) what is attached to the network already, instead of answering with what is there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fresh: bool,
    /// Ports to be published through this network, as in `POST /v1/publish`; all with the attachment, or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
}

/// `PATCH /v1/ports/NAME?network=NETWORK`: what is named changes, the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetPort {
    /// What it may send, get and flood; 0 takes a limit away.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Another place among VLANs, said whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<PortVlan>,
    /// Back into the untagged network; not with `vlan`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untagged: bool,
}

/// `POST /v1/fdb`: exactly one of `port` and `vtep`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StaticFdb {
    /// The network: name, id, or unique prefix of an id.
    pub network: String,
    /// The station.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: Mac,
    /// The sandbox on this host behind which the station is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The VXLAN address behind which the station is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vtep: Option<IpAddr>,
}

/// `POST /v1/peers`: a VTEP that is none of our hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StaticPeer {
    /// The network: name, id, or unique prefix of an id.
    pub network: String,
    /// Its VXLAN address.
    pub vtep: IpAddr,
}

fn is_false(value: &bool) -> bool {
    !value
}
