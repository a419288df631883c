//! Asking others for names that are not of our networks: the sockets, the clock and the choice of servers around the
//! [forwarder's logic](dns::forward). One task; it blocks on nothing, and a question that is too many is dropped, not queued.

mod file;
mod inherited;
pub(crate) mod message;
mod resolv_conf;
mod service;
mod socket;
mod upstreams;

pub(crate) use inherited::Inherited;
pub(crate) use resolv_conf::RESOLV_CONF;
pub use service::{Answered, Handle, Host, Report, Service};
pub use upstreams::Upstreams;
