//! Frames in and out of the kernel: TAP links, interfaces by AF_XDP, the VXLAN underlay's UDP sockets, the uplink's BPF
//! programs, and memory ports for tests.
//!
//! Knows descriptors and their errors, not what is in a frame. It never waits and never retries for longer than one
//! call: readiness is the poll loop's business, which registers the descriptors itself. The only crate with unsafe code.

mod bpf;
pub mod cpu;
mod error;
pub mod ethtool;
mod ifreq;
pub mod interface;
pub mod kernel;
pub mod limits;
mod memory;
#[cfg(test)]
#[path = "../tests/namespace/mod.rs"]
mod namespace;
mod netlink;
mod port;
mod port_free;
mod sockopt;
mod tap;
mod underlay;
mod uplink;
pub mod xdp;

pub use error::Error;
pub use memory::Memory;
pub use port::Port;
pub use port_free::is_port_free;
pub use tap::{Offloads, Tap, TapOptions};
pub use underlay::{Datagram, Datagrams, SendOutcome, Underlay, UnderlayStats};
pub use uplink::{
    FiveTuple, Form, Hook, Inlet, Inlets, MAX_MAPPINGS, OUT_MAC, Published, SOCKET_MARK, Steering, Uplink, UplinkStats,
};
pub use xdp::Xdp;

/// What came of an attempt to read a frame from a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// There is a frame, with its offload metadata.
    Frame,
    /// Nothing is waiting; the poller says when there is.
    Empty,
    /// The link was deleted, alone or with its namespace. The port is of no use any more.
    Gone,
}

/// What came of an attempt to write a frame to a port. Only `Done` means that the frame went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel took the frame.
    Done,
    /// No room now.
    Full,
    /// Longer than the link carries.
    TooBig,
    /// The link is down.
    Down,
    /// The kernel does not take this frame: its offload metadata contradicts it, or it is shorter than a header.
    Refused,
    /// The link was deleted, alone or with its namespace. The port is of no use any more.
    Gone,
}
