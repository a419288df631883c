//! What Docker's engine was told and will refer to: networks, pools and endpoints by its ids. It says them once and never
//! again, also after a restart of either side, so they are remembered in the state file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::Mac;

use crate::state::Change;

/// A network of Docker's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    /// Docker's id of it.
    pub(super) id: String,
    /// Ours.
    pub(super) network: String,
    /// Whether it was there before, and stays.
    pub(super) joined: bool,
    /// Whether its addresses come from this driver's IPAM.
    pub(super) managed: bool,
    /// Milliseconds since the Unix epoch.
    pub(super) since: u64,
    /// Whether the engine that is asked has listed it: only then its silence means anything.
    #[serde(default)]
    pub(super) seen: bool,
}

/// A pool of addresses that Docker was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    /// As Docker refers to it.
    pub(super) id: String,
    /// The prefix.
    pub(super) subnet: IpNet,
    /// Where dynamic addresses come from.
    pub(super) range: Option<IpNet>,
    /// The network's id; `None` as long as it has not been created.
    pub(super) network: Option<String>,
    /// Whether the network was there before.
    pub(super) joined: bool,
    /// As it was promised before there was a network.
    pub(super) gateway: Option<IpAddr>,
    /// How often it was given and not released.
    pub(super) uses: u32,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub(super) since: u64,
}

/// An endpoint that Docker has created, attached or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    /// Docker's id and ours.
    pub(super) id: String,
    /// Docker's id of the network.
    pub(super) of: String,
    /// Ours.
    pub(super) network: String,
    /// Of the link.
    pub(super) mac: Mac,
    /// With prefix lengths, IPv4 first.
    pub(super) addresses: Vec<IpNet>,
    /// Those that end with the endpoint, because Docker will not release them.
    pub(super) own: Vec<IpAddr>,
    /// Milliseconds since the Unix epoch.
    pub(super) since: u64,
}

/// All that was remembered for Docker.
#[derive(Debug, Default)]
pub struct Records {
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) pools: BTreeMap<String, Pool>,
    pub(super) endpoints: BTreeMap<String, Endpoint>,
}

impl Records {
    /// Takes in a row of the state file whose key begins with `docker/`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        match key.split('/').nth(1).unwrap_or_default() {
            "network" => {
                let network: Network = read(value)?;
                self.networks.insert(network.id.clone(), network);
            }
            "pool" => {
                let pool: Pool = read(value)?;
                self.pools.insert(pool.id.clone(), pool);
            }
            "endpoint" => {
                let endpoint: Endpoint = read(value)?;
                self.endpoints.insert(endpoint.id.clone(), endpoint);
            }
            _ => return Err("unknown key".into()),
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

/// Remembers a network.
pub(super) fn network(network: &Network) -> Change {
    Change::put(format!("docker/network/{}", network.id), network)
}

/// Forgets a network.
pub(super) fn no_network(id: &str) -> Change {
    Change::remove(format!("docker/network/{id}"))
}

/// Remembers a pool.
pub(super) fn pool(pool: &Pool) -> Change {
    Change::put(format!("docker/pool/{}", pool.id), pool)
}

/// Forgets a pool.
pub(super) fn no_pool(id: &str) -> Change {
    Change::remove(format!("docker/pool/{id}"))
}

/// Remembers an endpoint.
pub(super) fn endpoint(endpoint: &Endpoint) -> Change {
    Change::put(format!("docker/endpoint/{}", endpoint.id), endpoint)
}

/// Forgets an endpoint.
pub(super) fn no_endpoint(id: &str) -> Change {
    Change::remove(format!("docker/endpoint/{id}"))
}
