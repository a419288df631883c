//! What Docker's engine decides about an endpoint that it asked for: it moves the link, names it and routes by it itself.
//! Its addresses are reservations, which end when the engine says so and not with the endpoint.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Docker's part of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Docked {
    /// The link's name in the host's namespace, where the engine takes it from and puts it back.
    pub link: String,
    /// Where the engine keeps the sandbox's namespace. It may be visible to the engine only, and may come later than
    /// the endpoint.
    pub key: PathBuf,
    /// Whether the engine chose it for its sandbox's IPv4 default route.
    #[serde(default)]
    pub leads_v4: bool,
    /// The same for IPv6.
    #[serde(default)]
    pub leads_v6: bool,
    /// Numbers of the publications that the engine asked for.
    #[serde(default)]
    pub published: Vec<u32>,
}

impl Docked {
    /// Whether its sandbox's default route of a family leads by it.
    pub fn leads(&self, v4: bool) -> bool {
        if v4 { self.leads_v4 } else { self.leads_v6 }
    }
}

/// An address that is held for a runtime which manages addresses by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// The network's id.
    pub network: String,
    /// The address.
    pub address: IpAddr,
}
