//! The flow cache: one exact match decides a frame. Bounded; a full cache means slower frames, never lost ones.
//! An entry is valid while the settings' epoch and the versions of its two stations are those that it was made with.

use std::time::Duration;

use vxlan::{Vni, VtepId};
use wire::{FlowKey, Time};

use crate::PortId;
use crate::gateway::Change;
use crate::index::Index;
use crate::station::Stamp;

/// Where the frames of a flow go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Egress {
    Port(PortId),
    /// A port, with another tag (PCP, DEI, VID), or without one.
    Retagged {
        port: PortId,
        tag: Option<u16>,
    },
    Tunnel {
        vtep: VtepId,
        vni: Vni,
        lane: u16,
        max_len: u16,
    },
}

/// A cached decision and what it depends on, in two cache lines: the key, and what a hit reads and counts.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Flow {
    pub(crate) key: FlowKey,
    pub(crate) egress: Egress,
    /// What happens to its frames first, if they are routed.
    pub(crate) change: Option<Box<Change>>,
    pub(crate) epoch: u32,
    pub(crate) src: Stamp,
    pub(crate) dst: Stamp,
    used: Moment,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// A third line would be a third wait for memory where there are a million flows.
const _: () = assert!(size_of::<Option<Flow>>() == 128);

/// A time to within 70 ms, in four bytes: units of 2^26 ns, for nine years.
#[derive(Clone, Copy, Debug)]
struct Moment(u32);

impl From<Time> for Moment {
    fn from(time: Time) -> Moment {
        Moment((time.as_nanos() >> 26) as u32)
    }
}

impl Flow {
    /// The flow of a first frame.
    pub(crate) fn new(key: FlowKey, egress: Egress, epoch: u32, src: Stamp, dst: Stamp, now: Time) -> Flow {
        Flow { key, egress, change: None, epoch, src, dst, used: now.into(), frames: 1, bytes: 0 }
    }

    /// Counts another.
    #[inline]
    pub(crate) fn count(&mut self, now: Time, len: usize) {
        self.used = now.into();
        self.frames += 1;
        self.bytes += len as u64;
    }

    /// When it had its last frame; up to 70 ms too early.
    pub(crate) fn used(&self) -> Time {
        Time::ZERO + Duration::from_nanos(u64::from(self.used.0) << 26)
    }

    /// Reads something in every cache line of the record.
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        self.key.ingress() ^ u64::from(self.epoch) ^ self.bytes
    }
}

/// Flows live in chunks that never move, so that growth costs no pause.
const CHUNK: usize = 1024;

pub(crate) struct Flows {
    seed: u64,
    index: Index,
    chunks: Vec<Vec<Option<Flow>>>,
    free: Vec<u32>,
    limit: usize,
}

impl Flows {
    pub(crate) fn new(limit: usize, seed: u64) -> Flows {
        Flows { seed, index: Index::new(), chunks: Vec::new(), free: Vec::new(), limit }
    }

    #[inline]
    pub(crate) fn find(&self, key: &FlowKey) -> Option<u32> {
        self.index.find(key.hash(self.seed), |at| self.get(at).is_some_and(|flow| flow.key == *key))
    }

    /// The slot of a key's flow, most likely: looked up without a look at the flow.
    #[inline]
    pub(crate) fn guess(&self, key: &FlowKey) -> u32 {
        self.index.guess(key.hash(self.seed)).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&Flow> {
        self.chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Flow> {
        self.chunks.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)?.as_mut()
    }

    /// Adds a flow, or replaces the one with its key. `false` when the cache is full.
    pub(crate) fn insert(&mut self, flow: Flow) -> bool {
        if let Some(at) = self.find(&flow.key) {
            if let Some(old) = self.get_mut(at) {
                *old = flow;
            }
            return true;
        }
        if self.index.len() >= self.limit {
            return false;
        }
        let hash = flow.key.hash(self.seed);
        let (at, slots) = (self.place(flow), self.slots());
        let Flows { index, chunks, seed, .. } = self;
        index.insert(hash, at, slots, |at| hash_of(chunks, *seed, at));
        true
    }

    /// Brings the index into order, up to so many slots of it: what grew is looked through twice until it is done.
    pub(crate) fn settle(&mut self, most: u32) {
        let Flows { index, chunks, seed, .. } = self;
        index.settle(most, |at| hash_of(chunks, *seed, at));
    }

    fn place(&mut self, flow: Flow) -> u32 {
        if let Some(at) = self.free.pop() {
            self.chunks[at as usize / CHUNK][at as usize % CHUNK] = Some(flow);
            return at;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let base = (self.chunks.len() - 1) * CHUNK;
        let chunk = &mut self.chunks[base / CHUNK];
        chunk.push(Some(flow));
        (base + chunk.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, at: u32) {
        let Some(hash) = self.get(at).map(|flow| flow.key.hash(self.seed)) else { return };
        self.index.remove(hash, at);
        self.chunks[at as usize / CHUNK][at as usize % CHUNK] = None;
        self.free.push(at);
    }

    /// Slots in use or free: every number below it may be asked for.
    pub(crate) fn slots(&self) -> u32 {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len()) as u32
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }
}

/// Of the flow in a slot.
fn hash_of(chunks: &[Vec<Option<Flow>>], seed: u64, at: u32) -> Option<u64> {
    let flow = chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)?.as_ref()?;
    Some(flow.key.hash(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(number: u64) -> Flow {
        let mut key = FlowKey::default();
        key.set_ingress(number);
        let egress = Egress::Port(PortId(number as u32));
        Flow::new(key, egress, 0, Stamp::NONE, Stamp::NONE, Time::ZERO)
    }

    #[test]
    fn holds_up_to_its_limit_and_finds_each() {
        let mut flows = Flows::new(3_000, 7);
        assert!((0..3_000).all(|n| flows.insert(flow(n))));
        assert!(!flows.insert(flow(3_000)), "full");
        assert!(flows.insert(flow(5)), "replacing needs no room");
        for n in 0..3_000 {
            let at = flows.find(&flow(n).key).unwrap();
            assert_eq!(flows.get(at).unwrap().egress, Egress::Port(PortId(n as u32)));
        }
        let at = flows.find(&flow(77).key).unwrap();
        flows.remove(at);
        assert_eq!((flows.find(&flow(77).key), flows.len(), flows.slots()), (None, 2_999, 3_000));
        assert!(flows.insert(flow(3_000)) && flows.slots() == 3_000, "the slot is used again");
    }
}
