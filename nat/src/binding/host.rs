//! What each host of the inside has: its public address, the same for all its bindings (RFC 4787 REQ-2, "paired"), and how
//! many they are.

use hashbrown::HashMap;

use crate::{Address, Zone};

/// A host with at least one binding.
#[derive(Clone, Copy, Debug)]
struct Host {
    public: Address,
    bindings: u32,
}

/// All hosts that have bindings.
pub(crate) struct Hosts(HashMap<(Zone, Address), Host>);

impl Hosts {
    pub(crate) fn new() -> Hosts {
        Hosts(HashMap::new())
    }

    pub(crate) fn bindings(&self, zone: Zone, ip: Address) -> u32 {
        self.0.get(&(zone, ip)).map_or(0, |host| host.bindings)
    }

    pub(crate) fn paired(&self, zone: Zone, ip: Address) -> Option<Address> {
        self.0.get(&(zone, ip)).map(|host| host.public)
    }

    pub(crate) fn add(&mut self, zone: Zone, ip: Address, public: Address) {
        let host = self.0.entry((zone, ip)).or_insert(Host { public, bindings: 0 });
        host.public = public;
        host.bindings += 1;
    }

    pub(crate) fn remove(&mut self, zone: Zone, ip: Address) {
        if let Some(host) = self.0.get_mut(&(zone, ip)) {
            host.bindings -= 1;
            if host.bindings == 0 {
                self.0.remove(&(zone, ip));
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.0.allocation_size()
    }
}
