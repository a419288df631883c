//! The forwarding table of a bridge: MAC address and VLAN to station slot. VLANs learn independently (IEEE 802.1Q section
//! 8.8); an address that the endpoint table or an operator speaks for has one VLAN, its home.

use hashbrown::HashMap;
use wire::Mac;

use crate::vlan::UNTAGGED;

#[derive(Debug, Default)]
pub(crate) struct Fdb {
    /// By VLAN above, address below.
    slots: HashMap<u64, u32>,
    /// The VLAN of addresses that are spoken for, where it is not the untagged one.
    homes: HashMap<Mac, u16>,
}

impl Fdb {
    /// The station of an address in its home; of one that nobody speaks for, in the untagged network.
    pub(crate) fn get(&self, mac: &Mac) -> Option<&u32> {
        self.find(self.home(*mac), *mac)
    }

    /// The station that has an address in a VLAN.
    pub(crate) fn find(&self, vlan: u16, mac: Mac) -> Option<&u32> {
        self.slots.get(&key(vlan, mac))
    }

    /// Where an address is at home.
    pub(crate) fn home(&self, mac: Mac) -> u16 {
        self.homes.get(&mac).copied().unwrap_or(UNTAGGED)
    }

    /// Says where an address is at home.
    pub(crate) fn set_home(&mut self, mac: Mac, vlan: u16) {
        match vlan {
            UNTAGGED => drop(self.homes.remove(&mac)),
            _ => drop(self.homes.insert(mac, vlan)),
        }
    }

    pub(crate) fn insert(&mut self, vlan: u16, mac: Mac, slot: u32) {
        self.slots.insert(key(vlan, mac), slot);
    }

    pub(crate) fn remove(&mut self, vlan: u16, mac: Mac) {
        self.slots.remove(&key(vlan, mac));
    }

    /// The slots of all stations.
    pub(crate) fn values(&self) -> impl Iterator<Item = &u32> {
        self.slots.values()
    }
}

fn key(vlan: u16, mac: Mac) -> u64 {
    u64::from(vlan) << 48 | mac.to_u64()
}
