//! Bringing what a batch of packets will need into the cache, all at once.
//! A table of a million connections lies in memory, some 200 ns away and three steps deep. One packet after the other that is
//! waited for; the look-ups of a batch, with nothing between them, overlap. Nothing here changes anything.

use std::hint::black_box;

use wire::{Fragment, Headers, protocol};

use crate::conn::{Conn, ConnId};
use crate::{Address, Tracker, Tuple, Zone};

/// Packets whose look-ups overlap.
const AT_ONCE: usize = 64;

impl Tracker {
    /// Before [`Tracker::track`] of each packet of a batch. Looks up TCP and UDP; others are few.
    pub fn warm<'a>(&self, packets: impl Iterator<Item = (Zone, &'a Headers)>) {
        let mut hashes = packets.filter_map(|(zone, headers)| Some(self.table.hash_of(zone, &tuple(headers)?)));
        let (mut some, mut slots) = ([0; AT_ONCE], [0; AT_ONCE]);
        loop {
            let mut count = 0;
            for (place, hash) in some.iter_mut().zip(&mut hashes) {
                *place = hash;
                count += 1;
            }
            // Step by step for all of them: the shorter what is done for one, the more of them overlap.
            for (slot, hash) in slots.iter_mut().zip(&some[..count]) {
                *slot = self.table.guess(*hash);
            }
            let conns = slots[..count].iter().filter_map(|&slot| self.table.at(slot));
            black_box(conns.map(Conn::touch).fold(0, u32::wrapping_add));
            if count < AT_ONCE {
                return;
            }
        }
    }

    /// Before [`Tracker::advance`] of each packet of a batch.
    pub fn warm_known(&self, conns: impl Iterator<Item = ConnId>) {
        let touched = conns.filter_map(|id| self.table.at(id.slot)).map(Conn::touch);
        black_box(touched.fold(0, u32::wrapping_add));
    }
}

/// The tuple of a whole TCP or UDP packet.
#[inline]
pub(super) fn tuple(headers: &Headers) -> Option<Tuple> {
    let key = &headers.key;
    if headers.fragment != Fragment::Whole || !matches!(key.protocol(), protocol::TCP | protocol::UDP) {
        return None;
    }
    let (src, dst) = (Address::new(key.src()?)?, Address::new(key.dst()?)?);
    Some(Tuple { src, dst, src_port: key.src_port(), dst_port: key.dst_port(), protocol: key.protocol() })
}
