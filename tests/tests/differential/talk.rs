//! Conversations between hosts of both sides, and what disturbs them: packets in an order in which states matter, with odd
//! flags, sequence numbers out of the window, errors about others' packets, datagrams in pieces.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use nat::rules::Family;

use crate::bytes::{self, Envelope, ICMP, ICMPV6, TCP, UDP};
use crate::ends::{Ends, transport};
use crate::random::Random;
use crate::world::{HOSTS, address, gateway};

/// Makes packets between these ends.
type Packets = Arc<dyn Fn(Ends) -> Vec<Vec<u8>> + Send + Sync>;
/// Makes packets for a talk whose other side has seen it begin with these ends.
type Make = Arc<dyn Fn(Option<&Ends>) -> (Ends, Vec<Vec<u8>>) + Send + Sync>;

/// Packets that go in on one side, one after the other; several are pieces of one datagram.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) side: usize,
    /// The talk that it is of.
    pub(crate) talk: Option<usize>,
    /// Whether a packet of its opener, from which the other side learns with whom it speaks.
    pub(crate) opens: bool,
    pub(crate) make: Make,
    /// What it is, for messages.
    pub(crate) what: String,
    /// Whether they are pieces of one datagram.
    pub(crate) cut: bool,
}

/// A packet that was sent, to be quoted.
#[derive(Clone)]
struct Sent {
    ends: Ends,
    opens: bool,
    packets: Packets,
}

/// Ports that talks use; those of rules are near.
const PORTS: [u16; 6] = [80, 81, 82, 443, 5000, 5001];
/// Where ports may be picked by chance: of one class.
pub(crate) const HIGH_PORTS: [u16; 6] = [5000, 5001, 8080, 8081, 9000, 9443];
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// One talk between a host of each side.
struct Talk {
    protocol: u8,
    hosts: [usize; 2],
    ports: [u16; 2],
    /// Who speaks first.
    opener: usize,
    step: usize,
    /// The next sequence number of each side.
    next: [u32; 2],
    /// The last packet of each side.
    last: [Option<Sent>; 2],
}

/// Makes talks.
pub(crate) struct Talks {
    family: Family,
    random: Random,
    talks: Vec<Talk>,
    /// Who queries (side and host) with which identifier.
    queries: HashSet<(usize, usize, u16)>,
    /// Whether datagrams may come in pieces.
    cuts: bool,
    ports: [u16; 6],
    /// Whether the router may be spoken to by another address.
    translated: bool,
}

/// So many events; datagrams come in pieces only if they may.
pub(crate) fn events(family: Family, random: Random, count: usize, cuts: bool, translated: bool) -> Vec<Event> {
    let ports = if translated { HIGH_PORTS } else { PORTS };
    let mut talks = Talks { family, random, talks: Vec::new(), queries: HashSet::new(), cuts, ports, translated };
    (0..count).map(|_| talks.event()).collect()
}

impl Talks {
    fn event(&mut self) -> Event {
        if self.talks.is_empty() || self.random.percent(15) {
            self.begin();
        }
        // The youngest talks go on most.
        let back = self.random.below(4).min(self.talks.len() - 1);
        let at = self.talks.len() - 1 - back;
        match self.random.below(100) {
            0..12 => self.error(at),
            12..18 => self.stranger(),
            18..24 => self.visit(),
            _ => match self.talks[at].protocol {
                TCP => self.segment(at),
                UDP => self.datagram(at),
                ICMP | ICMPV6 => self.query(at),
                _ => self.other(at),
            },
        }
    }

    fn begin(&mut self) {
        let random = &mut self.random;
        let icmp = if self.family == Family::Ipv4 { ICMP } else { ICMPV6 };
        // The kernel refuses (REJECT) IPv6 packets of other protocols by a checksum that translation does not keep right.
        let other = if self.translated && self.family == Family::Ipv6 { icmp } else { 253 };
        let protocol = random.pick(&[TCP, TCP, TCP, TCP, UDP, UDP, icmp, icmp, other]);
        let hosts = [random.below(HOSTS), random.below(HOSTS)];
        let ports = [random.pick(&self.ports), random.pick(&self.ports)];
        let opener = random.below(2);
        // Two queries of one host with one identifier, which a rule leads to one place, are told apart in another way there
        // (docs/differences.md); what is not translated never meets.
        let is_query = matches!(protocol, ICMP | ICMPV6);
        let twice = is_query && !self.queries.insert((opener, hosts[opener], ports[1])) && self.translated;
        let talk = Talk {
            protocol: if twice { UDP } else { protocol },
            hosts,
            ports,
            opener,
            step: 0,
            next: [random.next() as u32, random.next() as u32],
            last: [None, None],
        };
        self.talks.push(talk);
    }

    fn envelope(&mut self, side: usize, hosts: [usize; 2]) -> Envelope {
        let (family, random) = (self.family, &mut self.random);
        let padding = |random: &mut Random| (random.pick(&[0, 60]), vec![0, 1, 4, 0, 0, 0, 0]);
        // A routing header that has led here: none left, so that checksums mean the destination that is there. The kernel
        // takes its own kinds only.
        let routing = |random: &mut Random| {
            let units = random.pick(&[0u8, 2]);
            (43, [vec![units, random.pick(&[0, 2, 3, 4]), 0], vec![0; 4 + 8 * usize::from(units)]].concat())
        };
        let v4 = family == Family::Ipv4;
        let options: &[&[u8]] = &[&[1, 1, 1, 0], &[0x94, 4, 0, 0], &[1, 0x44 | 0x80, 3, 0]];
        Envelope {
            src: address(family, side, hosts[side]),
            dst: address(family, 1 - side, hosts[1 - side]),
            ttl: random.pick(&[64, 64, 64, 63, 255, 128, 2, 1]),
            tos: random.pick(&[0, 0, 0, 0x28, 0x10, 0xb8, 3]),
            id: random.next() as u16,
            df: random.percent(50),
            options: if v4 && random.percent(4) { random.pick(options).to_vec() } else { Vec::new() },
            extensions: match if v4 { 100 } else { random.below(100) } {
                0..8 => vec![padding(random)],
                8..16 if !self.translated => vec![routing(random)],
                _ => Vec::new(),
            },
        }
    }

    /// Sends a packet of a talk.
    fn say(&mut self, at: usize, side: usize, packets: Packets, what: String) -> Event {
        let talk = &mut self.talks[at];
        let end = |side: usize| (address(self.family, side, talk.hosts[side]), talk.ports[side]);
        let ends = Ends { src: end(side), dst: end(1 - side) };
        let ends = match talk.protocol {
            ICMP | ICMPV6 => Ends { src: (ends.src.0, talk.ports[1]), dst: (ends.dst.0, talk.ports[1]) },
            _ => ends,
        };
        let opens = side == talk.opener;
        talk.last[side] = Some(Sent { ends, opens, packets: packets.clone() });
        let make = Arc::new(move |seen: Option<&Ends>| {
            let ends = seen.filter(|_| !opens).map_or(ends, |seen| seen.reversed());
            (ends, packets(ends))
        });
        let what = format!("{what} {:?} > {:?} talk {at}", ends.src, ends.dst);
        Event { side, talk: Some(at), opens, make, what, cut: false }
    }

    /// Sends a packet of no talk.
    fn send(&self, side: usize, envelope: &Envelope, packet: Vec<u8>, what: String) -> Event {
        let ends = Ends { src: (envelope.src, 0), dst: (envelope.dst, 0) };
        let what = format!("{what} {} > {} ttl {} tos {}", envelope.src, envelope.dst, envelope.ttl, envelope.tos);
        let make = Arc::new(move |_: Option<&Ends>| (ends, vec![packet.clone()]));
        Event { side, talk: None, opens: false, make, what, cut: false }
    }

    fn segment(&mut self, at: usize) -> Event {
        let talk = &self.talks[at];
        let (opener, step) = (talk.opener, talk.step);
        let odd = self.random.percent(25);
        let script = [(opener, SYN), (1 - opener, SYN | ACK), (opener, ACK)];
        let (side, flags) = if odd {
            let flags = [
                SYN,
                SYN | ACK,
                ACK,
                FIN | ACK,
                FIN,
                RST,
                RST | ACK,
                0,
                0x3f,
                SYN | FIN,
                PSH,
                PSH | ACK,
                0x29,
                SYN | RST,
            ];
            (self.random.below(2), self.random.pick(&flags))
        } else {
            self.talks[at].step += 1;
            match script.get(step) {
                Some(&turn) => turn,
                None => match self.random.below(10) {
                    0 | 1 => (self.random.below(2), FIN | ACK),
                    2 if self.random.percent(30) => (self.random.below(2), RST | ACK),
                    3 if self.random.percent(30) => {
                        self.talks[at].step = 1;
                        self.talks[at].next[opener] = self.random.next() as u32;
                        (opener, SYN)
                    }
                    _ => (self.random.below(2), ACK | if self.random.percent(50) { PSH } else { 0 }),
                },
            }
        };
        let data = if flags & PSH != 0 || odd && self.random.percent(30) { self.random.below(40) } else { 0 };
        let drift: u32 =
            if odd { self.random.pick(&[0, 0, 1, u32::MAX, 100, 0u32.wrapping_sub(1000), 70_000, 1 << 30]) } else { 0 };
        let talk = &self.talks[at];
        let (seq, ack) = (talk.next[side].wrapping_add(drift), talk.next[1 - side]);
        let ack = if flags & ACK != 0 { ack } else { 0 };
        let options: Vec<u8> = match flags & SYN {
            0 if self.random.percent(20) => [&[1, 1, 8, 10][..], &[0; 8]].concat(),
            0 => Vec::new(),
            _ => self
                .random
                .pick(&[
                    &[][..],
                    &[2, 4, 5, 0xb4],
                    &[2, 4, 0x23, 0x28],
                    &[2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 0, 0],
                    &[3, 3, 7, 1, 4, 2, 2, 4, 2, 0, 1, 1],
                ])
                .to_vec(),
        };
        let window = self.random.pick(&[1_000, 60_000, 0, 65_535]);
        let hosts = talk.hosts;
        let envelope = self.envelope(side, hosts);
        if !odd {
            let used = data as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            self.talks[at].next[side] = seq.wrapping_add(used);
        }
        let (ttl, tos) = (envelope.ttl, envelope.tos);
        let what = format!("TCP flags {flags:#x} seq {seq} ack {ack} data {data} odd {odd} ttl {ttl} tos {tos}");
        let packets = Arc::new(move |ends: Ends| {
            let message = bytes::tcp(ends.ports(), flags, (seq, ack), window, &options, &vec![b'd'; data]);
            vec![envelope.between(ends).sealed(TCP, message, 16)]
        });
        self.say(at, side, packets, what)
    }

    fn datagram(&mut self, at: usize) -> Event {
        let talk = &self.talks[at];
        let hosts = talk.hosts;
        let side = if talk.step == 0 { talk.opener } else { self.random.below(2) };
        self.talks[at].step += 1;
        let data = vec![b'u'; self.random.below(60)];
        let envelope = self.envelope(side, hosts);
        if self.cuts && self.random.percent(25) {
            return self.in_pieces(at, side, envelope);
        }
        let what = format!("UDP data {} ttl {} tos {}", data.len(), envelope.ttl, envelope.tos);
        let packets =
            Arc::new(move |ends: Ends| vec![envelope.between(ends).sealed(UDP, bytes::udp(ends.ports(), &data), 6)]);
        self.say(at, side, packets, what)
    }

    /// A datagram in pieces, now and then in another order. The kernel puts it together before it looks at its life, and
    /// takes its options from the first.
    fn in_pieces(&mut self, at: usize, side: usize, envelope: Envelope) -> Event {
        let envelope = Envelope { ttl: 64, df: false, options: Vec::new(), ..envelope };
        let data = vec![b'f'; 100 + self.random.below(2_000)];
        let mut cuts = self.random.pick(&[&[48][..], &[16, 64], &[8, 16, 96]]).to_vec();
        if data.len() > 1_200 {
            cuts.push(1_024);
        }
        let turns = if self.random.percent(30) { 1 + self.random.below(cuts.len()) } else { 0 };
        let what = format!("UDP data {} in {} pieces from {turns}", data.len(), cuts.len() + 1);
        let packets = Arc::new(move |ends: Ends| {
            let (envelope, mut message) = (envelope.between(ends), bytes::udp(ends.ports(), &data));
            envelope.seal(UDP, &mut message, 6);
            let mut packets = envelope.pieces(UDP, &message, &cuts);
            packets.rotate_left(turns);
            packets
        });
        let quoted = self.talks[at].last[side].take();
        let event = self.say(at, side, packets, what);
        // Of which piece would an error be?
        self.talks[at].last[side] = quoted;
        Event { cut: true, ..event }
    }

    fn query(&mut self, at: usize) -> Event {
        let v4 = self.family == Family::Ipv4;
        let talk = &self.talks[at];
        let (hosts, ports, opener) = (talk.hosts, talk.ports, talk.opener);
        let there = talk.step == 0 || self.random.percent(50);
        self.talks[at].step += 1;
        let pairs: &[(u8, u8)] = if v4 { &[(8, 0), (8, 0), (13, 14), (17, 18)] } else { &[(128, 129)] };
        let (query, answer) = pairs[usize::from(ports[0]) % pairs.len()];
        let (side, kind) = if there { (opener, query) } else { (1 - opener, answer) };
        let protocol = if v4 { ICMP } else { ICMPV6 };
        let mut envelope = self.envelope(side, hosts);
        if self.translated {
            // The gateway's answers keep options and extension headers.
            envelope.extensions.clear();
            envelope.options.clear();
        }
        let what = format!("ICMP type {kind} ttl {} tos {}", envelope.ttl, envelope.tos);
        let packets = Arc::new(move |ends: Ends| {
            let message = bytes::icmp(kind, 0, u32::from(ends.src.1) << 16 | 1, &[b'i'; 24]);
            vec![envelope.between(ends).sealed(protocol, message, 2)]
        });
        self.say(at, side, packets, what)
    }

    fn other(&mut self, at: usize) -> Event {
        let hosts = self.talks[at].hosts;
        let side = self.random.below(2);
        let envelope = self.envelope(side, hosts);
        let data = vec![b'o'; 2 * self.random.below(15) + 2];
        let what = format!("protocol 253 ttl {} tos {}", envelope.ttl, envelope.tos);
        let packets = Arc::new(move |ends: Ends| vec![envelope.between(ends).sealed(253, data.clone(), 0)]);
        self.say(at, side, packets, what)
    }

    /// An error about the last packet of a talk's other side, from whom it was for or from somebody between.
    fn error(&mut self, at: usize) -> Event {
        let side = self.random.below(2);
        let talk = &self.talks[at];
        let (hosts, Some(quoted)) = (talk.hosts, talk.last[1 - side].clone()) else { return self.stranger() };
        let other = |random: &mut Random, side| Some(address(self.family, side, random.below(HOSTS)));
        let between = if self.random.percent(30) { other(&mut self.random, side) } else { None };
        // To somebody else than who has sent it.
        let stray = if self.random.percent(5) { other(&mut self.random, 1 - side) } else { None };
        let v4 = self.family == Family::Ipv4;
        let kinds: &[(u8, u8)] = if v4 {
            &[(3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0)]
        } else {
            &[(1, 0), (1, 1), (1, 3), (1, 4), (2, 0), (3, 0), (4, 1)]
        };
        let (kind, code) = self.random.pick(kinds);
        // The kernel translates no quotation with less than 8 bytes behind its header, which may have options.
        let least = if self.translated { 32 } else { 28 };
        let room = self.random.pick(&if v4 { [least, 48, 68, 200] } else { [56, 68, 200, 300] });
        let envelope = self.envelope(side, hosts);
        let what = format!("ICMP error {kind}/{code} quoting {room} bytes of talk {at} ttl {}", envelope.ttl);
        let make = Arc::new(move |seen: Option<&Ends>| {
            let seen = seen.filter(|_| quoted.opens).copied().unwrap_or(quoted.ends);
            let packets = (quoted.packets)(seen);
            // Of extension headers all, as any error does (RFC 4443 section 2.4 (c)): what the kernel makes of less depends on
            // the protocol that is not there (docs/differences.md).
            let least = transport(&packets[0]).map_or(0, |(_, at)| at);
            let quote = &packets[0][..packets[0].len().min(room.max(least))];
            let src: IpAddr = between.unwrap_or(seen.dst.0);
            let ends = Ends { src: (src, 0), dst: (stray.unwrap_or(seen.src.0), 0) };
            let message = bytes::icmp(kind, code, 1400, quote);
            (ends, vec![envelope.between(ends).sealed(if v4 { ICMP } else { ICMPV6 }, message, 2)])
        });
        Event { side, talk: Some(at), opens: false, make, what, cut: false }
    }

    /// Something that belongs nowhere.
    fn stranger(&mut self) -> Event {
        let side = self.random.below(2);
        let hosts = [self.random.below(HOSTS), self.random.below(HOSTS)];
        let envelope = self.envelope(side, hosts);
        let v4 = self.family == Family::Ipv4;
        let protocol = if v4 { ICMP } else { ICMPV6 };
        // Other protocols are no use where the kernel reads a checksum into them, as above.
        let odd = if self.translated && !v4 { 0 } else { self.random.below(3) };
        let (packet, what) = match odd {
            0 => {
                let kinds: &[u8] = if v4 { &[0, 14, 16, 200] } else { &[129, 139, 200] };
                let kind = self.random.pick(kinds);
                (envelope.sealed(protocol, bytes::icmp(kind, 0, 77, b"odd"), 2), format!("ICMP type {kind}"))
            }
            1 => {
                let data = vec![b'x'; 2 * self.random.below(10) + 2];
                let number = self.random.pick(&[89, 99, 200]);
                let what = format!("protocol {number} {} bytes", data.len());
                (envelope.sealed(number, data, 0), what)
            }
            _ => {
                let ports = (9_999, self.random.pick(&self.ports));
                let mut packet = envelope.sealed(TCP, bytes::tcp(ports, SYN, (1, 0), 1_000, &[], &[]), 16);
                let last = packet.len() - 3;
                packet[last] ^= 0x55;
                (packet, format!("TCP {ports:?} bad checksum"))
            }
        };
        self.send(side, &envelope, packet, what)
    }

    /// Something for the router itself.
    fn visit(&mut self) -> Event {
        let side = self.random.below(2);
        let hosts = [self.random.below(HOSTS), self.random.below(HOSTS)];
        let envelope = self.envelope(side, hosts);
        let (family, of) = (self.family, self.random.below(2));
        let envelope =
            Envelope { dst: gateway(family, of), ttl: 64, options: Vec::new(), extensions: Vec::new(), ..envelope };
        let ports = (self.random.pick(&self.ports), self.random.pick(&self.ports));
        let (packet, what) = match self.random.below(3) {
            0 => {
                let (protocol, kind) = if family == Family::Ipv4 { (ICMP, 8) } else { (ICMPV6, 128) };
                (
                    envelope.sealed(protocol, bytes::icmp(kind, 0, (7 + of as u32) << 16 | 1, &[b'r'; 24]), 2),
                    "echo request".to_owned(),
                )
            }
            1 => {
                let flags = self.random.pick(&[SYN, SYN, ACK, FIN | ACK, RST, SYN | ACK]);
                let message = bytes::tcp(ports, flags, (7, if flags & ACK == 0 { 0 } else { 9 }), 1_000, &[], &[]);
                (envelope.sealed(TCP, message, 16), format!("TCP {ports:?} flags {flags:#x}"))
            }
            _ => (envelope.sealed(UDP, bytes::udp(ports, b"router"), 6), format!("UDP {ports:?}")),
        };
        self.send(side, &envelope, packet, what + " to router")
    }
}
