//! The gateway: what a network's router does. It answers at the gateway's address, routes between a network's subnets,
//! translates what leaves to the outside and what comes in to published ports, and says what went wrong in ICMP.
//! It knows nothing of links: frames come from and go to ports like any other.
//!
//! Every packet takes one of two ways in: `inside` from a container, `outside` from the host's port. Connections decide
//! first; what is new is decided once, and `carry` does what was decided, from then on out of the flow cache.

mod begin;
mod bridged;
mod carry;
mod ended;
mod hooks;
mod host;
mod inside;
mod names;
mod outside;
mod pieces;
mod prefixes;
mod published;
mod sources;
mod spoken;
mod trouble;

use std::net::IpAddr;
use std::time::Duration;

use nat::{End, Held, Random, Settings, Tracker, Tuple, Zone};
use wire::{Frame, Headers, Mac, Time, protocol};

use crate::{BridgeId, DropReason, Gateway, Out, PortId, Publish, PublishId, Route, Switch};
pub(crate) use carry::Change;
use carry::Way;
use ended::Ended;
use hooks::Passage;
use host::Host;
use names::NameServer;
pub use names::{Asker, Question, Resolved, Return};
use pieces::Pieces;
use prefixes::Prefixes;
use published::Published;
use sources::Sources;
use trouble::Limits;

/// Whether a public endpoint (protocol, address, port) is free on the host: no socket has it.
pub type PortCheck = Box<dyn FnMut(u8, IpAddr, u16) -> bool + Send>;

/// Later fragments that wait for their first, in all and of one datagram, and for how long. Reordering takes milliseconds.
const HELD: (usize, usize, Duration) = (256, 16, Duration::from_millis(500));

/// All that the gateways of a host know, together: connections cross networks.
pub(crate) struct Router {
    pub(crate) tracker: Tracker,
    pub(crate) names: NameServer,
    is_free: PortCheck,
    host: Host,
    published: Published,
    subnets: Prefixes<BridgeId>,
    held: Held<(Packet, Option<(BridgeId, Way)>)>,
    pieces: Pieces,
    sources: Sources,
    limits: Limits,
    ended: Ended,
    steering: Vec<Steer>,
    next: Time,
}

/// What steering has to know. A tuple is as packets arrive from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// From now on packets with these ends are the switch's.
    Opened(Tuple),
    /// They no longer are.
    Ended(Tuple),
}

impl Router {
    pub(crate) fn new(settings: Settings, mut random: Random, is_free: PortCheck) -> Router {
        let (held, of_datagram, patience) = HELD;
        Router {
            names: NameServer::new(random()),
            is_free,
            host: Host::default(),
            published: Published::default(),
            subnets: Prefixes::default(),
            held: Held::new(held, of_datagram, patience),
            pieces: Pieces::new(settings.datagrams, settings.fragment_timeout),
            sources: Sources::default(),
            tracker: Tracker::new(settings, random),
            limits: Limits::default(),
            ended: Ended::default(),
            steering: Vec::new(),
            next: Time::ZERO,
        }
    }

    /// Takes note of a network's gateway, in place of the one that it had, whose connections end.
    pub(crate) fn set_gateway(&mut self, bridge: BridgeId, old: Option<&Gateway>, new: Option<&Gateway>) {
        if old == new {
            return;
        }
        if old.is_some() {
            self.end_network(bridge);
        }
        for subnet in old.into_iter().flat_map(|gateway| &gateway.addresses) {
            self.subnets.remove(*subnet, |other| *other == bridge);
        }
        for subnet in new.into_iter().flat_map(|gateway| &gateway.addresses) {
            self.subnets.insert(*subnet, bridge);
        }
    }

    /// Takes note of the host's end of the link.
    pub(crate) fn set_uplink(&mut self, mac: Option<Mac>) {
        self.host.mac = mac;
    }

    /// Takes note of the host's addresses and routes.
    pub(crate) fn set_host(&mut self, addresses: Vec<IpAddr>, routes: Vec<Route>) {
        for lost in self.host.set(addresses, routes) {
            self.end_public(lost);
        }
    }

    /// Takes a published rule. What came by the one that it replaces ends, and what its ports had before.
    pub(crate) fn publish(&mut self, id: PublishId, rule: Publish) {
        let old = self.published.insert(id, rule.clone());
        if old.as_ref() != Some(&rule) {
            old.into_iter().chain([rule]).for_each(|rule| self.end_rule(rule));
        }
    }

    /// Removes a published rule.
    pub(crate) fn unpublish(&mut self, id: PublishId) {
        if let Some(rule) = self.published.remove(id) {
            self.end_rule(rule);
        }
    }

    /// Notes that packets from outside with these ends are the switch's from now on.
    fn open(&mut self, tuple: Option<Tuple>) {
        if !self.tracker.settings().report_gone {
            return;
        }
        // What ended before may have had the same ends: the order counts.
        self.note_ended();
        self.steering.extend(tuple.map(Steer::Opened));
    }

    fn note_ended(&mut self) {
        let mut ended = Vec::new();
        self.tracker.take_gone(&mut ended);
        self.steering.extend(ended.into_iter().map(Steer::Ended));
    }

    /// Takes out what steering has to know, in order.
    pub(crate) fn take_steering(&mut self, out: &mut Vec<Steer>) {
        self.note_ended();
        out.append(&mut self.steering);
    }

    /// Whether any connection of this network is tracked, so that a bridged packet may be of one that was translated: an
    /// answer to a neighbour that came by a published port.
    pub(crate) fn tracks(&self, bridge: BridgeId) -> bool {
        self.tracker.zone_usage(zone_of(bridge)).0 > 0
    }

    /// Whether a packet to one of these ends is for a mapping, not for the host itself. An identifier is no port: whoever
    /// pings the host means the host.
    fn is_mapping(&self, tuple: &Tuple) -> bool {
        let dst = End { ip: tuple.dst.ip(), port: tuple.dst_port };
        matches!(tuple.protocol, protocol::TCP | protocol::UDP)
            && self.host.owns(dst.ip)
            && self.tracker.is_bound(tuple.protocol, dst)
    }
}

/// A packet on its way through the gateway.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) now: Time,
    /// The port that it came in by.
    pub(crate) from: PortId,
    pub(crate) frame: Frame,
    pub(crate) headers: Headers,
    /// Its way through the hooks, if it meets rules.
    pub(crate) passage: Option<Box<Passage>>,
}

impl Packet {
    pub(crate) fn new(now: Time, from: PortId, frame: Frame, headers: Headers) -> Packet {
        Packet { now, from, frame, headers, passage: None }
    }

    /// Where a rule sends it instead, if it begins a connection.
    fn aim(&self) -> Option<End> {
        self.passage.as_ref().and_then(|passage| passage.aim)
    }

    /// Takes its tag off. `false` if it makes no sense then.
    fn untag(&mut self) -> bool {
        wire::untag(&mut self.frame);
        self.parse_again()
    }

    /// Looks at it anew after it was changed. `false` if it makes no sense any more.
    fn parse_again(&mut self) -> bool {
        let Ok(headers) = wire::parse(self.frame.bytes()) else { return false };
        let ingress = self.headers.key.ingress();
        self.headers = headers;
        self.headers.key.set_ingress(ingress);
        true
    }
}

impl Switch {
    pub(crate) fn drop_packet(&mut self, reason: DropReason, packet: Packet, out: &mut Out) {
        if let Some(passage) = &packet.passage {
            self.router.pieces.refuse(passage);
        }
        self.discard(packet.from, reason, packet.frame, out);
    }
}

/// Addresses of a network mean nothing outside it: each has its own zone.
pub(crate) fn zone_of(bridge: BridgeId) -> Zone {
    Zone(bridge.0 + 1)
}

/// The network of a zone; `None`: the outside.
pub(crate) fn bridge_of(zone: Zone) -> Option<BridgeId> {
    zone.0.checked_sub(1).map(BridgeId)
}

/// Slots of the connection table that are looked at in one go; some tenths of a millisecond.
const SLICE: usize = 16_384;
/// Time in which all of them are.
const ROUND: Duration = Duration::from_secs(8);

impl Switch {
    /// When connections are to be looked at again, if there is anything to look at.
    pub(crate) fn router_deadline(&self) -> Option<Time> {
        let router = &self.router;
        if router.is_ending() {
            return Some(Time::ZERO);
        }
        let expiry = (router.tracker.connections() > 0).then_some(router.next);
        expiry.into_iter().chain(router.held.deadline()).chain(router.names.deadline()).min()
    }

    /// Ends what has to end, and forgets what was idle for too long.
    pub(crate) fn maintain_router(&mut self, now: Time) {
        self.router.end_some();
        while self.router.held.expire(now).is_some() {
            self.counters.drop(DropReason::FirstMissing);
        }
        if now < self.router.next {
            return;
        }
        let slices = (self.router.tracker.slots() as usize).div_ceil(SLICE).max(1);
        self.router.next = now + ROUND / slices as u32;
        self.router.tracker.expire(now, SLICE);
    }
}
