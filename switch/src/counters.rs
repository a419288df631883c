//! What the engine counts.

use crate::DropReason;

/// Frames and bytes of one direction. A super-frame counts once; bytes are those of the frame as it passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Traffic {
    #[inline]
    pub(crate) fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }
}

/// Drops by reason, and how the flow cache does.
#[derive(Clone, Debug)]
pub struct Counters {
    drops: Vec<u64>,
    /// Frames that a cached flow decided.
    pub hits: u64,
    /// Frames that walked the pipeline.
    pub misses: u64,
    /// Frames answered by the switch itself (ARP, ND).
    pub replies: u64,
    /// Queries answered from the names of a sandbox's networks.
    pub named: u64,
    /// Queries for other names, which the control plane is to answer.
    pub asked: u64,
    /// Frames that were copied to more than one place, or to all.
    pub floods: u64,
    /// Frames from the underlay whose inner checksum was still partial: the sender's kernel had no device to complete it.
    pub partial: u64,
    /// Segments that were appended to one before them, so that one super-frame went on instead of two frames.
    pub joined: u64,
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            drops: vec![0; DropReason::ALL.len()],
            hits: 0,
            misses: 0,
            replies: 0,
            named: 0,
            asked: 0,
            floods: 0,
            partial: 0,
            joined: 0,
        }
    }

    /// Counts a drop.
    #[inline]
    pub fn drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    /// Counts several.
    pub(crate) fn drop_many(&mut self, reason: DropReason, frames: u64) {
        self.drops[reason as usize] += frames;
    }

    /// Frames dropped for this reason since the start.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Frames dropped since the start.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().sum()
    }
}
