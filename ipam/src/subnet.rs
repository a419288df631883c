//! One subnet of a network: its prefix, the range for dynamic addresses, and what is reserved in it.
//! Says nothing about leases. Invariant of a subnet from [`Subnet::new`] or from a row: no host bits,
//! everything inside the prefix, reserved addresses distinct and usable.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::spans::{Spans, address, bounds, number};

/// A prefix and the rules for its addresses.
///
/// A row with an unknown field is refused: it may be a reservation that this version would ignore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row")]
pub struct Subnet {
    /// The prefix, host bits zero.
    pub cidr: IpNet,
    /// Where dynamic addresses come from, inside `cidr`; all of it if absent. Static ones may be outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<IpNet>,
    /// The gateway's address; absent only in a subnet of one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Addresses that belong to something else on that network, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aux: BTreeMap<String, IpAddr>,
}

/// A subnet as it is written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    cidr: IpNet,
    #[serde(default)]
    range: Option<IpNet>,
    #[serde(default)]
    gateway: Option<IpAddr>,
    #[serde(default)]
    aux: BTreeMap<String, IpAddr>,
}

impl TryFrom<Row> for Subnet {
    type Error = Error;

    fn try_from(row: Row) -> Result<Subnet, Error> {
        Subnet::new(row.cidr, row.range, row.gateway, row.aux)
    }
}

/// Prefixes that cannot hold endpoints, and why.
const NOT_FOR_ENDPOINTS: [(&str, &str); 7] = [
    ("0.0.0.0/8", "this host (RFC 1122 section 3.2.1.3)"),
    ("127.0.0.0/8", "loopback"),
    ("224.0.0.0/4", "multicast"),
    ("::/128", "the unspecified address"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped addresses (RFC 4291 section 2.5.5.2)"),
    ("ff00::/8", "multicast"),
];

impl Subnet {
    /// Checks a subnet; without a `gateway` it gets the first usable address that is not in `aux`.
    ///
    /// A subnet of two addresses (/31: RFC 3021, /127: RFC 6164) has no network, broadcast or anycast
    /// address: its first address is the gateway's. One of a single address has no default gateway.
    ///
    /// # Errors
    /// [`Error::BadSubnet`], which says what would be right.
    pub fn new(
        cidr: IpNet,
        range: Option<IpNet>,
        gateway: Option<IpAddr>,
        aux: BTreeMap<String, IpAddr>,
    ) -> Result<Subnet, Error> {
        let bad = |why: String| Err(Error::BadSubnet { cidr, why });
        if cidr != cidr.trunc() {
            return bad(format!("host bits are set; write {}", cidr.trunc()));
        }
        for (text, what) in NOT_FOR_ENDPOINTS {
            if text.parse().is_ok_and(|net: IpNet| net.contains(&cidr) || cidr.contains(&net)) {
                return bad(format!("it overlaps {text}, {what}; choose another"));
            }
        }
        let mut subnet = Subnet { cidr, range, gateway, aux };
        if let Some(range) = range {
            if range != range.trunc() {
                return bad(format!("range {range}: host bits are set; write {}", range.trunc()));
            }
            if !cidr.contains(&range) {
                return bad(format!("range {range} is not inside it; choose one that is"));
            }
            if subnet.dynamic().is_none() {
                return bad(format!("range {range} has no usable address; choose a larger one"));
            }
        }
        let mut names: BTreeMap<IpAddr, String> = BTreeMap::new();
        let gateway = gateway.map(|address| ("gateway".to_owned(), address));
        let aux = subnet.aux.iter().map(|(name, &address)| (format!("auxiliary address {name}"), address));
        for (name, address) in gateway.into_iter().chain(aux) {
            if !cidr.contains(&address) {
                return bad(format!("{name} {address} is not inside it; choose one that is"));
            }
            if let Some(what) = subnet.edge(address) {
                return bad(format!("{name} {address} is {what}; choose another"));
            }
            if let Some(other) = names.insert(address, name.clone()) {
                return bad(format!("{name} and {other} are both {address}; give each its own"));
            }
        }
        if subnet.gateway.is_none() {
            subnet.gateway = subnet.default_gateway();
        }
        Ok(subnet)
    }

    /// Whether an address is one of the prefix, reserved or not.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address)
    }

    /// What an address is kept for, with its article; absent if an endpoint may have it.
    pub fn reserved(&self, address: IpAddr) -> Option<String> {
        if let Some(what) = self.edge(address) {
            return Some(what.to_owned());
        }
        if self.gateway == Some(address) {
            return Some("the gateway".to_owned());
        }
        let (name, _) = self.aux.iter().find(|&(_, &other)| other == address)?;
        Some(format!("the auxiliary address {name}"))
    }

    /// Whether an endpoint may have that address at all, asked for by name.
    ///
    /// # Errors
    /// [`Error::NotInSubnet`] or [`Error::Reserved`].
    pub fn check(&self, address: IpAddr) -> Result<(), Error> {
        if !self.contains(address) {
            return Err(Error::NotInSubnet { address, cidr: self.cidr });
        }
        match self.reserved(address) {
            Some(what) => Err(Error::Reserved { address, what }),
            None => Ok(()),
        }
    }

    /// Bounds of the addresses that are given dynamically, gateway and auxiliary ones still among them.
    pub(crate) fn dynamic(&self) -> Option<(u128, u128)> {
        let (first, last) = self.usable();
        let inside = self.range.filter(|range| self.cidr.contains(range));
        let (low, high) = inside.as_ref().map_or((first, last), bounds);
        let (low, high) = (low.max(first), high.min(last));
        (low <= high).then_some((low, high))
    }

    /// The numbers of all reserved addresses: the edges, the gateway and the auxiliary ones.
    pub(crate) fn kept(&self) -> Spans {
        let mut spans = Spans::default();
        let (lowest, highest) = bounds(&self.cidr);
        let (first, last) = self.usable();
        if lowest < first {
            spans.insert(lowest, lowest);
        }
        if last < highest {
            spans.insert(highest, highest);
        }
        let inside = self.gateway.iter().chain(self.aux.values()).filter(|a| self.contains(**a));
        for &address in inside {
            spans.insert(number(address), number(address));
        }
        spans
    }

    /// Bounds of the addresses that a node can have. Two addresses or one: all of them (RFC 3021, RFC 6164).
    fn usable(&self) -> (u128, u128) {
        let (first, last) = bounds(&self.cidr);
        match (last - first, self.cidr) {
            (0 | 1, _) => (first, last),
            (_, IpNet::V4(_)) => (first + 1, last - 1),
            (_, IpNet::V6(_)) => (first + 1, last),
        }
    }

    /// What an address at the edge of the prefix is, that no node can have.
    fn edge(&self, address: IpAddr) -> Option<&'static str> {
        let (first, last) = self.usable();
        let at = number(address);
        match self.cidr {
            _ if !self.contains(address) => None,
            IpNet::V4(_) if at < first => Some("the network address"),
            IpNet::V4(_) if at > last => Some("the broadcast address"),
            IpNet::V6(_) if at < first => Some("the subnet-router anycast address"),
            _ => None,
        }
    }

    fn default_gateway(&self) -> Option<IpAddr> {
        let (first, last) = self.usable();
        if first == last {
            return None;
        }
        let free = self.kept().lowest_missing(first, last)?;
        Some(address(free, &self.cidr))
    }
}
