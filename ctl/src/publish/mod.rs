//! Published ports on the host's side: what is asked for (`spec`), which of the host's ports it gets (`choose`), the
//! sockets that hold them (`bind`), who is in the way (`holder`), and the proxy that serves local clients by them.
//! Which sandbox it leads to is the control plane's business; what comes from other machines never passes here.

mod at;
mod bind;
mod choose;
mod error;
mod holder;
mod proxy;
mod publication;
mod spec;
mod steer;
mod via;

pub use at::At;
pub use bind::{Bound, make_room};
pub use choose::bind;
pub use error::Error;
pub use proxy::{Proxy, Service, Target};
pub use publication::Publication;
pub use spec::{BadSpec, Ports, Protocol, Spec};
pub use steer::{Reach, Steer};
pub use via::{Vias, addresses as via_addresses};

/// The mark of our own sockets.
const MARK: u32 = port::SOCKET_MARK;
