//! The gateway's name server: what is asked at port 53 is answered here, out of the names of the asker's networks, in the
//! round in which it was asked. Only what they do not know goes to the control plane, which has others to ask, and comes
//! back later or never. Nothing waits here for an answer: a question holds all that is needed to send one.

mod open;
mod resolve;
mod sandboxes;
mod stream;
mod streams;

use std::sync::Arc;

use dns::{Rcode, Responder, Response, Transport};
use wire::{Fragment, Gso, IPV6_HEADER, Time, WayBack, protocol};

use super::Packet;
use super::spoken::Listener;
use crate::{BridgeId, DropReason, Out, PortId, Switch};
use open::{Budget, Open};
use resolve::view;
pub use resolve::{Asker, Resolved};
use sandboxes::Sandboxes;
use streams::{Key, Streams};

/// Where names are asked for.
const PORT: u16 = 53;
/// Bytes of the headers below a message in a datagram, over IPv4 and over IPv6.
const HEADERS: (u16, u16) = (20 + 8, IPV6_HEADER as u16 + 8);
/// Most queries of a super-frame that are looked at. Linux makes none of more than 128 (UDP_MAX_SEGMENTS).
const QUERIES: usize = 128;

/// A query for a name that is not of the asker's networks.
#[derive(Debug)]
pub struct Question {
    /// Where the answer goes: to [`Switch::answer`], which is to say to [`crate::turn::Handle::answer`].
    pub via: Return,
    /// The port that it was asked behind.
    pub from: PortId,
    /// The network at whose gateway it was asked.
    pub network: BridgeId,
    /// The message as it came; it has been parsed once, and makes sense.
    pub query: Vec<u8>,
    /// It came over TCP.
    pub tcp: bool,
}

/// Where an answer goes. The question counts as open until this is dropped.
#[derive(Debug)]
pub struct Return {
    to: To,
    /// Longest answer that can be sent, in bytes.
    limit: usize,
    _open: Open,
}

#[derive(Debug)]
enum To {
    Datagram { listener: Listener, way: WayBack },
    Stream { key: Key, serial: u64, open: Arc<()> },
    Nowhere,
}

impl Return {
    /// Leads nowhere: for a question that nobody in a network has asked.
    pub fn nowhere() -> Return {
        Return { to: To::Nowhere, limit: usize::MAX, _open: Open::default() }
    }
}

/// What the gateways of a host know about names, besides the names.
#[derive(Debug)]
pub(crate) struct NameServer {
    responder: Responder,
    pub(crate) sandboxes: Sandboxes,
    budget: Budget,
    streams: Streams,
    /// Makes the sequence numbers of streams.
    seed: u64,
    questions: Vec<Question>,
}

/// What is to be done about a query; `T` is what was made of the answer.
enum Told<T> {
    Said(T),
    Ask { limit: usize },
    Nothing,
}

impl NameServer {
    pub(crate) fn new(seed: u64) -> NameServer {
        NameServer {
            responder: Responder::new(seed),
            sandboxes: Sandboxes::default(),
            budget: Budget::default(),
            streams: Streams::default(),
            seed,
            questions: Vec::new(),
        }
    }

    /// Forgets a port.
    pub(crate) fn forget(&mut self, name: &Arc<str>, port: PortId) {
        self.sandboxes.remove(name, port);
        self.budget.forget(port);
        self.streams.forget(port);
    }
}

/// Whether a packet is for a name server.
pub(super) fn asks_names(packet: &Packet) -> bool {
    let key = &packet.headers.key;
    matches!(key.protocol(), protocol::UDP | protocol::TCP)
        && key.dst_port() == PORT
        && packet.headers.fragment == Fragment::Whole
        && !matches!(packet.from, PortId::HOST | PortId::TUNNEL)
}

impl Switch {
    /// Takes out what nobody here can answer.
    pub fn take_questions(&mut self) -> impl Iterator<Item = Question> + '_ {
        self.router.names.questions.drain(..)
    }

    /// Sends the answer to a question; one that is too long is made short, so that the client asks again over TCP.
    pub fn answer(&mut self, now: Time, via: Return, mut answer: Vec<u8>, out: &mut Out) {
        let (listener, way) = match via.to {
            To::Nowhere => return,
            To::Stream { key, serial, open } => {
                drop(open);
                return self.answer_late(now, (key, serial), &answer, out);
            }
            To::Datagram { listener, way } => (listener, way),
        };
        // Who asked may be gone, and its network, too.
        let stays = self.ports.get(&listener.from).is_some_and(|port| self.bridges.contains_key(&port.settings.bridge));
        if !stays || !dns::truncate(&mut answer, via.limit) {
            return self.counters.drop(DropReason::NoQuestion);
        }
        let mut reply = out.pool.get();
        if !way.datagram(&mut reply, &answer) {
            out.pool.put(reply);
            return self.counters.drop(DropReason::NoQuestion);
        }
        self.say_to(&Listener { now, ..listener }, reply, out);
    }

    /// Takes what was said to the name server.
    pub(super) fn answer_names(&mut self, packet: Packet, out: &mut Out) {
        match packet.headers.key.protocol() {
            protocol::TCP => self.answer_stream(packet, out),
            _ => self.answer_datagrams(packet, out),
        }
    }

    /// Answers what was asked in a datagram, or in several that came as one.
    fn answer_datagrams(&mut self, packet: Packet, out: &mut Out) {
        let way = WayBack::of(&packet.headers);
        let (Some(way), Some(payload)) = (way, wire::sound_payload(&packet.frame, &packet.headers)) else {
            return self.drop_packet(DropReason::Invalid, packet, out);
        };
        let size = match packet.frame.offload.gso() {
            Gso::Udp => usize::from(packet.frame.offload.gso_size()).max(1),
            _ => payload.len().max(1),
        };
        let listener = Listener::of(&packet);
        if payload.is_empty() {
            self.refuse_query(DropReason::NoQuery, packet.from);
        }
        for query in payload.chunks(size).take(QUERIES) {
            self.answer_query(&listener, &way, query, out);
        }
        out.pool.put(packet.frame);
    }

    fn answer_query(&mut self, listener: &Listener, way: &WayBack, query: &[u8], out: &mut Out) {
        let Some(port) = self.ports.get(&listener.from) else { return };
        let network = port.settings.bridge;
        let mtu = self.bridges.get(&network).map_or(0, |bridge| bridge.settings.mtu);
        let headers = if way.to().0.is_ipv4() { HEADERS.0 } else { HEADERS.1 };
        let transport = Transport::Udp { room: mtu.saturating_sub(headers).into() };
        let mut reply = out.pool.get();
        let told = self.consult(listener.from, query, transport, |answer| way.datagram(&mut reply, answer));
        let sealed = match told {
            Told::Said(sealed) => sealed,
            Told::Nothing => false,
            Told::Ask { limit } => match self.router.names.budget.open(listener.now, listener.from) {
                Some(open) => {
                    let via = Return { to: To::Datagram { listener: listener.clone(), way: *way }, limit, _open: open };
                    self.ask(Question { via, from: listener.from, network, query: query.to_vec(), tcp: false });
                    false
                }
                None => {
                    let mut refusal = Vec::new();
                    self.refuse_query(DropReason::TooManyQuestions, listener.from);
                    dns::fail(query, Rcode::Refused, &mut refusal) && way.datagram(&mut reply, &refusal)
                }
            },
        };
        match sealed {
            true => self.say_to(listener, reply, out),
            false => out.pool.put(reply),
        }
    }

    fn ask(&mut self, question: Question) {
        self.counters.asked += 1;
        self.router.names.questions.push(question);
    }

    /// Finds out what is to be done about a query that came in by a port, and counts it; `take` is given what is to be said.
    fn consult<T>(
        &mut self,
        from: PortId,
        query: &[u8],
        transport: Transport,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Told<T> {
        let Some(port) = self.ports.get(&from) else { return Told::Nothing };
        let NameServer { responder, sandboxes, .. } = &mut self.router.names;
        let networks = sandboxes.networks(&port.settings.name);
        let response = responder.respond(query, transport, &view(&self.bridges, port.settings.bridge, networks));
        let (told, refused) = match response {
            Response::Answer(answer) => {
                self.counters.named += 1;
                (Told::Said(take(answer)), None)
            }
            Response::Refused(answer) => (Told::Said(take(answer)), Some(DropReason::QueryRefused)),
            Response::Forward { limit } => (Told::Ask { limit }, None),
            Response::Ignore => (Told::Nothing, Some(DropReason::NoQuery)),
        };
        if let Some(reason) = refused {
            self.refuse_query(reason, from);
        }
        told
    }

    /// Counts a query that is not answered as it was meant to be.
    fn refuse_query(&mut self, reason: DropReason, from: PortId) {
        self.counters.drop(reason);
        if let Some(port) = self.ports.get_mut(&from) {
            port.drops += 1;
        }
    }
}
