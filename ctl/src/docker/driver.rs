//! The calls that need no state: what this driver can do, and what it leaves to others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Plugin;
use super::protocol::Nothing;
use crate::api::Error;

/// The address space of pools of this driver, by which its networks are known.
pub(super) const SPACE: &str = "vswitch";

impl Plugin {
    /// Each engine keeps its own networks; that they are one is agreed on behind them.
    pub(super) async fn network_capabilities(self: Arc<Self>, _: Nothing) -> Result<Value, Error> {
        Ok(json!({ "Scope": "local", "ConnectivityScope": "global", "GwAllocChecker": false }))
    }

    /// Pools are remembered here: to be asked again at every start would only be a chance to disagree.
    pub(super) async fn ipam_capabilities(self: Arc<Self>, _: Nothing) -> Result<Value, Error> {
        Ok(json!({ "RequiresMACAddress": false, "RequiresRequestReplay": false }))
    }

    pub(super) async fn address_spaces(self: Arc<Self>, _: Nothing) -> Result<Value, Error> {
        Ok(json!({ "LocalDefaultAddressSpace": SPACE, "GlobalDefaultAddressSpace": SPACE }))
    }

    /// Other hosts are found in the store.
    pub(super) async fn discovered(self: Arc<Self>, _: Nothing) -> Result<Value, Error> {
        Ok(json!({}))
    }

    /// Swarm's managers ask this of drivers of scope global only.
    pub(super) async fn no_swarm(self: Arc<Self>, _: Nothing) -> Result<Value, Error> {
        let remedy = "create the network with vsctl, and join each engine to it with -o vswitch.network=NAME";
        Err(Error::invalid("driver vswitch", "swarm does not manage its networks", remedy))
    }
}
