//! Which ports are published, by address and protocol, here and in the programs' table. What a predecessor published stays
//! in force until it is dropped, so that there is no gap while the rules are said again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::tables::{self, PortSet, PublishedKey, Table};
use crate::Error;

/// Where ports are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// At every local IPv4 address.
    AnyV4,
    /// At every local IPv6 address.
    AnyV6,
    /// At this local address.
    At(IpAddr),
}

const NONE: PortSet = [0; 1024];

struct Entry {
    wanted: Box<PortSet>,
    inherited: Option<Box<PortSet>>,
}

impl Entry {
    fn in_force(&self) -> PortSet {
        let mut all = *self.wanted;
        for (word, inherited) in all.iter_mut().zip(self.inherited.iter().flat_map(|set| set.iter())) {
            *word |= inherited;
        }
        all
    }
}

pub(super) struct PublishedPorts {
    table: Table<PublishedKey, PortSet>,
    entries: BTreeMap<PublishedKey, Entry>,
}

impl PublishedPorts {
    pub(super) fn new(
        mut table: Table<PublishedKey, PortSet>,
        inherited: BTreeMap<PublishedKey, Box<PortSet>>,
    ) -> Result<PublishedPorts, Error> {
        let mut entries = BTreeMap::new();
        for (key, set) in inherited {
            table.put(&key, &set)?;
            entries.insert(key, Entry { wanted: Box::new(NONE), inherited: Some(set) });
        }
        Ok(PublishedPorts { table, entries })
    }

    pub(super) fn set(
        &mut self,
        protocol: u8,
        at: Published,
        ports: RangeInclusive<u16>,
        on: bool,
    ) -> Result<(), Error> {
        let key = tables::published_key(
            protocol,
            tables::address(match at {
                Published::AnyV4 => Ipv4Addr::UNSPECIFIED.into(),
                Published::AnyV6 => Ipv6Addr::UNSPECIFIED.into(),
                Published::At(address) => address,
            }),
        );
        let entry = self.entries.entry(key).or_insert_with(|| Entry { wanted: Box::new(NONE), inherited: None });
        for port in ports {
            let (word, bit) = (usize::from(port / 64), 1 << (port % 64));
            if on {
                entry.wanted[word] |= bit;
            } else {
                entry.wanted[word] &= !bit;
                if let Some(inherited) = &mut entry.inherited {
                    inherited[word] &= !bit;
                }
            }
        }
        self.write(key)
    }

    pub(super) fn drop_inherited(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        let keys: Vec<_> = self.entries.keys().copied().collect();
        for key in keys {
            let had = self.entries.get_mut(&key).is_some_and(|entry| entry.inherited.take().is_some());
            if had {
                outcome = outcome.and(self.write(key));
            }
        }
        outcome
    }

    /// Brings the programs' table up to date. The kernel replaces a value as a whole.
    fn write(&mut self, key: PublishedKey) -> Result<(), Error> {
        let Some(entry) = self.entries.get(&key) else { return Ok(()) };
        let set = entry.in_force();
        if set == NONE {
            self.entries.remove(&key);
            return self.table.remove(&key);
        }
        self.table.put(&key, &set)
    }
}

impl fmt::Debug for PublishedPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedPorts").field("entries", &self.entries.len()).finish()
    }
}
