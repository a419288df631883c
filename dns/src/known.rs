//! Looking up what the asker's networks know: names, services of names, names of addresses, and names that mean the same
//! everywhere. Fills in the reply, or leaves it untouched where the name is not known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::kind;
use crate::name::split_first;
use crate::names::{Names, Owned, Service};
use crate::reply::Reply;
use crate::respond::View;
use crate::reverse::{self, number};
use crate::select::select;
use crate::shuffle::Shuffle;
use crate::special::{LOCALHOST, Special, localhost};

/// Most servers in an answer.
const MOST_SERVERS: usize = 64;
/// Most holders of a name that are asked whether they serve a port, from a random one on: others like them are enough.
const MOST_ASKED: usize = 2_048;
/// Bytes of an answer's record with an IPv4 address, and with an IPv6 address.
const RECORD: (usize, usize) = (16, 28);

/// How a question that concerns these networks was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Records,
    /// The name has no record of the type.
    Nothing,
    NoSuchName,
}

impl Outcome {
    fn of(any: bool) -> Outcome {
        if any { Outcome::Records } else { Outcome::Nothing }
    }
}

/// Memory that look-ups use again.
#[derive(Debug)]
pub(crate) struct Scratch {
    shuffle: Shuffle,
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
    servers: Vec<u64>,
}

impl Scratch {
    pub(crate) fn new(seed: u64) -> Scratch {
        Scratch { shuffle: Shuffle::new(seed), v4: Vec::new(), v6: Vec::new(), servers: Vec::new() }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'q> {
    pub(crate) kind: u16,
    /// In lower case, without the root's zero.
    pub(crate) name: &'q [u8],
    /// Longest answer, in bytes.
    pub(crate) limit: usize,
}

/// What a name leads to, in each network that knows it: as it is, or with the network's name behind it.
fn owned<'a>(
    networks: impl Iterator<Item = &'a Names> + Clone,
    name: &[u8],
) -> impl Iterator<Item = (&'a Names, &'a Owned)> {
    let plain = networks.clone().filter_map(move |names| Some((names, names.get(name)?)));
    plain.chain(networks.filter_map(move |names| Some((names, names.get_full(name)?))))
}

impl Question<'_> {
    /// Answers, if the name is known here.
    pub(crate) fn answer<'a, N, C>(
        &self,
        reply: &mut Reply<'_>,
        view: &View<N, C>,
        scratch: &mut Scratch,
    ) -> Option<Outcome>
    where
        N: Iterator<Item = &'a Names> + Clone,
        C: Fn(IpAddr) -> bool,
    {
        // What means the same everywhere comes first: nobody may be called `localhost`.
        if let Some(special) = Special::of(self.name) {
            return Some(self.answer_special(reply, special));
        }
        self.answer_name(reply, view.networks.clone(), scratch)
            .or_else(|| self.answer_service(reply, view.networks.clone(), scratch))
            .or_else(|| self.answer_address(reply, view))
            .or_else(|| self.answer_place(view.networks.clone()))
    }

    fn answer_name<'a>(
        &self,
        reply: &mut Reply<'_>,
        networks: impl Iterator<Item = &'a Names> + Clone,
        scratch: &mut Scratch,
    ) -> Option<Outcome> {
        let mut known = owned(networks, self.name).map(|(_, owned)| owned).peekable();
        known.peek()?;
        let Scratch { shuffle, v4, v6, .. } = scratch;
        let (any, all) = match self.kind {
            kind::A => {
                let found = known.find(|owned| !owned.v4.is_empty());
                let addresses = found.map_or(&[][..], |owned| &owned.v4);
                let whole = select(addresses, self.limit / RECORD.0, shuffle, v4);
                (found.is_some(), v4.iter().all(|address| reply.answer(kind::A, &address.octets())) && whole)
            }
            kind::AAAA => {
                let found = known.find(|owned| !owned.v6.is_empty());
                let addresses = found.map_or(&[][..], |owned| &owned.v6);
                let whole = select(addresses, self.limit / RECORD.1, shuffle, v6);
                (found.is_some(), v6.iter().all(|address| reply.answer(kind::AAAA, &address.octets())) && whole)
            }
            _ => (false, true),
        };
        if !all {
            reply.truncated();
        }
        Some(Outcome::of(any))
    }

    /// Services of a name: `_port._protocol.name` (RFC 2782).
    fn answer_service<'a>(
        &self,
        reply: &mut Reply<'_>,
        networks: impl Iterator<Item = &'a Names> + Clone,
        scratch: &mut Scratch,
    ) -> Option<Outcome> {
        let (first, rest) = split_first(self.name)?;
        let (port, tcp, name) = match is_tcp(first) {
            Some(tcp) => (None, tcp, rest),
            None => {
                let (second, rest) = split_first(rest)?;
                (Some(first.strip_prefix(b"_")?), is_tcp(second)?, rest)
            }
        };
        let mut known = owned(networks, name).peekable();
        known.peek()?;
        // The names between a name and its services exist, and have nothing of their own (RFC 8020).
        let Some(port) = port else { return Some(Outcome::Nothing) };
        let Some(service) = number(port).map(|port| Service { port, tcp }) else { return Some(Outcome::NoSuchName) };
        let Scratch { shuffle, servers, .. } = scratch;
        let found = known.find_map(|(names, owned)| {
            let (head, tail) = owned.holders.split_at(shuffle.below(owned.holders.len()));
            let mut holders = tail.iter().chain(head).take(MOST_ASKED).filter(|holder| names.serves(**holder, service));
            servers.clear();
            servers.extend(holders.by_ref().take(MOST_SERVERS));
            (!servers.is_empty()).then(|| (names, holders.next().is_none()))
        });
        let Some((names, all)) = found else { return Some(Outcome::NoSuchName) };
        if self.kind != kind::SRV {
            return Some(Outcome::Nothing);
        }
        shuffle.order(servers);
        let sent = servers.iter().take_while(|holder| answer_server(reply, service.port, names, **holder)).count();
        if sent < servers.len() || !all {
            reply.truncated();
        }
        for holder in &servers[..sent] {
            add_addresses(reply, names, *holder);
        }
        Some(Outcome::Records)
    }

    /// Whose an address is, for those of the client's networks.
    fn answer_address<'a, N, C>(&self, reply: &mut Reply<'_>, view: &View<N, C>) -> Option<Outcome>
    where
        N: Iterator<Item = &'a Names> + Clone,
        C: Fn(IpAddr) -> bool,
    {
        let address = reverse::address(self.name)?;
        if address.is_loopback() {
            return Some(Outcome::of(self.kind == kind::PTR && reply.answer(kind::PTR, LOCALHOST)));
        }
        let Some(owner) = view.networks.clone().find_map(|names| names.name_of(address)) else {
            let ours = (view.covers)(address) || is_of_link(address);
            return ours.then_some(Outcome::NoSuchName);
        };
        let mut data = [0; 255];
        data[..owner.len()].copy_from_slice(owner);
        Some(Outcome::of(self.kind == kind::PTR && reply.answer(kind::PTR, &data[..=owner.len()])))
    }

    /// Names that are nobody's, but stand where a network's names are.
    fn answer_place<'a>(&self, mut networks: impl Iterator<Item = &'a Names> + Clone) -> Option<Outcome> {
        // Who believes that such a name does not exist looks for none below it (RFC 8020).
        if networks.clone().any(|names| names.is_between(self.name)) {
            return Some(Outcome::Nothing);
        }
        networks.any(|names| names.is_only_ours(self.name)).then_some(Outcome::NoSuchName)
    }

    fn answer_special(&self, reply: &mut Reply<'_>, special: Special) -> Outcome {
        match (special, localhost(self.kind)) {
            (Special::Nothing, _) => Outcome::NoSuchName,
            (Special::Localhost, Some((data, len))) => Outcome::of(reply.answer(self.kind, &data[..len])),
            (Special::Localhost, None) => Outcome::Nothing,
        }
    }
}

/// Whether an address means something on one link only: nobody else knows whose it is (RFC 6303 section 4.4, 4.5).
fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_tcp(label: &[u8]) -> Option<bool> {
    match label {
        b"_tcp" => Some(true),
        b"_udp" => Some(false),
        _ => None,
    }
}

fn answer_server(reply: &mut Reply<'_>, port: u16, names: &Names, holder: u64) -> bool {
    // Priority and weight: all are alike. The target is not compressed (RFC 2782).
    let mut data = [0; 6 + 255];
    data[4..6].copy_from_slice(&port.to_be_bytes());
    let target = names.full_name(holder).unwrap_or_default();
    data[6..6 + target.len()].copy_from_slice(target);
    reply.answer(kind::SRV, &data[..6 + target.len() + 1])
}

fn add_addresses(reply: &mut Reply<'_>, names: &Names, holder: u64) {
    let target = names.full_name(holder).unwrap_or_default();
    for address in names.addresses(holder) {
        match address {
            IpAddr::V4(address) => reply.additional(target, kind::A, &address.octets()),
            IpAddr::V6(address) => reply.additional(target, kind::AAAA, &address.octets()),
        };
    }
}
