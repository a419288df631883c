//! A port of the switch, whatever kind of link it is. Only what all kinds have in common.

use std::os::fd::{AsRawFd, RawFd};

use crate::{Tap, Xdp};

/// A link's end in the switch.
#[derive(Debug)]
pub enum Port {
    /// A TAP: one call a frame, super-frames whole.
    Tap(Tap),
    /// An interface by AF_XDP: batches, complete frames only.
    Xdp(Box<Xdp>),
}

impl Port {
    /// What the poller watches: readable when frames have come.
    pub fn descriptors(&self) -> Vec<RawFd> {
        match self {
            Port::Tap(tap) => vec![tap.as_raw_fd()],
            Port::Xdp(xdp) => xdp.descriptors().collect(),
        }
    }
}

impl From<Tap> for Port {
    fn from(tap: Tap) -> Port {
        Port::Tap(tap)
    }
}

impl From<Xdp> for Port {
    fn from(xdp: Xdp) -> Port {
        Port::Xdp(Box::new(xdp))
    }
}
