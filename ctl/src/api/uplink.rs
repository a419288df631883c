//! What the API says about the way between this host and the switch.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Xdp;

/// `GET /v1/uplink`, and in [`Show`](super::Show).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Uplink {
    /// `up`; `host_only`: nothing leads outside; `off`: nor to the host.
    pub state: String,
    /// The host's link.
    pub link: Option<String>,
    /// How NICs are steered: `tcx` or `clsact`.
    pub form: Option<String>,
    /// Why it is not `up`, when it should be.
    pub problem: Option<String>,
    /// Interfaces that lead outside.
    pub nics: Vec<Nic>,
    /// The host's own addresses.
    pub addresses: Vec<IpAddr>,
    /// Where packets of containers may go.
    pub routes: Vec<HostRoute>,
    /// Subnets of containers that the host reaches through its link.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub reached: Vec<IpNet>,
    /// Subnets that it does not.
    pub unreached: Vec<Unreached>,
    /// What the steering programs counted.
    pub counters: BTreeMap<String, u64>,
}

/// An interface in [`Uplink`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Nic {
    /// Its name.
    pub ifname: String,
    /// Its number; 0 for one that is missing.
    pub ifindex: u32,
    /// In bytes.
    pub mtu: u32,
    /// Without link-local IPv6 ones.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub addresses: Vec<IpNet>,
    /// `up`, `failed`, `unused` where nothing can be steered, or `missing` where `--uplink` names one that is not there.
    pub state: String,
    /// Why it failed.
    pub problem: Option<String>,
    /// The AF_XDP port that what is steered comes by; none: it comes by the host's link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xdp: Option<Xdp>,
    /// Why there is none, where `--uplink-form xdp` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_xdp: Option<String>,
}

/// A route of the host in [`Uplink`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostRoute {
    /// Where it leads.
    #[cfg_attr(test, schemars(with = "String"))]
    pub to: IpNet,
    /// The address that packets get.
    pub source: IpAddr,
    /// Longest packet, in bytes.
    pub mtu: u16,
}

/// A subnet that the host does not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unreached {
    /// The network's subnet.
    #[cfg_attr(test, schemars(with = "String"))]
    pub subnet: IpNet,
    /// The host's own route that overlaps it.
    #[cfg_attr(test, schemars(with = "String"))]
    pub route: IpNet,
}
