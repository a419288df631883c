//! A packet as rules see it: the frame, what was parsed, where it goes, and what is known of its connection.

use std::net::IpAddr;

use wire::{Frame, Headers};

use crate::rules::{Log, Statuses};
use crate::{Direction, Tuple};

/// A packet that comes before rules. Rules may change the frame, the headers with it, and the marks.
#[derive(Debug)]
pub struct Packet<'a> {
    /// Its bytes, Ethernet header first.
    pub frame: &'a mut Frame,
    /// What was parsed of them. A rule that makes the packet longer keeps them right.
    pub headers: &'a mut Headers,
    /// The interface where it came in; empty for what the gateway sends itself.
    pub input: &'a str,
    /// The interface where it goes out; empty before that is known.
    pub output: &'a str,
    /// The packet's mark.
    pub mark: u32,
    /// What is known of its connection.
    pub tracking: Tracking,
}

/// What is known of a packet's connection.
#[derive(Clone, Debug)]
pub enum Tracking {
    /// Nothing: it was not looked up yet, or is invalid.
    None,
    /// Nothing yet, and it will be looked up: no rule takes it out.
    Due,
    /// It is not to be tracked.
    Untracked,
    /// It belongs to one.
    Known(Connection),
}

/// A packet's connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Packets have passed both ways.
    pub established: bool,
    /// The packet is not of the connection but about it, or begins one that was announced.
    pub related: bool,
    /// Which way the packet goes.
    pub direction: Direction,
    /// Both ends as the first packet had them, before translation.
    pub original: Tuple,
    /// Both ends as answers have them, before translation.
    pub reply: Tuple,
    /// More about it.
    pub statuses: Statuses,
    /// Whether its source is translated.
    pub source_translated: bool,
    /// Whether its destination is translated.
    pub destination_translated: bool,
    /// Its mark, which rules may change.
    pub mark: u32,
    /// Seconds until it is forgotten.
    pub expires: u32,
}

impl Connection {
    /// One that a packet with these ends begins, before anything is known of it.
    pub fn begun_by(original: Tuple) -> Connection {
        Connection {
            established: false,
            related: false,
            direction: Direction::Original,
            original,
            reply: original.reverse(),
            statuses: Statuses(0),
            source_translated: false,
            destination_translated: false,
            mark: 0,
            expires: 0,
        }
    }
}

/// What an address is to routing; a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressKinds(pub u16);

impl AddressKinds {
    /// `0.0.0.0`, `::`
    pub const UNSPEC: AddressKinds = AddressKinds(1);
    /// One host.
    pub const UNICAST: AddressKinds = AddressKinds(1 << 1);
    /// An address of the gateway itself.
    pub const LOCAL: AddressKinds = AddressKinds(1 << 2);
    /// A broadcast address.
    pub const BROADCAST: AddressKinds = AddressKinds(1 << 3);
    /// An anycast address.
    pub const ANYCAST: AddressKinds = AddressKinds(1 << 4);
    /// A multicast address.
    pub const MULTICAST: AddressKinds = AddressKinds(1 << 5);
    /// Where nothing can be sent.
    pub const UNREACHABLE: AddressKinds = AddressKinds(1 << 7);

    /// Whether one of these is among `wanted`.
    pub(super) const fn meet(self, wanted: u16) -> bool {
        self.0 & wanted != 0
    }
}

/// What rules ask of the world around them.
pub trait Surroundings {
    /// A number that cannot be foretold.
    fn random(&mut self) -> u32;

    /// What an address is to routing, of one interface or of all. An IPv4 address is one thing; of an IPv6 address only
    /// local, anycast and unreachable are asked.
    fn kinds(&mut self, ip: IpAddr, interface: Option<&str>) -> AddressKinds;

    /// Bytes of the largest packet that passes from `from` to `to` and back.
    fn path_mtu(&mut self, from: IpAddr, to: IpAddr) -> u32;

    /// Whether a connection whose packets have this tuple, either way, is there and not over.
    fn is_open(&mut self, tuple: &Tuple) -> bool;

    /// A rule writes a packet down. Called for every packet: limiting what is written is the callee's part.
    fn log(&mut self, log: &Log, packet: &Packet<'_>);
}

/// A world of which nothing is known: for tests, and for who asks rules about packets alone. Chance is 0, every address is
/// some station's, no connection is open, and nothing is written down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Surroundings for Nowhere {
    fn random(&mut self) -> u32 {
        0
    }

    fn kinds(&mut self, _: IpAddr, _: Option<&str>) -> AddressKinds {
        AddressKinds::UNICAST
    }

    fn path_mtu(&mut self, _: IpAddr, _: IpAddr) -> u32 {
        1_500
    }

    fn is_open(&mut self, _: &Tuple) -> bool {
        false
    }

    fn log(&mut self, _: &Log, _: &Packet<'_>) {}
}
