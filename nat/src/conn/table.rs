//! All connections: an index over both directions of each, and records that never move, so that growth costs no pause.
//! Every connection is in the index twice; slots that are free are in no index and no list.

use hashbrown::HashTable;

use super::{Conn, ConnId};
use crate::hash::fold;
use crate::{Direction, Tuple, Zone};

const CHUNK: usize = 1024;

pub(crate) struct Table {
    seed: u64,
    /// Slot and direction (lowest bit).
    index: HashTable<u32>,
    chunks: Vec<Vec<Option<Conn>>>,
    free: Vec<u32>,
    len: u32,
    next_serial: u32,
}

impl Table {
    /// A table whose index has room for `limit` connections from the start.
    pub(crate) fn new(limit: u32, seed: u64) -> Table {
        let index = HashTable::with_capacity(limit as usize * 2);
        Table { seed, index, chunks: Vec::new(), free: Vec::new(), len: 0, next_serial: 0 }
    }

    #[inline]
    pub(crate) fn find(&self, zone: Zone, tuple: &Tuple) -> Option<(u32, Direction)> {
        let hash = hash(self.seed, zone, tuple);
        let entry = *self.index.find(hash, |&entry| {
            let (slot, direction) = split(entry);
            self.at(slot).is_some_and(|conn| conn.zone(direction) == zone && conn.tuple(direction) == *tuple)
        })?;
        Some(split(entry))
    }

    #[inline]
    pub(crate) fn hash_of(&self, zone: Zone, tuple: &Tuple) -> u64 {
        hash(self.seed, zone, tuple)
    }

    /// The slot of what has this hash, most likely: looked up without a look at the record, so that nothing is waited for.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> u32 {
        self.index.iter_hash(hash).next().map_or(u32::MAX, |entry| split(*entry).0)
    }

    #[inline]
    pub(crate) fn at(&self, slot: u32) -> Option<&Conn> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)?.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Conn> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)?.as_mut()
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.at(id.slot).filter(|conn| conn.serial == id.serial)
    }

    pub(crate) fn id(&self, slot: u32) -> ConnId {
        ConnId { slot, serial: self.at(slot).map_or(0, |conn| conn.serial) }
    }

    /// Adds a connection, neither direction of which is in the table.
    pub(crate) fn insert(&mut self, mut conn: Conn) -> ConnId {
        conn.serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let (serial, hashes) = (conn.serial, self.hashes(&conn));
        let slot = self.place(conn);
        let Table { index, chunks, seed, .. } = self;
        for (bit, hash_value) in (0..).zip(hashes) {
            index.insert_unique(hash_value, slot << 1 | bit, |&entry| {
                let (slot, direction) = split(entry);
                let conn = chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_ref();
                conn.map_or(0, |conn| hash(*seed, conn.zone(direction), &conn.tuple(direction)))
            });
        }
        self.len += 1;
        ConnId { slot, serial }
    }

    fn hashes(&self, conn: &Conn) -> [u64; 2] {
        [Direction::Original, Direction::Reply].map(|d| hash(self.seed, conn.zone(d), &conn.tuple(d)))
    }

    fn place(&mut self, conn: Conn) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.chunks[slot as usize / CHUNK][slot as usize % CHUNK] = Some(conn);
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let base = (self.chunks.len() - 1) * CHUNK;
        let chunk = &mut self.chunks[base / CHUNK];
        chunk.push(Some(conn));
        (base + chunk.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Conn> {
        let hashes = self.hashes(self.at(slot)?);
        for (bit, hash) in (0..).zip(hashes) {
            if let Ok(entry) = self.index.find_entry(hash, |&entry| entry == (slot << 1 | bit)) {
                entry.remove();
            }
        }
        self.free.push(slot);
        self.len -= 1;
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].take()
    }

    /// Slots in use or free: every number below it may be asked for.
    pub(crate) fn slots(&self) -> u32 {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len()) as u32
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Bytes that records and index take.
    pub(crate) fn memory(&self) -> usize {
        let records: usize = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Option<Conn>>()).sum();
        records + self.index.allocation_size() + self.free.capacity() * size_of::<u32>()
    }
}

fn split(entry: u32) -> (u32, Direction) {
    (entry >> 1, if entry & 1 == 0 { Direction::Original } else { Direction::Reply })
}

/// Two independent foldings, so that the CPU can overlap them.
#[inline]
fn hash(seed: u64, zone: Zone, tuple: &Tuple) -> u64 {
    let ports = u64::from(tuple.src_port) << 48 | u64::from(tuple.dst_port) << 32;
    let rest = ports | u64::from(tuple.protocol);
    let a = fold(tuple.src.high ^ seed, tuple.src.low ^ ODD[0]);
    let b = fold(tuple.dst.high ^ ODD[1], tuple.dst.low ^ seed.rotate_left(32));
    fold(a ^ rest ^ ODD[2], b ^ u64::from(zone.0) ^ seed)
}

const ODD: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];
