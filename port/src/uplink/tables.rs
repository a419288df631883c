//! The programs' tables from this side: names, layouts (as in bpf/maps.h), and access with errors that name the table.

use std::fmt;
use std::io;
use std::net::IpAddr;

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError};

use crate::Error;

pub(super) const MAPPINGS: &str = "vsw_mappings";
pub(super) const INHERITED: &str = "vsw_inherited";
pub(super) const LOCALS: &str = "vsw_locals";
pub(super) const PUBLISHED: &str = "vsw_published";
pub(super) const CONFIG: &str = "vsw_config";
pub(super) const BEAT: &str = "vsw_beat";
pub(super) const LIMIT: &str = "vsw_limit";
pub(super) const STEERED: &str = "vsw_steered";
pub(super) const DEPARTED: &str = "vsw_departed";
pub(super) const NICS: &str = "vsw_nics";
pub(super) const INLETS: &str = "vsw_inlets";

/// IPv4 as ::ffff:a.b.c.d.
pub(super) type Address = [u8; 16];

/// Addresses of host and remote, their ports in network order, protocol, three zeros.
pub(super) type MappingKey = [u8; 40];

/// Address, protocol, three zeros.
pub(super) type PublishedKey = [u8; 20];

/// Bit n of word n / 64: port n.
pub(super) type PortSet = [u64; 1024];

/// MAC address, whether TCP comes joined, a zero, number of the first queue.
pub(super) type Nic = [u8; 12];

/// Interface index of the link; whether the inherited mappings count.
pub(super) type Config = [u32; 2];

pub(super) fn address(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

pub(super) fn mapping_key(protocol: u8, local: (IpAddr, u16), remote: (IpAddr, u16)) -> MappingKey {
    let mut key = [0; 40];
    key[..16].copy_from_slice(&address(local.0));
    key[16..32].copy_from_slice(&address(remote.0));
    key[32..34].copy_from_slice(&local.1.to_be_bytes());
    key[34..36].copy_from_slice(&remote.1.to_be_bytes());
    key[36] = protocol;
    key
}

pub(super) fn published_key(protocol: u8, address: Address) -> PublishedKey {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&address);
    key[16] = protocol;
    key
}

/// A table of entries.
#[derive(Debug)]
pub(super) struct Table<K: Pod, V: Pod> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Table<K, V>, Error> {
        let map = HashMap::try_from(map).map_err(failed(name))?;
        Ok(Table { name, map })
    }

    pub(super) fn put(&mut self, key: &K, value: &V) -> Result<(), Error> {
        self.map.insert(key, value, 0).map_err(failed(self.name))
    }

    /// An entry that is not there is no error.
    pub(super) fn remove(&mut self, key: &K) -> Result<(), Error> {
        match self.map.remove(key) {
            Err(error) if !is_missing(&error) => Err(failed(self.name)(error)),
            _ => Ok(()),
        }
    }

    /// All keys, as far as they can be read while others write.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.map.keys().filter_map(Result::ok)
    }

    /// All entries, as far as they can be read while others write.
    pub(super) fn entries(&self) -> impl Iterator<Item = (K, V)> + '_ {
        self.map.iter().filter_map(Result::ok)
    }
}

/// A table with a single value.
pub(super) struct Cell<V: Pod> {
    name: &'static str,
    map: Array<MapData, V>,
}

impl<V: Pod> Cell<V> {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Cell<V>, Error> {
        let map = Array::try_from(map).map_err(failed(name))?;
        Ok(Cell { name, map })
    }

    pub(super) fn set(&mut self, value: V) -> Result<(), Error> {
        self.map.set(0, value, 0).map_err(failed(self.name))
    }
}

impl<V: Pod> fmt::Debug for Cell<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cell").field(&self.name).finish()
    }
}

fn is_missing(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound | MapError::ElementNotFound => true,
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::ENOENT),
        _ => false,
    }
}

/// Names the table in an error of aya's.
pub(super) fn failed(table: &'static str) -> impl Fn(MapError) -> Error {
    move |error| {
        let source = match error {
            MapError::SyscallError(error) => error.io_error,
            other => io::Error::other(other),
        };
        Error::UplinkTable { table, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_layout_of_the_programs() {
        let key = mapping_key(17, ("10.1.2.3".parse().unwrap(), 0x1234), ("fd00::1".parse().unwrap(), 0x5678));
        assert_eq!(key[..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]);
        assert_eq!(key[16..18], [0xfd, 0]);
        assert_eq!(key[31..], [1, 0x12, 0x34, 0x56, 0x78, 17, 0, 0, 0]);
        assert_eq!(published_key(6, [1; 16])[15..], [1, 6, 0, 0, 0]);
    }
}
