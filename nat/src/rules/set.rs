//! Lists of addresses that rules look packets up in, as ipset's hashes: `hash:ip`, `hash:net`, and both with ports.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Family, Network, Not};

/// A protocol and a port (for ICMP type and code), and whether that is asked at all.
pub(crate) type PortKey = Option<(u8, u16)>;

/// Entries of a list that says nothing else.
pub(crate) const MAX_ENTRIES: u32 = 65_536;

/// A list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// Its name.
    pub name: Box<str>,
    /// Networks, not only hosts.
    pub(crate) networks: bool,
    /// With protocols and ports.
    pub(crate) ports: bool,
    /// Entries that it may have.
    pub(crate) max: u32,
    /// By prefix length: addresses, and whether they are listed (or excepted, by `nomatch`).
    pub(crate) entries: BTreeMap<u32, BTreeMap<(u128, PortKey), bool>>,
}

impl AddressSet {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// ipset's name for what it holds.
    pub fn kind(&self) -> &'static str {
        match (self.networks, self.ports) {
            (false, false) => "hash:ip",
            (true, false) => "hash:net",
            (false, true) => "hash:ip,port",
            (true, true) => "hash:net,port",
        }
    }

    /// Whether an address is listed: the longest prefix that holds it decides. Costs a look-up for each length in use.
    pub(crate) fn contains(&self, family: Family, number: u128, port: PortKey) -> bool {
        let listed = |(&length, entries): (&u32, &BTreeMap<_, bool>)| {
            entries.get(&(number & Network::prefix_mask(family, length), port)).copied()
        };
        self.entries.iter().rev().find_map(listed).unwrap_or(false)
    }
}

/// `-m set`: which side of the packet is looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct SetTest {
    /// Where.
    pub set: Not<Arc<AddressSet>>,
    /// For each part of an entry, whether the packet's source is meant.
    pub source: Box<[bool]>,
}
