//! A host as others see it: where its tunnels end. Lives as long as the host's session.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `v1/hosts/<host>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRecord {
    /// Unique in the cluster.
    pub name: String,
    /// Its VXLAN addresses; empty for a host without tunnels.
    pub vteps: Vec<IpAddr>,
    /// UDP port of its underlay.
    pub vxlan_port: u16,
    /// In bytes; 0 for a host without tunnels.
    pub underlay_mtu: u32,
    /// When its vswitchd started, in milliseconds since the Unix epoch.
    pub incarnation: u64,
}
