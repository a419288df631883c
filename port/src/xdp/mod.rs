//! Interfaces by AF_XDP: frames pass between the driver and memory that it shares with the switch, without the network
//! stack between. `Socket` is one queue, `Attachment` puts a program at an interface; `Xdp` is a port made of both.
//! There is no offload metadata here: what leaves is complete, and what comes is taken for complete, see `Xdp`.

mod joint;
mod ledger;
mod port;
mod program;
mod promiscuous;
mod ring;
mod socket;
pub(crate) mod step;
pub(crate) mod trial;
mod umem;

pub use port::{MOST_MTU, Xdp, XdpInfo, XdpOptions, XdpStats};
pub use program::XdpMode;
pub(crate) use program::{QUEUES, load};
pub use umem::set_memory;

/// Chunks of the shared memory in use, and all of them; `None` as long as no AF_XDP port was made.
pub fn memory_usage() -> Option<(usize, usize)> {
    umem::usage()
}
