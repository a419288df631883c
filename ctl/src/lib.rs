//! The control plane and its programs: what the operator asked for (networks, endpoints), what hosts agree on (the
//! store), and what the engine is told. `vswitchd` serves the [`api`], `vsctl`, the OCI hook and the CNI plugin use its [`client`].
//! Frames are never seen here: the engine (`switch`) runs on its own thread and takes updates.
#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod client;
pub mod cni;
pub mod config;
pub mod control;
pub mod dns;
pub mod docker;
pub mod filter;
pub mod model;
mod netlink;
pub mod oci;
pub mod publish;
pub mod sandbox;
pub mod state;
pub mod uplink;
pub mod watchdog;
