//! Making a connection: the ends that its packets get, room for it, its place in the tables.
//! Both directions of a connection are unique in their zones, so that no two streams can mix (NA-08).

use std::net::IpAddr;

use wire::{Time, protocol};

use super::inbound::BindingId;
use crate::binding::{Choice, Inside, Ports, Public, candidates};
use crate::conn::{Conn, NOBODY};
use crate::tcp::Tcp;
use crate::tick::Tick;
use crate::{Address, Direction, End, Fresh, Hit, Reason, State, TcpState, Tracker, Tuple, Zone, hash};

/// What is to become of a new connection.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Where its packets go, and answers come from.
    pub reply_zone: Zone,
    /// Its destination.
    pub destination: Destination,
    /// Its source.
    pub source: Source<'a>,
}

/// The destination that packets get. A port of 0 leaves theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Their own.
    Keep,
    /// This one.
    To(End),
    /// The owner of a binding, found by [`Tracker::inbound`].
    Binding(BindingId),
}

/// The source that packets get.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// Their own; another port of it where theirs would mix two connections up.
    Keep,
    /// This one, for many connections: a published port's owner that speaks first. A port of 0 leaves theirs.
    Fixed(End),
    /// One of a pool.
    Map(Pool<'a>),
}

/// Where public endpoints come from.
#[derive(Clone, Debug)]
pub struct Pool<'a> {
    /// Addresses; those of the other family are not looked at.
    pub addresses: &'a [IpAddr],
    /// First and last port, instead of the own one's class.
    pub ports: Option<(u16, u16)>,
    /// Whether a random port is taken even where the own one is free.
    pub random: bool,
    /// Whether one inside endpoint has one public endpoint.
    pub mapping: Mapping,
}

/// How inside endpoints get public ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// One for all that it talks to (RFC 4787 REQ-1): a binding. A host's bindings share one address.
    EndpointIndependent,
    /// Whichever is free towards that destination, as netfilter does; `persistent` gives a host the same address for all.
    Symmetric {
        /// Whether the destination has no say in the address.
        persistent: bool,
    },
}

/// Most addresses of a pool that are looked at.
const MAX_ADDRESSES: usize = 64;

/// Whether connections of a protocol differ in more than addresses.
fn has_ports(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | protocol::ICMP | protocol::ICMPV6 | 33 | 136)
}

impl Tracker {
    /// Makes a connection of what [`Tracker::track`] found to be new. `is_free` says whether a public endpoint (protocol,
    /// address, port) is free on the host: no socket has it, nothing is published there.
    ///
    /// If somebody has made it in between, that one is it, and `plan` is not looked at (CT-08).
    ///
    /// # Errors
    /// The reason, counted: no room, no port, or ends that do not fit. [`Reason::NoPort`] and [`Reason::HostFull`] are to be
    /// answered with ICMP "administratively prohibited" (RFC 5508 REQ-8).
    pub fn commit(
        &mut self,
        now: Time,
        fresh: &Fresh,
        plan: &Plan<'_>,
        is_free: &mut dyn FnMut(u8, IpAddr, u16) -> bool,
    ) -> Result<Hit, Reason> {
        let outcome = self.make(Tick::of(now), fresh, plan, is_free);
        if let Err(reason) = outcome {
            self.reasons.count(reason);
        }
        outcome
    }

    fn make(
        &mut self,
        now: Tick,
        fresh: &Fresh,
        plan: &Plan<'_>,
        is_free: &mut dyn FnMut(u8, IpAddr, u16) -> bool,
    ) -> Result<Hit, Reason> {
        if let Some(hit) = self.known(now, fresh.zone, &fresh.tuple, fresh.segment.as_ref(), fresh.len as usize)? {
            self.counters.merged += 1;
            return Ok(hit);
        }
        let payer = if fresh.zone == Zone::OUTSIDE { plan.reply_zone } else { fresh.zone };
        self.make_room(payer)?;
        let (towards, dst_binding) = self.towards_destination(&fresh.tuple, plan.destination)?;
        let mut is_free = |public: &Public| is_free(public.protocol, public.ip.ip(), public.port);
        let (leaves, src_binding) = match &plan.source {
            Source::Keep => (self.keep(now, towards, plan.reply_zone)?, NOBODY),
            Source::Fixed(end) => {
                let (src, src_port) = fixed(&towards, *end, towards.src, towards.src_port)?;
                (Tuple { src, src_port, ..towards }, NOBODY)
            }
            Source::Map(pool) => self.map(now, fresh, towards, plan.reply_zone, pool, &mut is_free)?,
        };
        let reply = leaves.reverse();
        let itself = reply == fresh.tuple && plan.reply_zone == fresh.zone;
        if itself || self.find_live(now, plan.reply_zone, &reply).is_some() {
            if src_binding != NOBODY {
                self.bindings.drop_if_unused(src_binding);
            }
            return Err(Reason::Clash);
        }
        let mut conn = Conn::new([fresh.tuple, reply], [fresh.zone, plan.reply_zone], fresh.tcp, now);
        (conn.src_binding, conn.dst_binding) = (src_binding, dst_binding);
        conn.expires = now.after(conn.timeout(false, now, &self.settings));
        conn.traffic[0].frames = 1;
        conn.traffic[0].bytes = u64::from(fresh.len);
        let conn = self.place(conn);
        Ok(Hit { conn, direction: Direction::Original, state: State::New })
    }

    fn towards_destination(&self, tuple: &Tuple, destination: Destination) -> Result<(Tuple, u32), Reason> {
        match destination {
            Destination::Keep => Ok((*tuple, NOBODY)),
            Destination::To(end) => {
                let (dst, dst_port) = fixed(tuple, end, tuple.dst, tuple.dst_port)?;
                // The other port of a query is its type.
                let icmp = matches!(tuple.protocol, protocol::ICMP | protocol::ICMPV6);
                Ok((Tuple { dst, dst_port: if icmp { tuple.dst_port } else { dst_port }, ..*tuple }, NOBODY))
            }
            Destination::Binding(BindingId(at)) => {
                let public = Public { ip: tuple.dst, port: tuple.dst_port, protocol: tuple.protocol };
                let binding = self.bindings.get(at).filter(|binding| binding.public == public);
                let inside = binding.ok_or(Reason::NoBinding)?.inside;
                Ok((Tuple { dst: inside.ip, dst_port: inside.port, ..*tuple }, at))
            }
        }
    }

    /// Whether answers to packets with these ends would be taken for those of another connection.
    pub fn is_taken(&self, now: Time, reply_zone: Zone, leaves: &Tuple) -> bool {
        self.taken(Tick::of(now), reply_zone, leaves)
    }

    fn taken(&self, now: Tick, reply_zone: Zone, leaves: &Tuple) -> bool {
        let found = self.table.find(reply_zone, &leaves.reverse()).and_then(|(slot, _)| self.table.at(slot));
        found.is_some_and(|conn| now < conn.expires)
    }

    fn keep(&mut self, now: Tick, towards: Tuple, reply_zone: Zone) -> Result<Tuple, Reason> {
        if !self.taken(now, reply_zone, &towards) {
            return Ok(towards);
        }
        // Two ways to one place (two published ports of one server), by one port: the second gets another.
        self.counters.remapped += 1;
        self.pick(now, towards, reply_zone, towards.src, &Ports::OfClass, &mut |_| true).map_err(|_| Reason::Clash)
    }

    /// The first port of `ip` that makes the answers unique.
    fn pick(
        &mut self,
        now: Tick,
        towards: Tuple,
        reply_zone: Zone,
        ip: Address,
        ports: &Ports,
        is_free: &mut dyn FnMut(&Public) -> bool,
    ) -> Result<Tuple, Reason> {
        let protocol = towards.protocol;
        if !has_ports(protocol) {
            let leaves = Tuple { src: ip, ..towards };
            return if self.taken(now, reply_zone, &leaves) { Err(Reason::NoPort) } else { Ok(leaves) };
        }
        candidates(protocol, towards.src_port, ports, &mut *self.random)
            .map(|src_port| Tuple { src: ip, src_port, ..towards })
            .find(|leaves| {
                let public = Public { ip, port: leaves.src_port, protocol };
                !self.taken(now, reply_zone, leaves) && self.bindings.find_public(&public).is_none() && is_free(&public)
            })
            .ok_or(Reason::NoPort)
    }

    fn map(
        &mut self,
        now: Tick,
        fresh: &Fresh,
        towards: Tuple,
        reply_zone: Zone,
        pool: &Pool<'_>,
        is_free: &mut dyn FnMut(&Public) -> bool,
    ) -> Result<(Tuple, u32), Reason> {
        let family = |ip: &IpAddr| Address::new(*ip).filter(|ip| ip.is_ipv4() == towards.src.is_ipv4());
        let mut room = [Address::default(); MAX_ADDRESSES];
        let mut count = 0;
        for (place, ip) in room.iter_mut().zip(pool.addresses.iter().filter_map(family)) {
            *place = ip;
            count += 1;
        }
        let addresses = &room[..count];
        if addresses.is_empty() {
            return Err(Reason::Family);
        }
        let ports = match (pool.ports, pool.random) {
            (None, false) => Ports::OfClass,
            (None, true) => Ports::RandomOfClass,
            (Some((first, last)), false) => Ports::Within(first..=last.max(first)),
            (Some((first, last)), true) => Ports::RandomWithin(first..=last.max(first)),
        };
        let persistent = match pool.mapping {
            Mapping::EndpointIndependent if has_ports(towards.protocol) => {
                return self.bind(now, fresh.zone, towards, reply_zone, &Choice { addresses, ports }, is_free);
            }
            Mapping::EndpointIndependent => true,
            Mapping::Symmetric { persistent } => persistent,
        };
        let host = hash::endpoint(0, fresh.zone, towards.src, 0, 0);
        let number = if persistent { host } else { hash::endpoint(host, fresh.zone, towards.dst, 0, 0) };
        let start = number as usize % addresses.len();
        // Without ports another address is the only other choice.
        let tries = if has_ports(towards.protocol) { 1 } else { addresses.len() };
        for step in 0..tries {
            let ip = addresses[(start + step) % addresses.len()];
            if let Ok(leaves) = self.pick(now, towards, reply_zone, ip, &ports, is_free) {
                return Ok((leaves, NOBODY));
            }
        }
        let ip = addresses[start];
        self.inherit(now, &fresh.tcp, towards, reply_zone, ip, &ports, is_free).map(|leaves| (leaves, NOBODY))
    }

    /// Takes over the port of a connection that is over where none is free, for a SYN that its peer takes for a new one (RFC
    /// 6191, RFC 9293 section 3.6.1): its sequence number is ahead of all that the old one sent.
    #[expect(clippy::too_many_arguments, reason = "as pick, and the SYN")]
    fn inherit(
        &mut self,
        now: Tick,
        syn: &Tcp,
        towards: Tuple,
        reply_zone: Zone,
        ip: Address,
        ports: &Ports,
        is_free: &mut dyn FnMut(&Public) -> bool,
    ) -> Result<Tuple, Reason> {
        if syn.state != TcpState::SynSent {
            return Err(Reason::NoPort);
        }
        for src_port in candidates(towards.protocol, towards.src_port, ports, &mut *self.random) {
            let leaves = Tuple { src: ip, src_port, ..towards };
            let public = Public { ip, port: src_port, protocol: towards.protocol };
            if self.bindings.find_public(&public).is_some() || !is_free(&public) {
                continue;
            }
            let Some((slot, Direction::Reply)) = self.table.find(reply_zone, &leaves.reverse()) else { continue };
            let Some(old) = self.table.at(slot).filter(|old| old.is_over() && now < old.expires) else { continue };
            let translated =
                old.tuple(Direction::Original).src != ip || old.tuple(Direction::Original).src_port != src_port;
            if translated && syn.sides[0].is_ahead_of(&old.tcp.sides[0]) {
                self.remove(slot);
                return Ok(leaves);
            }
        }
        Err(Reason::NoPort)
    }

    fn bind(
        &mut self,
        now: Tick,
        zone: Zone,
        towards: Tuple,
        reply_zone: Zone,
        choice: &Choice<'_>,
        is_free: &mut dyn FnMut(&Public) -> bool,
    ) -> Result<(Tuple, u32), Reason> {
        let inside = Inside { zone, ip: towards.src, port: towards.src_port, protocol: towards.protocol };
        let per_host = self.settings.bindings_per_host;
        let at = self.bindings.get_or_make(inside, choice, per_host, &mut *self.random, is_free)?;
        let public = self.binding(at).ok_or(Reason::NoBinding)?.public;
        let leaves = Tuple { src: public.ip, src_port: public.port, ..towards };
        if !self.taken(now, reply_zone, &leaves) {
            return Ok((leaves, at));
        }
        // Two ways to one place from one endpoint: only another public port keeps them apart.
        self.bindings.drop_if_unused(at);
        self.counters.remapped += 1;
        Ok((self.pick(now, towards, reply_zone, public.ip, &choice.ports, is_free)?, NOBODY))
    }
}

/// An end that was asked for: of the right family, with the port that is there where none was given.
fn fixed(tuple: &Tuple, end: End, ip: Address, port: u16) -> Result<(Address, u16), Reason> {
    let new = Address::new(end.ip).filter(|new| new.is_ipv4() == ip.is_ipv4()).ok_or(Reason::Family)?;
    let keeps = end.port == 0 || !has_ports(tuple.protocol);
    Ok((new, if keeps { port } else { end.port }))
}
