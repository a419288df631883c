//! Asking others for names that are not of our networks: the sockets, the clock and the choice of servers around the
//! [forwarder's logic](dns::forward). One task; it blocks on nothing, and a question that is too many is dropped, not queued.

pub(crate) mod message;
mod resolv_conf;
mod service;
mod socket;
mod upstreams;

pub use service::{Answered, Handle, Host, Report, Service};
pub use upstreams::Upstreams;
