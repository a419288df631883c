//! What a daemon that ended without closing its uplink left in this network namespace: its programs are still attached,
//! and through them its tables can be read. Nothing is changed here.

use std::collections::{BTreeMap, BTreeSet};

use aya::Pod;
use aya::maps::{Map, MapData, MapInfo};

use super::MAX_MAPPINGS;
use super::hook::Hooks;
use super::programs::Role;
use super::tables::{self, Address, MappingKey, PortSet, PublishedKey, Table};
use crate::Error;

#[derive(Default)]
pub(super) struct Predecessor {
    /// Interfaces that have `steer`.
    pub(super) steered: Vec<u32>,
    maps: BTreeSet<u32>,
}

impl Predecessor {
    pub(super) fn find(hooks: &Hooks) -> Result<Predecessor, Error> {
        let mut found = Predecessor::default();
        for (ifindex, installed) in hooks.survey()? {
            if installed.iter().any(|one| one.role == Role::Steer) {
                found.steered.push(ifindex);
            }
            found.maps.extend(installed.iter().flat_map(|one| one.maps.iter().copied()));
        }
        Ok(found)
    }

    /// Those that it had, and those that it had inherited itself.
    pub(super) fn mappings(&self) -> Vec<MappingKey> {
        let mut all = BTreeSet::new();
        for name in [tables::MAPPINGS, tables::INHERITED] {
            for table in self.tables::<MappingKey, u8>(name) {
                // A key twice is read where others delete meanwhile; the bound ends it.
                all.extend(table.keys().take(MAX_MAPPINGS as usize));
            }
        }
        all.into_iter().take(MAX_MAPPINGS as usize).collect()
    }

    pub(super) fn locals(&self) -> BTreeSet<Address> {
        self.tables::<Address, u8>(tables::LOCALS).flat_map(|table| table.keys().collect::<Vec<_>>()).collect()
    }

    pub(super) fn published(&self) -> BTreeMap<PublishedKey, Box<PortSet>> {
        let mut all = BTreeMap::new();
        for table in self.tables::<PublishedKey, PortSet>(tables::PUBLISHED) {
            all.extend(table.entries().map(|(key, ports)| (key, Box::new(ports))));
        }
        all
    }

    /// Its tables of this name, as far as they have the layout of today.
    fn tables<K: Pod, V: Pod>(&self, name: &'static str) -> impl Iterator<Item = Table<K, V>> + '_ {
        self.maps.iter().filter_map(move |id| {
            let info = MapInfo::from_id(*id).ok()?;
            let fits = info.key_size() as usize == size_of::<K>() && info.value_size() as usize == size_of::<V>();
            if info.name_as_str() != Some(name) || !fits {
                return None;
            }
            Table::new(name, Map::from_map_data(MapData::from_id(*id).ok()?).ok()?).ok()
        })
    }
}
