//! Tunnel endpoints by number, so that a flow holds four bytes instead of an address.

use std::net::IpAddr;

use hashbrown::HashMap;

/// The number of a VTEP in [`Vteps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VtepId(pub u32);

/// Every VTEP that was ever named by the store or an operator. Numbers stay valid for ever, so a table of flows needs no
/// clean-up when a host goes; addresses in received frames alone never add one, so outsiders cannot fill it.
#[derive(Debug, Default)]
pub struct Vteps {
    addresses: Vec<IpAddr>,
    ids: HashMap<IpAddr, VtepId>,
}

impl Vteps {
    /// The number of `address`, which gets one if it has none.
    pub fn insert(&mut self, address: IpAddr) -> VtepId {
        let next = VtepId(self.addresses.len() as u32);
        let id = *self.ids.entry(address).or_insert(next);
        if id == next {
            self.addresses.push(address);
        }
        id
    }

    /// The number of `address`, if it was ever named.
    #[inline]
    pub fn get(&self, address: &IpAddr) -> Option<VtepId> {
        self.ids.get(address).copied()
    }

    /// The address behind a number from this table.
    #[inline]
    pub fn address(&self, id: VtepId) -> Option<IpAddr> {
        self.addresses.get(id.0 as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable() {
        let mut vteps = Vteps::default();
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let first = vteps.insert(a);
        assert_ne!(vteps.insert(b), first);
        assert_eq!(vteps.insert(a), first);
        assert_eq!((vteps.address(first), vteps.get(&b)), (Some(a), Some(VtepId(1))));
        assert_eq!(vteps.get(&"192.0.2.9".parse().unwrap()), None);
    }
}
