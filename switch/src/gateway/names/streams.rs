//! The name server's TCP connections, made by a client's first segment and gone when they are over: who has how many, and
//! what is said in them. A segment of none of them is answered with a reset, as at any other port of a gateway.

use std::net::IpAddr;

use dns::{Rcode, Transport};
use hashbrown::HashMap;
use wire::{Frame, Time, WayBack};

use super::stream::{Next, Stream, ends};
use super::{NameServer, Question, Return, To, Told};
use crate::gateway::Packet;
use crate::gateway::spoken::Listener;
use crate::{DropReason, Out, PortId, Switch};

/// Most connections, in all and of one port; and none of a port that would have more than are left for others then, so that
/// there is always room for one who has few.
const MOST: (usize, usize) = (512, 16);
/// Most open questions of one connection.
const OPEN: usize = 32;
/// FIN, SYN, RST, ACK.
const FLAGS: u8 = 0x17;
const SYN: u8 = 0x02;

/// Which connection: the port, the client's address and port, the gateway's address.
pub(super) type Key = (PortId, (IpAddr, u16, IpAddr));

/// The connections of a host's gateways.
#[derive(Default)]
pub(super) struct Streams {
    by_ends: HashMap<Key, Held>,
    /// Nothing is due before; `None` if nothing ever is.
    next: Option<Time>,
    serial: u64,
}

struct Held {
    stream: Box<Stream>,
    listener: Listener,
    due: Time,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streams {{ {} }}", self.by_ends.len())
    }
}

impl Streams {
    fn is_full(&self, port: PortId) -> bool {
        let of_port = || self.by_ends.keys().filter(|(other, _)| *other == port).count();
        of_port() >= MOST.1.min(MOST.0 - self.by_ends.len().min(MOST.0))
    }

    fn insert(&mut self, key: Key, held: Held) {
        self.next = self.next.into_iter().chain([held.due]).min();
        self.by_ends.insert(key, held);
    }

    /// Forgets a port.
    pub(super) fn forget(&mut self, port: PortId) {
        self.by_ends.retain(|(other, _), _| *other != port);
    }
}

impl NameServer {
    /// When [`Switch::tend_streams`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.streams.next
    }
}

impl Switch {
    /// Does what time brings to the name server's connections: sends again what was lost, ends what is silent.
    pub fn tend_streams(&mut self, now: Time, out: &mut Out) {
        if self.router.names.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let streams = &self.router.names.streams.by_ends;
        let due: Vec<Key> = streams.iter().filter(|(_, held)| held.due <= now).map(|(key, _)| *key).collect();
        self.router.names.streams.next = streams.values().map(|held| held.due).filter(|due| *due > now).min();
        for key in due {
            if let Some(held) = self.router.names.streams.by_ends.remove(&key) {
                self.run_stream(now, key, held, None, out);
            }
        }
    }

    /// Takes a segment for the name server.
    pub(in crate::gateway) fn answer_stream(&mut self, packet: Packet, out: &mut Out) {
        let headers = &packet.headers;
        let (way, payload) = (WayBack::of(headers), wire::sound_payload(&packet.frame, headers));
        let (Some(way), Some(_)) = (way, payload) else {
            return self.drop_packet(DropReason::Invalid, packet, out);
        };
        let key = (packet.from, ends(&way));
        let flags = packet.frame.bytes().get(usize::from(headers.l4) + 13).map_or(0, |flags| flags & FLAGS);
        // smoltcp knows no other headers between.
        let is_plain = !headers.has_extensions();
        let listener = Listener::of(&packet);
        let held = match self.router.names.streams.by_ends.remove(&key) {
            Some(held) if is_plain => Held { listener, ..held },
            None if is_plain && flags == SYN => {
                if self.router.names.streams.is_full(packet.from) {
                    self.send_reset(&packet, false, out);
                    return self.drop_packet(DropReason::TooManyStreams, packet, out);
                }
                self.begin_stream(way, listener)
            }
            _ => {
                self.send_reset(&packet, false, out);
                return self.drop_packet(DropReason::NoService, packet, out);
            }
        };
        let bytes = packet.frame.bytes().get(usize::from(headers.l3)..headers.end as usize);
        self.run_stream(packet.now, key, held, bytes, out);
        out.pool.put(packet.frame);
    }

    fn begin_stream(&mut self, way: WayBack, listener: Listener) -> Held {
        let bridge = self.ports.get(&listener.from).and_then(|port| self.bridges.get(&port.settings.bridge));
        let mtu = bridge.map_or(1_280, |bridge| bridge.settings.mtu);
        let names = &mut self.router.names;
        names.streams.serial += 1;
        let (serial, now) = (names.streams.serial, listener.now);
        let seed = names.seed.wrapping_add(serial).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Held { stream: Box::new(Stream::new(now, way, mtu, serial, seed)), listener, due: now }
    }

    /// Sends an answer that somebody else knew.
    pub(super) fn answer_late(&mut self, now: Time, (key, serial): (Key, u64), answer: &[u8], out: &mut Out) {
        let streams = &mut self.router.names.streams.by_ends;
        let is_same = |held: &Held| held.stream.serial == serial;
        if !streams.get(&key).is_some_and(is_same) {
            return self.counters.drop(DropReason::NoQuestion);
        }
        let Some(mut held) = streams.remove(&key) else { return };
        if !held.stream.say(now, answer) {
            held.stream.abort();
        }
        self.run_stream(now, key, held, None, out);
    }

    /// Lets a connection take a packet, answers what it asks, sends what it says, and keeps it unless it is over.
    fn run_stream(&mut self, now: Time, key: Key, mut held: Held, packet: Option<&[u8]>, out: &mut Out) {
        let mut frames = Vec::new();
        held.stream.poll(now, packet, &mut out.pool, &mut frames);
        loop {
            match held.stream.next(now) {
                Next::Query(query) => {
                    self.answer_streamed(now, key, &mut held, query);
                    held.stream.poll(now, None, &mut out.pool, &mut frames);
                }
                Next::Nothing => break,
                Next::Nonsense => {
                    self.refuse_query(DropReason::NoQuery, key.0);
                    held.stream.abort();
                    break;
                }
            }
        }
        held.stream.poll(now, None, &mut out.pool, &mut frames);
        self.send_stream(&Listener { now, ..held.listener.clone() }, frames, out);
        if !held.stream.is_over() {
            held.due = held.stream.due(now);
            self.router.names.streams.insert(key, held);
        }
    }

    fn send_stream(&mut self, listener: &Listener, frames: Vec<Frame>, out: &mut Out) {
        for frame in frames {
            self.say_to(listener, frame, out);
        }
    }

    fn answer_streamed(&mut self, now: Time, key: Key, held: &mut Held, query: Vec<u8>) {
        let stream = &mut held.stream;
        let told = self.consult(key.0, &query, Transport::Tcp, |answer| stream.say(now, answer));
        let said = match told {
            Told::Said(said) => said,
            Told::Nothing => true,
            Told::Ask { limit } => {
                let network = self.ports.get(&key.0).map(|port| port.settings.bridge);
                let asks = stream.asks(OPEN);
                let open = asks.and_then(|asks| Some((asks, self.router.names.budget.open(now, key.0)?)));
                match network.zip(open) {
                    Some((network, (asks, open))) => {
                        let to = To::Stream { key, serial: stream.serial, open: asks };
                        let via = Return { to, limit, _open: open };
                        self.ask(Question { via, from: key.0, network, query, tcp: true });
                        true
                    }
                    None => {
                        let mut refusal = Vec::new();
                        self.refuse_query(DropReason::TooManyQuestions, key.0);
                        dns::fail(&query, Rcode::Refused, &mut refusal) && stream.say(now, &refusal)
                    }
                }
            }
        };
        if !said {
            held.stream.abort();
        }
    }
}
