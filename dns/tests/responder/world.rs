//! Two networks with names, and a client that writes queries and reads answers with simple-dns.

use std::net::IpAddr;

use dns::{Entry, Names, Responder, Response, Service, Transport, View};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QTYPE, Question, TYPE};

pub(crate) const UDP: Transport = Transport::Udp { room: 1_472 };

/// What a client made of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Answer(Reply),
    Refused(Reply),
    Forward,
    Ignore,
}

/// An answer, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) rcode: u16,
    /// Authoritative, truncated, recursion available.
    pub(crate) flags: (bool, bool, bool),
    pub(crate) answers: Vec<String>,
    pub(crate) authorities: usize,
    pub(crate) additional: Vec<String>,
    /// Size, version, DNSSEC.
    pub(crate) edns: Option<(u16, u8, bool)>,
    pub(crate) len: usize,
}

impl Said {
    pub(crate) fn answer(self) -> Reply {
        match self {
            Said::Answer(reply) => reply,
            other => panic!("not answered: {other:?}"),
        }
    }

    pub(crate) fn refused(self) -> u16 {
        match self {
            Said::Refused(reply) => reply.rcode,
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) struct World {
    pub(crate) networks: Vec<Names>,
    pub(crate) forwards: bool,
    pub(crate) responder: Responder,
}

pub(crate) fn entry(names: &[&str], addresses: &[&str], services: &[Service]) -> Entry {
    Entry {
        names: names.iter().map(ToString::to_string).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        services: services.to_vec(),
    }
}

impl World {
    /// RED has `web` (both families, 80/tcp) and `db` (IPv4); BLUE has another `db` and `Cache`, both with IPv6 only.
    pub(crate) fn new() -> World {
        let (mut red, mut blue) = (Names::new("RED"), Names::new("Blue"));
        let http = Service { port: 80, tcp: true };
        red.insert(1, entry(&["web", "www", "0123456789ab"], &["10.1.0.2", "fd01::2"], &[http]));
        red.insert(2, entry(&["db"], &["10.1.0.3"], &[]));
        blue.insert(1, entry(&["db"], &["fd02::3"], &[]));
        blue.insert(2, entry(&["Cache", "web.v2"], &["fd02::4"], &[]));
        World { networks: vec![red, blue], forwards: true, responder: Responder::new(7) }
    }

    pub(crate) fn ask(&mut self, name: &str, kind: TYPE) -> Said {
        self.send(&query(name, kind.into()).build_bytes_vec().unwrap(), UDP)
    }

    pub(crate) fn send(&mut self, message: &[u8], transport: Transport) -> Said {
        let World { networks, forwards, responder } = self;
        let covers = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets()[..2] == [10, 1],
            IpAddr::V6(address) => matches!(address.segments()[0], 0xfd01 | 0xfd02),
        };
        let view = View { networks: networks.iter(), covers, forwards: *forwards };
        match responder.respond(message, transport, &view) {
            Response::Answer(bytes) => Said::Answer(read(message, bytes)),
            Response::Refused(bytes) => Said::Refused(read(message, bytes)),
            Response::Forward { .. } => Said::Forward,
            Response::Ignore => Said::Ignore,
        }
    }
}

pub(crate) fn query(name: &str, kind: QTYPE) -> Packet<'_> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name).unwrap(), kind, CLASS::IN.into(), false));
    packet
}

pub(crate) fn read(asked: &[u8], bytes: &[u8]) -> Reply {
    let packet = Packet::parse(bytes).unwrap();
    assert_eq!(bytes[..2], asked[..2], "the identifier");
    assert!(packet.has_flags(PacketFlag::RESPONSE));
    assert_eq!(bytes[2] & 0x79, asked[2] & 0x79, "opcode, and whether recursion is desired");
    if let Some(question) = packet.questions.first() {
        let len: usize = question.qname.as_bytes().map(|label| label.len() + 1).sum::<usize>() + 5;
        assert_eq!(bytes[12..12 + len], asked[12..12 + len], "the question, in its own letters");
    }
    assert!(packet.opcode() == OPCODE::StandardQuery || !packet.answers.iter().any(|_| true));
    // By hand: simple-dns has the extended code and the version where the flags are.
    let opt = packet.opt().map(|_| bytes.last_chunk::<11>().unwrap());
    let upper = opt.map_or(0, |opt| u16::from(opt[5]));
    Reply {
        rcode: upper << 4 | u16::from(bytes[3] & 0x0f),
        flags: (
            packet.has_flags(PacketFlag::AUTHORITATIVE_ANSWER),
            packet.has_flags(PacketFlag::TRUNCATION),
            packet.has_flags(PacketFlag::RECURSION_AVAILABLE),
        ),
        answers: packet.answers.iter().map(text).collect(),
        authorities: packet.name_servers.len(),
        additional: packet.additional_records.iter().map(text).collect(),
        edns: opt.map(|opt| (u16::from_be_bytes([opt[3], opt[4]]), opt[6], opt[7] & 0x80 != 0)),
        len: bytes.len(),
    }
}

fn text(record: &simple_dns::ResourceRecord<'_>) -> String {
    assert_eq!(record.ttl, dns::TTL);
    let data = match &record.rdata {
        RData::A(a) => format!("A {}", std::net::Ipv4Addr::from(a.address)),
        RData::AAAA(a) => format!("AAAA {}", std::net::Ipv6Addr::from(a.address)),
        RData::PTR(ptr) => format!("PTR {}", ptr.0),
        RData::SRV(srv) => format!("SRV {} {}", srv.port, srv.target),
        other => panic!("{other:?}"),
    };
    format!("{} {data}", record.name)
}
