//! What a turn produced: frames for ports, trains for the underlay, and the pool that all frames come from.

use vxlan::Trains;
use wire::{Frame, Pool};

use crate::PortId;

/// The result of one call of the engine, in order.
#[derive(Debug)]
pub struct Out {
    /// Frames and the port that each leaves by.
    pub frames: Vec<(PortId, Frame)>,
    /// Datagrams for other hosts.
    pub trains: Trains,
    /// Where frames come from and go back to.
    pub pool: Pool,
}

impl Out {
    /// Nothing yet; the pool keeps up to `keep` frames.
    pub fn new(keep: usize) -> Out {
        Out { frames: Vec::new(), trains: Trains::default(), pool: Pool::new(keep) }
    }

    /// Puts all frames back and forgets all trains.
    pub fn clear(&mut self) {
        for (_, frame) in self.frames.drain(..) {
            self.pool.put(frame);
        }
        self.trains.clear();
    }
}
