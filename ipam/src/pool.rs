//! One subnet and its leases: who holds what, and what the next owner should get. It proposes and records;
//! it never decides between hosts, that is the store's compare-and-set.
//! Invariant: the indexes (`reserved`, `taken`, `owners`, `resting`) say exactly what `leases` and the subnet say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::error::{Error, Exhaustion, Holder};
use crate::lease::{Lease, State};
use crate::spans::{Spans, address, number};
use crate::subnet::Subnet;

/// The leases of one subnet, at most one for an address.
#[derive(Clone, Debug)]
pub struct Pool {
    subnet: Subnet,
    leases: BTreeMap<IpAddr, Lease>,
    /// Every reserved address, as a number.
    reserved: Spans,
    /// Every leased or reserved address, as a number.
    taken: Spans,
    /// Owner to its addresses: one, unless the store says otherwise.
    owners: BTreeMap<String, BTreeSet<IpAddr>>,
    /// End of the rest and address of each resting lease.
    resting: BTreeSet<(u64, IpAddr)>,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Addresses that can be given dynamically: the range without what is reserved.
    pub capacity: u128,
    /// Addresses in use, static ones outside the range among them.
    pub held: u64,
    /// Addresses that rest after their release.
    pub resting: u64,
    /// Addresses that can be given dynamically now.
    pub available: u128,
}

impl Pool {
    /// A pool without leases.
    pub fn new(subnet: Subnet) -> Pool {
        let reserved = subnet.kept();
        Pool {
            taken: reserved.clone(),
            reserved,
            subnet,
            leases: BTreeMap::new(),
            owners: BTreeMap::new(),
            resting: BTreeSet::new(),
        }
    }

    /// The subnet.
    pub fn subnet(&self) -> &Subnet {
        &self.subnet
    }

    /// The address that `owner` should get at `now` (milliseconds since the Unix epoch); changes nothing.
    ///
    /// With `want`, that one or an error. Else the one it holds already; else the one it released a moment ago,
    /// while that rests; else the lowest free one of the range. Others never get a resting address.
    ///
    /// # Errors
    /// For a `want` that cannot be had: [`Error::NotInSubnet`], [`Error::Reserved`], [`Error::InUse`],
    /// [`Error::Resting`], or [`Error::HoldsAnother`]. Without one: [`Error::Exhausted`].
    pub fn candidate(&self, owner: &str, want: Option<IpAddr>, now: u64) -> Result<IpAddr, Error> {
        match want {
            Some(want) => self.wanted(owner, want, now),
            None => match self.own(owner, now).or_else(|| self.lowest_free(now)) {
                Some(address) => Ok(address),
                None => Err(self.exhausted(now)),
            },
        }
    }

    /// Records what the store said, in place of what was known about that address. A lease for an address
    /// outside the subnet is not taken in; [`Subnet::check`] tells why.
    pub fn insert(&mut self, lease: Lease) {
        if !self.subnet.contains(lease.address) {
            return;
        }
        self.remove(lease.address);
        let at = number(lease.address);
        self.taken.insert(at, at);
        self.owners.entry(lease.owner.clone()).or_default().insert(lease.address);
        if let State::Resting { until } = lease.state {
            self.resting.insert((until, lease.address));
        }
        self.leases.insert(lease.address, lease);
    }

    /// Forgets the lease of an address.
    pub fn remove(&mut self, address: IpAddr) -> Option<Lease> {
        let lease = self.leases.remove(&address)?;
        if !self.is_reserved(address) {
            self.taken.remove(number(address));
        }
        if let Some(addresses) = self.owners.get_mut(&lease.owner) {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.owners.remove(&lease.owner);
            }
        }
        if let State::Resting { until } = lease.state {
            self.resting.remove(&(until, address));
        }
        Some(lease)
    }

    /// The lease of an address, held or resting.
    pub fn get(&self, address: IpAddr) -> Option<&Lease> {
        self.leases.get(&address)
    }

    /// All leases in address order.
    pub fn dump(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// Releases an address: it rests until `until` (milliseconds since the Unix epoch). Doing it again changes
    /// nothing, the first end of the rest stays.
    ///
    /// # Errors
    /// [`Error::NotLeased`]; [`Error::InUse`] or [`Error::Resting`] if it is somebody else's.
    pub fn rest(&mut self, address: IpAddr, owner: &str, until: u64) -> Result<Lease, Error> {
        let lease = self.leases.get(&address).ok_or(Error::NotLeased { address })?;
        if lease.owner != owner {
            return Err(somebody_elses(lease));
        }
        if !lease.is_held() {
            return Ok(lease.clone());
        }
        let rested = Lease { state: State::Resting { until }, ..lease.clone() };
        self.insert(rested.clone());
        Ok(rested)
    }

    /// Removes the leases whose rest is over at `now` (milliseconds since the Unix epoch), the oldest first.
    pub fn expire(&mut self, now: u64) -> Vec<Lease> {
        let over: Vec<IpAddr> = self.over(now).collect();
        over.into_iter().filter_map(|address| self.remove(address)).collect()
    }

    /// How full the pool is at `now` (milliseconds since the Unix epoch).
    pub fn usage(&self, now: u64) -> Usage {
        let over = self.over(now).count();
        let free = self.subnet.dynamic().map_or(0, |(first, last)| {
            let gaps = (last - first).saturating_add(1) - self.taken.count(first, last);
            gaps.saturating_add(self.over(now).filter(|a| self.is_dynamic(*a)).count() as u128)
        });
        Usage {
            capacity: self.capacity(),
            held: (self.leases.len() - self.resting.len()) as u64,
            resting: (self.resting.len() - over) as u64,
            available: free,
        }
    }

    fn wanted(&self, owner: &str, want: IpAddr, now: u64) -> Result<IpAddr, Error> {
        self.subnet.check(want)?;
        let lease = self.leases.get(&want).filter(|lease| !lease.is_over(now));
        if let Some(lease) = lease
            && lease.owner != owner
        {
            return Err(somebody_elses(lease));
        }
        // An endpoint has one address in a subnet. To answer with the one it has would be to ignore the request.
        let held = self.leases_of(owner).find(|lease| lease.is_held());
        match held {
            Some(held) if !lease.is_some_and(Lease::is_held) => {
                Err(Error::HoldsAnother { owner: owner.to_owned(), held: held.address, want })
            }
            _ => Ok(want),
        }
    }

    /// What the owner holds, or could have back. A row for a reserved address gives it nothing.
    fn own(&self, owner: &str, now: u64) -> Option<IpAddr> {
        let held = self.leases_of(owner).find(|lease| lease.is_held());
        let back = || self.leases_of(owner).find(|lease| !lease.is_over(now) && self.is_dynamic(lease.address));
        held.or_else(back).map(|lease| lease.address)
    }

    fn leases_of(&self, owner: &str) -> impl Iterator<Item = &Lease> {
        let addresses = self.owners.get(owner).into_iter().flatten();
        let leases = addresses.filter_map(|address| self.leases.get(address));
        leases.filter(|lease| !self.is_reserved(lease.address))
    }

    /// The lowest address of the range that nobody holds and that does not rest, whether or not
    /// [`Pool::expire`] has been called since its rest was over.
    fn lowest_free(&self, now: u64) -> Option<IpAddr> {
        let (first, last) = self.subnet.dynamic()?;
        let gap = self.taken.lowest_missing(first, last).map(|at| address(at, &self.subnet.cidr));
        let over = self.over(now).filter(|address| self.is_dynamic(*address)).min();
        gap.into_iter().chain(over).min()
    }

    fn over(&self, now: u64) -> impl Iterator<Item = IpAddr> {
        self.resting.iter().take_while(move |(until, _)| *until <= now).map(|(_, address)| *address)
    }

    fn is_dynamic(&self, address: IpAddr) -> bool {
        let at = number(address);
        let inside = self.subnet.dynamic().is_some_and(|(first, last)| (first..=last).contains(&at));
        inside && !self.is_reserved(address)
    }

    fn is_reserved(&self, address: IpAddr) -> bool {
        let at = number(address);
        self.reserved.overlapping(at, at).is_some()
    }

    fn capacity(&self) -> u128 {
        self.subnet
            .dynamic()
            .map_or(0, |(first, last)| (last - first).saturating_add(1) - self.reserved.count(first, last))
    }

    fn exhausted(&self, now: u64) -> Error {
        let inside = || self.dump().filter(|lease| self.is_dynamic(lease.address));
        let held = || inside().filter(|lease| lease.is_held());
        let holders = held().take(Exhaustion::SHOWN).map(|lease| Holder {
            address: lease.address,
            owner: lease.owner.clone(),
            host: lease.host.clone(),
        });
        let rests = inside().filter(|lease| !lease.is_held() && !lease.is_over(now)).count();
        let next = self.resting.iter().find(|(until, a)| *until > now && self.is_dynamic(*a));
        Error::Exhausted(Box::new(Exhaustion {
            range: self.subnet.range.unwrap_or(self.subnet.cidr),
            capacity: self.capacity(),
            held: held().count() as u64,
            resting: rests as u64,
            holders: holders.collect(),
            next: next.map(|(until, _)| *until),
        }))
    }
}

fn somebody_elses(lease: &Lease) -> Error {
    let (address, owner) = (lease.address, lease.owner.clone());
    match lease.state {
        State::Held => Error::InUse { address, owner, host: lease.host.clone() },
        State::Resting { until } => Error::Resting { address, owner, until },
    }
}
