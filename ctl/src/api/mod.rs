//! The HTTP API on the unix socket: requests, replies, errors, and the server. `vsctl` and the OCI hook use nothing else.
//! What a request means is the [`control`](crate::control) plane's business; here it is only read and answered.

mod body;
mod conns;
mod dns;
mod error;
mod filter;
mod inspect;
mod networks;
mod patience;
mod ports;
mod publish;
mod reply;
mod request;
mod rule;
mod server;
mod tables;
#[cfg(test)]
mod tests;
mod trace;
mod uplink;

pub use crate::model::Resolver;
pub use conns::{Conn, ConnFilter, Flushed, Way};
pub use dns::{DnsAnswer, DnsCache, DnsFlushed, DnsName, DnsQuery, DnsRecord, DnsUpstream};
pub use error::{Error, Kind};
pub use filter::{FilterOf, FilterRow, LoadHow, Rejected};
pub use inspect::{ConfigFrom, Container, Inspect, Ipam, IpamConfig, Peer};
pub use publish::{PublishPorts, Published};
pub use reply::{
    Created, Drop, Event, Fdb, Feature, Host, Lease, Neighbour, Network, Peer as PeerRow, Port, Sandbox, Show, Store,
    Subnet, Xdp, XdpMemory,
};
pub use request::{AddPort, Connect, CreateNetwork, Disconnect, LinkType, NewSubnet, SetPort, StaticFdb, StaticPeer};
pub use rule::{AddRule, MoveRule, RuleRow};
pub use server::{Listener, SocketError, serve};
pub(crate) use server::{serve_routes, to_the_end};
pub use trace::{TracePacket, TraceStep, Traced};
pub use uplink::{HostRoute, Nic, Unreached, Uplink};
