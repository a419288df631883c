//! Whom each binding has sent to, by address, for address-dependent filtering (RFC 4787 section 5).
//! A peer is known by 48 bits under a secret seed: among a million of them a stranger passes once in 2^28 packets.

use hashbrown::HashTable;

use crate::Address;
use crate::hash::mix;

#[derive(Clone, Copy, Debug)]
struct Peer {
    low: u32,
    high: u16,
    /// Connections to it, less one: a binding has at most one for each port of the peer.
    more: u16,
}

impl Peer {
    /// The whole of a hash that the fingerprint still holds: enough to find its place again.
    fn hash(&self) -> u64 {
        mix(0, [u64::from(self.high) << 32 | u64::from(self.low)])
    }
}

/// Every pair of a binding and an address that it sends to.
pub(crate) struct Peers {
    seed: u64,
    table: HashTable<Peer>,
}

impl Peers {
    pub(crate) fn new(seed: u64) -> Peers {
        Peers { seed, table: HashTable::new() }
    }

    fn fingerprint(&self, binding: u32, ip: Address) -> Peer {
        let bits = mix(self.seed, [ip.high, ip.low, u64::from(binding)]);
        Peer { low: bits as u32, high: (bits >> 32) as u16, more: 0 }
    }

    pub(crate) fn contains(&self, binding: u32, ip: Address) -> bool {
        let peer = self.fingerprint(binding, ip);
        self.table.find(peer.hash(), |other| same(other, &peer)).is_some()
    }

    pub(crate) fn add(&mut self, binding: u32, ip: Address) {
        let peer = self.fingerprint(binding, ip);
        match self.table.find_mut(peer.hash(), |other| same(other, &peer)) {
            Some(known) => known.more = known.more.saturating_add(1),
            None => {
                self.table.insert_unique(peer.hash(), peer, Peer::hash);
            }
        }
    }

    pub(crate) fn remove(&mut self, binding: u32, ip: Address) {
        let peer = self.fingerprint(binding, ip);
        if let Ok(mut entry) = self.table.find_entry(peer.hash(), |other| same(other, &peer)) {
            match entry.get().more.checked_sub(1) {
                Some(more) => entry.get_mut().more = more,
                None => {
                    entry.remove();
                }
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.table.allocation_size()
    }
}

fn same(a: &Peer, b: &Peer) -> bool {
    (a.low, a.high) == (b.low, b.high)
}
