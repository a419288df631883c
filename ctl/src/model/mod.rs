//! The records that hosts share and the ones this host keeps: their JSON, their keys in the store, their rules.
//! Pure: no store, no clock but what is passed in. A record that breaks its rules cannot be read.

mod clock;
mod cluster;
mod endpoint;
mod event;
mod host;
mod id;
pub mod key;
mod label;
mod limits;
mod link;
mod network;
mod resolver;
mod service;
pub(crate) mod units;
mod vlan;

pub use clock::{now_millis, rfc3339};
pub use cluster::{Cluster, FORMAT};
pub use endpoint::{EndpointRecord, HostEndpoints};
pub use event::{Event, EventLog};
pub use host::HostRecord;
pub use id::{is_id, is_name, new_id, random_hex, resolve};
pub use label::{is_label_key, is_label_value};
pub use limits::{BadLimits, Limits};
pub use link::{Link, XdpMode, XdpWish};
pub use network::{Driver, NetworkRecord, PREDEFINED, Scope, SubnetRecord};
pub use resolver::{NAMESERVERS, Resolver};
pub use service::Service;
pub use vlan::{PortVlan, Vid, Vids};
