//! The names of one network. Whoever holds names (an endpoint, whatever its host) says them as one entry, and takes them
//! back as one. A name may have many holders; a look-up finds addresses of one family without passing over the others.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;

use hashbrown::HashMap;

use crate::name::{LONGEST, Name, before, labels_of, reversed, split_first};

/// Most names of one entry; further ones are left out.
const NAMES: usize = 64;
/// Most addresses of one entry.
const ADDRESSES: usize = 16;
/// Most services of one entry.
const SERVICES: usize = 1_024;

/// What one holder is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its names, without the network's. Its addresses lead to the first. What cannot be a domain name is left out.
    pub names: Vec<String>,
    /// Its addresses in the network.
    pub addresses: Vec<IpAddr>,
    /// The ports that it serves.
    pub services: Vec<Service>,
}

/// A port that somebody serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// The port.
    pub port: u16,
    /// TCP, else UDP.
    pub tcp: bool,
}

/// Everything that a name leads to, with who said so.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    pub(crate) v4: Vec<(Ipv4Addr, u64)>,
    pub(crate) v6: Vec<(Ipv6Addr, u64)>,
    pub(crate) holders: Vec<u64>,
}

impl Owned {
    fn add(&mut self, holder: u64, entry: &Entry) {
        self.holders.push(holder);
        for address in &entry.addresses {
            match *address {
                IpAddr::V4(address) => self.v4.push((address, holder)),
                IpAddr::V6(address) => self.v6.push((address, holder)),
            }
        }
    }

    /// Whether nobody is left.
    fn remove(&mut self, holder: u64) -> bool {
        self.holders.retain(|other| *other != holder);
        self.v4.retain(|(_, other)| *other != holder);
        self.v6.retain(|(_, other)| *other != holder);
        self.holders.is_empty()
    }
}

/// What is kept of an entry.
#[derive(Debug)]
struct Held {
    names: Vec<Box<[u8]>>,
    addresses: Vec<IpAddr>,
    /// In order, to be searched.
    services: Vec<Service>,
    /// Its first name, with the network's behind it, in its own case.
    full: Box<[u8]>,
}

/// The names of one network.
#[derive(Debug, Default)]
pub struct Names {
    /// The network's own name, in its own case and in lower case; empty if it cannot be a domain name.
    network: (Vec<u8>, Vec<u8>),
    by_name: HashMap<Box<[u8]>, Owned>,
    /// Names of several labels, the last label first.
    long: BTreeSet<Box<[u8]>>,
    by_address: HashMap<IpAddr, Vec<u64>>,
    held: HashMap<u64, Held>,
}

impl Names {
    /// A table without names, of a network of that name.
    pub fn new(network: &str) -> Names {
        let labels = labels_of(network).unwrap_or_default();
        let lower = labels.to_ascii_lowercase();
        Names { network: (labels, lower), ..Names::default() }
    }

    /// Number of holders.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nobody has a name.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Says what a holder is known by, in place of what was said of it before.
    pub fn insert(&mut self, holder: u64, mut entry: Entry) {
        self.remove(holder);
        entry.addresses.truncate(ADDRESSES);
        entry.services.truncate(SERVICES);
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut full = Box::default();
        for text in &entry.names {
            let (Some(labels), Some(name)) = (labels_of(text), Name::from_text(text)) else { continue };
            if names.iter().any(|known| **known == *name.labels()) || names.len() == NAMES {
                continue;
            }
            if names.is_empty() {
                full = self.full(labels);
            }
            names.push(name.labels().into());
        }
        if names.is_empty() {
            return;
        }
        for name in &names {
            self.by_name.entry(name.clone()).or_default().add(holder, &entry);
            if !is_single(name) {
                self.long.insert(reversed(name, &mut [0; LONGEST]).into());
            }
        }
        for address in &entry.addresses {
            self.by_address.entry(*address).or_default().push(holder);
        }
        let Entry { addresses, mut services, .. } = entry;
        services.sort_unstable();
        self.held.insert(holder, Held { names, addresses, services, full });
    }

    /// Forgets what was said of a holder.
    pub fn remove(&mut self, holder: u64) {
        let Some(held) = self.held.remove(&holder) else { return };
        for name in held.names {
            if self.by_name.get_mut(&name).is_some_and(|owned| owned.remove(holder)) {
                self.by_name.remove(&name);
                self.long.remove(reversed(&name, &mut [0; LONGEST]));
            }
        }
        for address in held.addresses {
            let Some(holders) = self.by_address.get_mut(&address) else { continue };
            holders.retain(|other| *other != holder);
            if holders.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    /// What a name in lower case leads to.
    pub(crate) fn get(&self, labels: &[u8]) -> Option<&Owned> {
        self.by_name.get(labels)
    }

    /// What a name leads to that ends with the network's.
    pub(crate) fn get_full(&self, labels: &[u8]) -> Option<&Owned> {
        self.by_name.get(before(labels, &self.network.1)?)
    }

    /// The first name of who has an address, with the network's behind it; whoever had it first, if several have it.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<&[u8]> {
        self.full_name(*self.by_address.get(&address)?.first()?)
    }

    /// The first name of a holder, with the network's behind it.
    pub(crate) fn full_name(&self, holder: u64) -> Option<&[u8]> {
        self.held.get(&holder).map(|held| held.full.as_ref())
    }

    /// Whether a holder serves a port.
    pub(crate) fn serves(&self, holder: u64, service: Service) -> bool {
        self.held.get(&holder).is_some_and(|held| held.services.binary_search(&service).is_ok())
    }

    /// Whether a name in lower case has others below it: it is the network's own, or ends with that and stands in a longer one.
    pub(crate) fn is_between(&self, labels: &[u8]) -> bool {
        if !labels.is_empty() && self.network.1 == labels {
            return true;
        }
        let Some(name) = before(labels, &self.network.1).filter(|_| !self.long.is_empty()) else { return false };
        let mut out = [0; LONGEST];
        let name = reversed(name, &mut out);
        let next = self.long.range::<[u8], _>((Bound::Excluded(name), Bound::Unbounded)).next();
        next.is_some_and(|next| next.starts_with(name))
    }

    /// Whether a name in lower case is below the network's, and that cannot be a domain of the outside: those at the top are
    /// of letters only, or begin with `xn--` (RFC 3696 section 2). `red` and `dev` are such, `shop_default` is not.
    pub(crate) fn is_only_ours(&self, labels: &[u8]) -> bool {
        let own = &self.network.1;
        let top = split_first(own).filter(|(_, rest)| rest.is_empty()).map(|(label, _)| label);
        let is_private = |label: &[u8]| !label.iter().all(u8::is_ascii_alphabetic) && !label.starts_with(b"xn--");
        top.is_some_and(is_private) && before(labels, own).is_some()
    }

    /// The addresses of a holder.
    pub(crate) fn addresses(&self, holder: u64) -> &[IpAddr] {
        self.held.get(&holder).map_or(&[], |held| &held.addresses)
    }

    /// A name with the network's behind it, or alone if both together are too long.
    fn full(&self, mut labels: Vec<u8>) -> Box<[u8]> {
        if labels.len() + self.network.0.len() < 255 {
            labels.extend_from_slice(&self.network.0);
        }
        labels.into()
    }
}

fn is_single(labels: &[u8]) -> bool {
    split_first(labels).is_some_and(|(_, rest)| rest.is_empty())
}
