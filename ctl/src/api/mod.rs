//! The HTTP API on the unix socket: requests, replies, errors, and the server. `vsctl` and the OCI hook use nothing else.
//! What a request means is the [`control`](crate::control) plane's business; here it is only read and answered.

mod error;
mod inspect;
mod reply;
mod request;

pub use error::{Error, Kind};
pub use inspect::{Container, ConfigFrom, Inspect, Ipam, IpamConfig, Peer};
pub use reply::{
    Created, Drop, Event, Fdb, Features, Host, Lease, Neighbour, Network, Peer as PeerRow, Port, Sandbox, Show, Store, Subnet,
};
pub use request::{AddPort, Connect, CreateNetwork, Disconnect, NewSubnet, StaticFdb, StaticPeer};
