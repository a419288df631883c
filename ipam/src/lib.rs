//! Addresses of networks: which subnets exist, which address an endpoint gets, who holds it.
//!
//! Sans-IO: no store, no clock, no socket. A [`Pool`] is the caller's picture of the leases that the
//! store holds; it proposes an address, the store's compare-and-set decides, and what the store said
//! is put back with [`Pool::insert`]. Times are milliseconds since the Unix epoch, because hosts share
//! the leases. Nothing here is allowed to panic, whatever rows or requests come in.
#![forbid(unsafe_code)]

mod error;
mod lease;
mod plan;
mod pool;
mod spans;
mod subnet;

pub use error::{Error, Exhaustion, Holder};
pub use lease::{Lease, State};
pub use plan::{Plan, choose_subnet, global_plans, local_plans, overlap};
pub use pool::{Pool, Usage};
pub use subnet::Subnet;
