//! A network of servers in simulated time. Invariant: every token is sent once and closed or failed once, and at the end
//! no socket is left open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use dns::forward::{Action, Forwarder, Source};
use simple_dns::rdata::{A, NS, RData, SOA};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, ResourceRecord, TYPE};

/// What a server does with a query.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    /// An address, with this TTL, after so many milliseconds.
    Knows { ttl: u32, after: u64 },
    /// No such name, for so long: TTL and minimum of the SOA, if there is one.
    Nothing { soa: Option<(u32, u32)> },
    /// This code.
    Says(RCODE),
    /// Too long for a datagram; over TCP it is there.
    Long { tcp: bool },
    /// Nothing.
    Silent,
    /// An error from the network.
    Absent,
    /// No socket can be had to ask it.
    Unasked,
    /// Another identifier, another question, a query, noise; then the truth.
    Guesses(u32),
    /// A good header, and then nonsense.
    Broken,
}

/// An answer that a client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) client: u32,
    pub(crate) at: Duration,
    pub(crate) message: Vec<u8>,
    pub(crate) source: Source,
}

impl Got {
    pub(crate) fn rcode(&self) -> u8 {
        self.message[3] & 15
    }

    /// The address and its TTL.
    pub(crate) fn record(&self) -> (u32, u32) {
        let packet = Packet::parse(&self.message).unwrap();
        let RData::A(a) = &packet.answers[0].rdata else { panic!("{packet:?}") };
        (a.address, packet.answers[0].ttl)
    }
}

enum Event {
    Reply(u64, Vec<u8>),
    /// And whether it is nobody's fault.
    Failure(u64, bool),
}

pub(crate) struct World {
    pub(crate) forwarder: Forwarder<u32>,
    pub(crate) now: Duration,
    pub(crate) servers: HashMap<SocketAddr, Server>,
    pub(crate) got: Vec<Got>,
    /// When a message was sent to whom, over TCP or not; probes are not among them.
    pub(crate) sent: Vec<(Duration, SocketAddr, bool)>,
    pub(crate) changed: Vec<(SocketAddr, bool)>,
    pub(crate) open: BTreeSet<u64>,
    events: BTreeMap<(Duration, u64), Event>,
    serial: u64,
}

pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 53))
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn query(name: &str, kind: TYPE, id: u16) -> Vec<u8> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name).unwrap(), kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

impl World {
    /// With servers 1, 2 and so on, in this order.
    pub(crate) fn new(servers: &[Server]) -> World {
        let mut id = 7_u16;
        let ids = move || {
            id = id.wrapping_mul(25_173).wrapping_add(13_849);
            id
        };
        let mut forwarder = Forwarder::new(Box::new(ids));
        let servers: Vec<_> = servers.iter().zip(1..).map(|(server, number)| (address(number), *server)).collect();
        forwarder.set_upstreams(&servers.iter().map(|(address, _)| *address).collect::<Vec<_>>());
        World {
            forwarder,
            now: Duration::from_secs(1_000),
            servers: servers.into_iter().collect(),
            got: Vec::new(),
            sent: Vec::new(),
            changed: Vec::new(),
            open: BTreeSet::new(),
            events: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Asks for an address, and waits for up to ten seconds. How long it took, and the answer.
    pub(crate) fn ask(&mut self, name: &str) -> (Duration, &Got) {
        let start = self.now;
        self.send(1, &query(name, TYPE::A, 0x4242));
        let before = self.got.len();
        while self.got.len() == before && self.now < start + Duration::from_secs(10) {
            self.pass(millis(1));
        }
        let got = self.got.last().expect("an answer");
        assert_eq!(got.message[..2], [0x42, 0x42]);
        (got.at - start, got)
    }

    pub(crate) fn send(&mut self, client: u32, query: &[u8]) {
        self.forwarder.ask(self.now, 1, client, query);
        self.act();
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.act();
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.forwarder.next_deadline();
            let Some(next) = event.into_iter().chain(deadline).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if event == Some(next) {
                match self.events.pop_first().unwrap().1 {
                    Event::Reply(token, bytes) if self.open.contains(&token) => {
                        self.forwarder.heard(self.now, token, &bytes);
                    }
                    Event::Failure(token, blameless) if self.open.remove(&token) => {
                        self.forwarder.failed(self.now, token, blameless);
                    }
                    _ => {}
                }
            } else {
                self.forwarder.maintain(self.now);
            }
            self.act();
        }
        self.now = end;
    }

    fn act(&mut self) {
        while let Some(action) = self.forwarder.poll() {
            match action {
                Action::Send { token, to, tcp, message } => {
                    assert!(self.open.insert(token), "a token is used once");
                    if message[12..] != [0, 0, 2, 0, 1] {
                        self.sent.push((self.now, to, tcp));
                    }
                    self.serve(token, to, tcp, &message);
                }
                Action::Close { token } => drop(self.open.remove(&token)),
                Action::Answer { client, message, source } => {
                    self.got.push(Got { client, at: self.now, message, source });
                }
                Action::Changed { upstream, down } => self.changed.push((upstream, down)),
            }
        }
    }

    fn serve(&mut self, token: u64, to: SocketAddr, tcp: bool, message: &[u8]) {
        let mut later = |after: u64, event: Event| {
            self.serial += 1;
            self.events.insert((self.now + millis(after), self.serial), event);
        };
        let good = |ttl| reply(message, RCODE::NoError, Some(ttl), None);
        match self.servers[&to] {
            Server::Knows { ttl, after } => later(after, Event::Reply(token, good(ttl))),
            Server::Nothing { soa } => later(10, Event::Reply(token, reply(message, RCODE::NameError, None, soa))),
            Server::Says(code) => later(10, Event::Reply(token, reply(message, code, None, None))),
            Server::Long { tcp: true } if tcp => later(10, Event::Reply(token, good(60))),
            Server::Long { .. } if tcp => later(10, Event::Failure(token, false)),
            Server::Long { .. } => {
                let mut cut = reply(message, RCODE::NoError, None, None);
                cut[2] |= 2;
                later(10, Event::Reply(token, cut));
            }
            Server::Silent => {}
            Server::Absent => later(1, Event::Failure(token, false)),
            Server::Unasked => later(0, Event::Failure(token, true)),
            Server::Guesses(count) => {
                for number in 0..count {
                    let mut wrong = good(60);
                    match number % 4 {
                        0 => wrong[0] ^= 1,
                        1 => wrong[13] ^= 1,
                        2 => wrong[2] &= 0x7f,
                        _ => wrong.truncate(11),
                    }
                    later(1, Event::Reply(token, wrong));
                }
                later(2, Event::Reply(token, good(60)));
            }
            Server::Broken => {
                let mut broken = good(60);
                broken.truncate(broken.len() - 1);
                later(10, Event::Reply(token, broken));
            }
        }
    }
}

/// A reply with an address that ends with the last letter of the name.
pub(crate) fn reply(message: &[u8], code: RCODE, ttl: Option<u32>, soa: Option<(u32, u32)>) -> Vec<u8> {
    let asked = Packet::parse(message).unwrap();
    let mut packet = Packet::new_reply(asked.id());
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_DESIRED);
    *packet.rcode_mut() = code;
    let question = asked.questions[0].clone();
    let name = question.qname.clone();
    let last = name.to_string().bytes().last().unwrap_or(b'.').to_ascii_lowercase();
    let record = |ttl: u32, data| ResourceRecord::new(name.clone(), CLASS::IN, ttl, data);
    if let Some(ttl) = ttl {
        let data = match question.qtype {
            QTYPE::TYPE(TYPE::A) => RData::A(A { address: u32::from_be_bytes([10, 0, 0, last]) }),
            _ => RData::NS(NS(Name::new("ns.example").unwrap())),
        };
        packet.answers.push(record(ttl, data));
    }
    if let Some((ttl, minimum)) = soa {
        let text = || Name::new("a.example").unwrap();
        let soa = SOA { mname: text(), rname: text(), serial: 1, refresh: 1, retry: 1, expire: 1, minimum };
        packet.name_servers.push(record(ttl, RData::SOA(soa)));
    }
    packet.questions.push(question);
    packet.build_bytes_vec_compressed().unwrap()
}
