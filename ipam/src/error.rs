//! Why there is no address or no subnet. Every text names the object and what to do about it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// What can go wrong with subnets and leases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// subnet 10.1.0.0/24: address 10.2.0.5 is not inside it; choose one that is
    #[error("subnet {cidr}: address {address} is not inside it; choose one that is")]
    NotInSubnet {
        /// The address asked for.
        address: IpAddr,
        /// The subnet it should be in.
        cidr: IpNet,
    },

    /// address 10.1.0.5 is held by web on host h1; choose another or release that one
    #[error("address {address} is held by {owner} on host {host}; choose another or release that one")]
    InUse {
        /// The address asked for.
        address: IpAddr,
        /// Its holder.
        owner: String,
        /// The holder's host.
        host: String,
    },

    /// web holds address 10.1.0.2 already and asks for 10.1.0.9; release the first one before
    #[error("{owner} holds address {held} already and asks for {want}; release the first one before")]
    HoldsAnother {
        /// The owner that asks.
        owner: String,
        /// What it holds.
        held: IpAddr,
        /// What it asks for.
        want: IpAddr,
    },

    /// address 10.1.0.5 rests after its release by web until 1700000060000 ms Unix time; choose another or try again then
    #[error(
        "address {address} rests after its release by {owner} until {until} ms Unix time; choose another or try again then"
    )]
    Resting {
        /// The address asked for.
        address: IpAddr,
        /// Its former holder, which alone may have it back at once.
        owner: String,
        /// End of the rest, in milliseconds since the Unix epoch.
        until: u64,
    },

    /// address 10.1.0.1 is the gateway; choose another
    #[error("address {address} is {what}; choose another")]
    Reserved {
        /// The address asked for.
        address: IpAddr,
        /// What it is for, with its article: `the gateway`.
        what: String,
    },

    /// address 10.1.0.5 has no lease; there is nothing to release
    #[error("address {address} has no lease; there is nothing to release")]
    NotLeased {
        /// The address that was to be released.
        address: IpAddr,
    },

    /// no address is free in 10.1.0.0/29: of 5, 4 are held (10.1.0.2 by a on host h1, ...) and 1 rests, the first until 1700000060000 ms Unix time; remove endpoints or use a larger subnet or range
    #[error("{0}")]
    Exhausted(Box<Exhaustion>),

    /// subnet 10.1.0.7/24: host bits are set; write 10.1.0.0/24
    #[error("subnet {cidr}: {why}")]
    BadSubnet {
        /// The subnet as it was given.
        cidr: IpNet,
        /// What is wrong, and what would be right.
        why: String,
    },

    /// address pool 10.0.0.0/16 in /8: a subnet of it would be larger than the pool; use a size from 16 to 32
    #[error("address pool {base} in /{size}: {why}")]
    BadPlan {
        /// The pool as it was given.
        base: IpNet,
        /// Its prefix length for subnets, as it was given.
        size: u8,
        /// What is wrong, and what would be right.
        why: String,
    },

    /// no free subnet: all of 10.0.0.0/8 in /24 are taken by networks, routes or resolvers of the host (65536 known); name a subnet or set other address pools
    #[error(
        "no free subnet: all of {plans} are taken by networks, routes or resolvers of the host ({used} known); name a subnet or set other address pools"
    )]
    NoFreeSubnet {
        /// The pools that were searched.
        plans: String,
        /// How many prefixes count as taken.
        used: usize,
    },
}

/// Who holds an address, for the text of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The address.
    pub address: IpAddr,
    /// Who holds it.
    pub owner: String,
    /// The holder's host.
    pub host: String,
}

/// A full pool: how many addresses there are and who has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhaustion {
    /// The range that was searched: the subnet, or its range where it has one.
    pub range: IpNet,
    /// Addresses in it that can be given.
    pub capacity: u128,
    /// Those that are held.
    pub held: u64,
    /// Those that rest.
    pub resting: u64,
    /// The first holders, in address order; at most [`Exhaustion::SHOWN`].
    pub holders: Vec<Holder>,
    /// When the first resting address is free, in milliseconds since the Unix epoch.
    pub next: Option<u64>,
}

impl Exhaustion {
    /// How many holders an error names.
    pub const SHOWN: usize = 4;
}

impl fmt::Display for Exhaustion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exhaustion { range, capacity, held, resting, holders, next } = self;
        write!(f, "no address is free in {range}: of {capacity}, {held} {} held", are(*held))?;
        for (i, holder) in holders.iter().enumerate() {
            let before = if i == 0 { " (" } else { ", " };
            write!(f, "{before}{} by {} on host {}", holder.address, holder.owner, holder.host)?;
        }
        if !holders.is_empty() {
            let more = *held > holders.len() as u64;
            f.write_str(if more { ", ...)" } else { ")" })?;
        }
        write!(f, " and {resting} {}", if *resting == 1 { "rests" } else { "rest" })?;
        if let Some(next) = next {
            write!(f, ", the first until {next} ms Unix time")?;
        }
        f.write_str("; remove endpoints or use a larger subnet or range")
    }
}

fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
