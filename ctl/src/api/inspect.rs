//! Docker's inspect object, in Docker's case and with Docker's empty fields. `Host` and `Peers` are the only additions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /v1/networks/REF`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Inspect {
    /// The network's name.
    pub name: String,
    /// 64 hex digits.
    pub id: String,
    /// RFC 3339 with nanoseconds.
    pub created: String,
    /// `local` or `global`.
    pub scope: String,
    /// `bridge`, `overlay`, `host` or `null`.
    pub driver: String,
    /// Whether there is an IPv4 subnet.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// Whether there is an IPv6 subnet.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// The address plan.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// No way to the outside.
    pub internal: bool,
    /// As created.
    pub attachable: bool,
    /// Always false.
    pub ingress: bool,
    /// Always empty.
    pub config_from: ConfigFrom,
    /// Always false.
    pub config_only: bool,
    /// By container id, or `ep-<endpoint id>` where the runtime gave none.
    pub containers: BTreeMap<String, Container>,
    /// Driver options; VNI and MTU among them.
    pub options: BTreeMap<String, String>,
    /// The user's own notes.
    pub labels: BTreeMap<String, String>,
    /// Hosts that hold endpoints; overlay only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<Peer>>,
}

/// The address plan of [`Inspect`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Ipam {
    /// Always `default`.
    pub driver: String,
    /// Always empty.
    pub options: BTreeMap<String, String>,
    /// One for each subnet.
    pub config: Vec<IpamConfig>,
}

/// One subnet of [`Ipam`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct IpamConfig {
    /// The prefix.
    pub subnet: String,
    /// Where dynamic addresses come from.
    #[serde(rename = "IPRange", default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Reserved addresses by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary_addresses: BTreeMap<String, String>,
}

/// Always empty: configurations cannot be taken from other networks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ConfigFrom {
    /// Empty.
    pub network: String,
}

/// One endpoint of [`Inspect`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The sandbox's NAME.
    pub name: String,
    /// 64 hex digits.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Of the link.
    pub mac_address: String,
    /// With prefix length, or empty.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// With prefix length, or empty.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
    /// The host it runs on.
    pub host: String,
}

/// A host that holds endpoints of [`Inspect`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Peer {
    /// The host's name.
    pub name: String,
    /// Its VXLAN address.
    #[serde(rename = "IP")]
    pub ip: String,
}
