//! The engine: bridges, stations, flow cache, pipeline; and the turn that drives it over real ports.
//!
//! [`Switch`] has four verbs: [`Switch::apply`] takes a change of the tables, [`Switch::process`] (and
//! [`Switch::decapsulate`] for the underlay) takes frames and says where they go, [`Switch::maintain`] ages the tables,
//! [`Switch::next_deadline`] says when it wants to be called again. It is pure: time is an argument. Only [`turn`] touches
//! file descriptors and reads the clock.
#![forbid(unsafe_code)]

mod admit;
mod bridge;
mod counters;
mod decap;
mod drop;
mod dump;
mod fdb;
mod filter;
mod flow;
mod forward;
mod gateway;
mod index;
mod maintain;
mod neighbour;
mod out;
mod pipeline;
mod police;
mod station;
mod switch;
pub mod turn;
mod update;
mod vlan;
mod warm;

pub use counters::Counters;
pub use drop::DropReason;
pub use dump::{FdbKind, FdbRow, FlowRow, NeighbourRow, PeerRow, PortRow};
pub use filter::LogLine;
pub use gateway::{Asker, PortCheck, Question, Resolved, Return, Steer};
pub use out::Out;
pub use police::{Policing, Rate, Storm, StormLine};
pub use switch::{Datagram, Limits, Switch};
pub use update::{
    BridgeId, BridgeSettings, Gateway, Guard, Place, PortId, PortSettings, Publish, PublishId, Route, Update,
};
pub use vlan::{VlanMode, VlanSet};
pub use vxlan::{BadVni, Vni};
