//! Longest prefix match over a few distinct lengths: a hash look-up per length that occurs.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;

/// Values by prefix. Several values of one prefix keep their order.
#[derive(Debug)]
pub(super) struct Prefixes<T> {
    /// By length and family, the longest first.
    lengths: BTreeMap<Reverse<(u8, bool)>, OfLength<T>>,
}

type OfLength<T> = HashMap<IpNet, Vec<T>>;

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Prefixes { lengths: BTreeMap::new() }
    }
}

impl<T> Prefixes<T> {
    pub(super) fn insert(&mut self, net: IpNet, value: T) {
        let net = net.trunc();
        let length = Reverse((net.prefix_len(), net.addr().is_ipv4()));
        self.lengths.entry(length).or_default().entry(net).or_default().push(value);
    }

    /// Takes out the values that `which` names.
    pub(super) fn remove(&mut self, net: IpNet, which: impl Fn(&T) -> bool) {
        let net = net.trunc();
        let length = Reverse((net.prefix_len(), net.addr().is_ipv4()));
        let Some(nets) = self.lengths.get_mut(&length) else { return };
        if let Some(values) = nets.get_mut(&net) {
            values.retain(|value| !which(value));
            if values.is_empty() {
                nets.remove(&net);
            }
        }
        if nets.is_empty() {
            self.lengths.remove(&length);
        }
    }

    /// The values of the longest prefix that has `address`.
    pub(super) fn get(&self, address: IpAddr) -> &[T] {
        let of_family = self.lengths.iter().filter(|(Reverse((_, v4)), _)| *v4 == address.is_ipv4());
        let mut found = of_family.filter_map(|(Reverse((length, _)), nets)| {
            let net = IpNet::new(address, *length).ok()?.trunc();
            nets.get(&net)
        });
        found.next().map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_the_family_wins() {
        let mut routes = Prefixes::default();
        let nets = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "fd00::/8"];
        for net in nets {
            routes.insert(net.parse().unwrap(), net);
        }
        routes.insert("10.1.0.0/16".parse().unwrap(), "second");
        let at = |address: &str| routes.get(address.parse().unwrap()).first().copied();
        assert_eq!(at("10.1.2.3"), Some("10.1.2.3/32"));
        assert_eq!(at("10.1.9.9"), Some("10.1.0.0/16"));
        assert_eq!(at("192.0.2.1"), Some("0.0.0.0/0"));
        assert_eq!(at("fd00::1"), Some("fd00::/8"));
        assert_eq!(at("2001:db8::1"), Some("::/0"));
        routes.remove("10.1.0.0/16".parse().unwrap(), |net| *net == "10.1.0.0/16");
        assert_eq!(routes.get("10.1.9.9".parse().unwrap()), ["second"]);
        routes.remove("10.1.0.0/16".parse().unwrap(), |_| true);
        assert_eq!(routes.get("10.1.9.9".parse().unwrap()), ["10.0.0.0/8"]);
    }
}
