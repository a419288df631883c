//! Sandboxes: opening the network namespace of a container and putting a link of the switch into it.
//! Not who gets which address or name (that is `control`), and not the frames (that is `port`).
//! Invariant: whatever happens, the calling thread stays in its own namespace, and a failed attach leaves no link
//! anywhere. A namespace dies with its container: nothing here outlives a call except the TAP's descriptor, which was
//! opened in the host's namespace and so does not hold the container's, and of AF_XDP sockets, which are in the daemon's own.

mod attach;
mod den;
mod error;
mod find;
mod lead_out;
mod link;
mod look;
mod netns;
mod remove;
mod stage;
mod thread;
mod veth;

pub use attach::{Attached, attach, attach_veth};
pub use error::Error;
pub use find::find;
pub use lead_out::{Way, lead_out};
pub use link::LinkSpec;
pub(crate) use link::is_name;
pub use look::{Seen, look};
pub use netns::{Netns, Reference};
pub use remove::remove;
pub use stage::stage;
pub use veth::take;
