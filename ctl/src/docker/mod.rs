//! Docker's network and IPAM driver: what `docker network create -d vswitch --ipam-driver vswitch` asks over a unix
//! socket. A network of Docker's is one that it made here, or one that was there and is joined (`vswitch.network`).
//! Nothing here waits for Docker: its engine holds its own locks while it asks. What only the engine knows (names, which
//! container) is asked for afterwards, in `engine`. Invariant: every call may come again, and after any crash.

mod driver;
mod endpoint;
mod engine;
mod ipam;
mod network;
mod option;
mod plugin;
mod pool;
mod portmap;
mod protocol;
mod record;
mod server;
mod service;
#[cfg(test)]
mod tests;

use plugin::Plugin;
pub use record::Records;
pub use service::Service;

/// Where Docker's engine looks for the driver `vswitch`.
pub const DEFAULT_SOCKET: &str = "/run/docker/plugins/vswitch.sock";

/// Where Docker's engine listens.
pub const DEFAULT_API: &str = "/run/docker.sock";
