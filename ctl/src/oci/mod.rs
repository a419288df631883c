//! The OCI runtime hook: what a runtime says about a container (its state), what the container asks for (its
//! annotations), and the calls to vswitchd that follow. Not the attaching itself: that is the daemon's.
//! Invariant: creating a container fails with a reason, and keeps nothing, when a network cannot be had; removing one
//! always completes.

mod annotation;
mod bundle;
mod error;
mod hook;
mod ports;
mod resolver;
mod state;

pub use annotation::{Attachment, parse_networks};
pub use error::{AnnotationError, Error};
pub use hook::{attach, detach, one_line};
pub use ports::parse_publish;
pub use state::State;
