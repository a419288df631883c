//! Bindings: an inside endpoint's one public endpoint, whatever it talks to (RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1).
//! No two bindings share a public endpoint. A binding lives exactly as long as a connection uses it.

mod host;
mod peers;
mod port;

use hashbrown::HashTable;

pub(crate) use host::Hosts;
pub(crate) use peers::Peers;
pub(crate) use port::{Ports, candidates};

use crate::{Address, Reason, Zone, hash};

/// An endpoint of the inside, and the protocol that it speaks. For ICMP the port is the query's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Inside {
    pub(crate) zone: Zone,
    pub(crate) ip: Address,
    pub(crate) port: u16,
    pub(crate) protocol: u8,
}

/// A public endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Public {
    pub(crate) ip: Address,
    pub(crate) port: u16,
    pub(crate) protocol: u8,
}

impl Inside {
    fn hash(&self, seed: u64) -> u64 {
        hash::endpoint(seed, self.zone, self.ip, self.port, self.protocol)
    }
}

impl Public {
    fn hash(&self, seed: u64) -> u64 {
        hash::endpoint(seed, Zone::OUTSIDE, self.ip, self.port, self.protocol)
    }
}

/// One binding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) inside: Inside,
    pub(crate) public: Public,
    users: u32,
}

/// What a new binding may be made of.
pub(crate) struct Choice<'a> {
    /// Public addresses of the right family; not empty.
    pub(crate) addresses: &'a [Address],
    pub(crate) ports: Ports,
}

/// All bindings, found from either side.
pub(crate) struct Bindings {
    slots: Vec<Option<Binding>>,
    free: Vec<u32>,
    by_inside: HashTable<u32>,
    by_public: HashTable<u32>,
    seed: u64,
    pub(crate) hosts: Hosts,
    pub(crate) peers: Peers,
}

impl Bindings {
    pub(crate) fn new(seed: u64) -> Bindings {
        Bindings {
            slots: Vec::new(),
            free: Vec::new(),
            by_inside: HashTable::new(),
            by_public: HashTable::new(),
            seed,
            hosts: Hosts::new(),
            peers: Peers::new(seed),
        }
    }

    pub(crate) fn get(&self, at: u32) -> Option<&Binding> {
        self.slots.get(at as usize)?.as_ref()
    }

    pub(crate) fn find_public(&self, public: &Public) -> Option<u32> {
        let same = |&at: &u32| self.get(at).is_some_and(|binding| binding.public == *public);
        self.by_public.find(public.hash(self.seed), same).copied()
    }

    fn find_inside(&self, inside: &Inside) -> Option<u32> {
        let same = |&at: &u32| self.get(at).is_some_and(|binding| binding.inside == *inside);
        self.by_inside.find(inside.hash(self.seed), same).copied()
    }

    /// The binding of an inside endpoint, made if there is none. Follow with [`Bindings::hold`].
    ///
    /// An existing one is kept while its address is among those on offer; else a new one takes its place, and the old one
    /// stays for the connections that use it. A new one takes the address that the host has already (RFC 4787 REQ-2).
    ///
    /// # Errors
    /// [`Reason::HostFull`], [`Reason::NoPort`].
    pub(crate) fn get_or_make(
        &mut self,
        inside: Inside,
        choice: &Choice<'_>,
        per_host: u32,
        random: &mut dyn FnMut() -> u64,
        is_free: &mut dyn FnMut(&Public) -> bool,
    ) -> Result<u32, Reason> {
        let known = self.find_inside(&inside);
        if let Some(at) = known
            && self.get(at).is_some_and(|binding| choice.addresses.contains(&binding.public.ip))
        {
            return Ok(at);
        }
        if self.hosts.bindings(inside.zone, inside.ip) >= per_host {
            return Err(Reason::HostFull);
        }
        let start = match self.hosts.paired(inside.zone, inside.ip) {
            Some(ip) => choice.addresses.iter().position(|&other| other == ip),
            None => None,
        };
        let count = choice.addresses.len().max(1);
        let start = start.unwrap_or_else(|| hash::endpoint(0, inside.zone, inside.ip, 0, 0) as usize % count);
        let ip = *choice.addresses.get(start).ok_or(Reason::NoPort)?;
        let port = candidates(inside.protocol, inside.port, &choice.ports, random)
            .find(|&port| {
                let public = Public { ip, port, protocol: inside.protocol };
                self.find_public(&public).is_none() && is_free(&public)
            })
            .ok_or(Reason::NoPort)?;
        if let Some(old) = known {
            self.unindex_inside(old);
        }
        Ok(self.insert(Binding { inside, public: Public { ip, port, protocol: inside.protocol }, users: 0 }))
    }

    fn insert(&mut self, binding: Binding) -> u32 {
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[at as usize] = Some(binding);
        let Bindings { slots, by_inside, by_public, seed, .. } = self;
        let inside = |at: &u32| slots[*at as usize].map_or(0, |binding| binding.inside.hash(*seed));
        by_inside.insert_unique(binding.inside.hash(*seed), at, inside);
        let public = |at: &u32| slots[*at as usize].map_or(0, |binding| binding.public.hash(*seed));
        by_public.insert_unique(binding.public.hash(*seed), at, public);
        self.hosts.add(binding.inside.zone, binding.inside.ip, binding.public.ip);
        at
    }

    fn unindex_inside(&mut self, at: u32) {
        let Some(inside) = self.get(at).map(|binding| binding.inside) else { return };
        if let Ok(entry) = self.by_inside.find_entry(inside.hash(self.seed), |&other| other == at) {
            entry.remove();
        }
    }

    /// A connection uses the binding from now on.
    pub(crate) fn hold(&mut self, at: u32) {
        if let Some(Some(binding)) = self.slots.get_mut(at as usize) {
            binding.users += 1;
        }
    }

    /// A connection uses it no more. The last one takes it along.
    pub(crate) fn release(&mut self, at: u32) {
        let Some(Some(binding)) = self.slots.get_mut(at as usize) else { return };
        binding.users = binding.users.saturating_sub(1);
        self.drop_if_unused(at);
    }

    /// Removes a binding that nothing uses.
    pub(crate) fn drop_if_unused(&mut self, at: u32) {
        let Some(binding) = self.get(at).filter(|binding| binding.users == 0).copied() else { return };
        self.unindex_inside(at);
        if let Ok(entry) = self.by_public.find_entry(binding.public.hash(self.seed), |&other| other == at) {
            entry.remove();
        }
        self.slots[at as usize] = None;
        self.free.push(at);
        self.hosts.remove(binding.inside.zone, binding.inside.ip);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Binding)> {
        (0..).zip(&self.slots).filter_map(|(at, slot)| Some((at, slot.as_ref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_public.len()
    }

    /// Bytes that all of it takes.
    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Binding>>()
            + self.free.capacity() * size_of::<u32>()
            + self.by_inside.allocation_size()
            + self.by_public.allocation_size()
            + self.hosts.memory()
            + self.peers.memory()
    }
}

impl Binding {
    /// How many connections use it.
    pub(crate) fn users(&self) -> u32 {
        self.users
    }
}
