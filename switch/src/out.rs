//! What a turn produced: frames for ports, trains for the underlay, and the pool that all frames come from.

use vxlan::Trains;
use wire::{Frame, Pool};

use crate::PortId;

/// Frames and trains that wait before the engine pauses: few enough for small ones to stay in the second cache.
pub(crate) const FULL: usize = 128;

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

    /// Whether it is time to send: floods make many frames of one, and what waits here takes memory.
    pub fn is_full(&self) -> bool {
        self.frames.len() + self.trains.len() >= FULL
    }

    /// Puts all frames back and forgets all trains.
    pub fn clear(&mut self) {
        for (_, frame) in self.frames.drain(..) {
            self.pool.put(frame);
        }
        self.trains.clear();
    }
}
