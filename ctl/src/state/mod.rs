//! What this host must remember by itself (`state.redb` in the state directory): local networks, the last seen global
//! ones, its endpoints, static entries, releases that the store has not heard of yet, its session. Shared state is the
//! store's business. Invariant: a change is on the disk when [`Disk::write`] returns, whole or not at all.

mod disk;
mod docked;
mod lock;
mod memory;

pub use disk::{Change, Disk, Error};
pub use docked::{Docked, Reservation};
pub use lock::Lock;
pub use memory::{Memory, Release, StaticEntry, StoredEndpoint, filter_scope};
