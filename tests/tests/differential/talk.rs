//! Conversations between hosts of both sides, and what disturbs them: packets in an order in which states matter, with odd
//! flags, sequence numbers out of the window, errors about others' packets, datagrams in pieces.

use nat::rules::Family;

use crate::bytes::{self, Envelope, ICMP, ICMPV6, TCP, UDP};
use crate::random::Random;
use crate::world::{HOSTS, ROUTER_MAC, address, gateway, mac};

/// Frames that go in on one side, one after the other; several are pieces of one datagram.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) side: usize,
    pub(crate) frames: Vec<Vec<u8>>,
    /// What it is, for messages.
    pub(crate) what: String,
    /// Whether they are pieces of one datagram.
    pub(crate) cut: bool,
}

/// Ports that talks use; those of rules are near.
const PORTS: [u16; 6] = [80, 81, 82, 443, 5000, 5001];
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
    last: [Vec<u8>; 2],
}

/// Makes talks.
pub(crate) struct Talks {
    family: Family,
    random: Random,
    talks: Vec<Talk>,
    /// Whether datagrams may come in pieces.
    cuts: bool,
}

/// So many events; datagrams come in pieces only if they may.
pub(crate) fn events(family: Family, random: Random, count: usize, cuts: bool) -> Vec<Event> {
    let mut talks = Talks { family, random, talks: Vec::new(), cuts };
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
        let protocol = random.pick(&[TCP, TCP, TCP, TCP, UDP, UDP, icmp, icmp, 253]);
        let talk = Talk {
            protocol,
            hosts: [random.below(HOSTS), random.below(HOSTS)],
            ports: [random.pick(&PORTS), random.pick(&PORTS)],
            opener: random.below(2),
            step: 0,
            next: [random.next() as u32, random.next() as u32],
            last: [Vec::new(), Vec::new()],
        };
        self.talks.push(talk);
    }

    fn envelope(&mut self, side: usize, hosts: [usize; 2]) -> Envelope {
        let (family, random) = (self.family, &mut self.random);
        let padding = |random: &mut Random| (random.pick(&[0, 60]), vec![0, 1, 4, 0, 0, 0, 0]);
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
            extensions: if !v4 && random.percent(8) { vec![padding(random)] } else { Vec::new() },
        }
    }

    /// Sends a packet of a talk.
    fn say(&mut self, at: usize, side: usize, envelope: &Envelope, packet: Vec<u8>, what: String) -> Event {
        self.talks[at].last[side] = packet.clone();
        let host = self.talks[at].hosts[side];
        self.send(side, host, envelope, &[packet], what)
    }

    fn send(&self, side: usize, host: usize, envelope: &Envelope, packets: &[Vec<u8>], what: String) -> Event {
        let frames = packets.iter().map(|packet| bytes::frame(mac(side, host), ROUTER_MAC, packet)).collect();
        let what = format!("{what} {} > {} ttl {} tos {}", envelope.src, envelope.dst, envelope.ttl, envelope.tos);
        Event { side, frames, what, cut: packets.len() > 1 }
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
                    &[2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 0, 0],
                    &[3, 3, 7, 1, 4, 2, 2, 4, 2, 0, 1, 1],
                ])
                .to_vec(),
        };
        let window = self.random.pick(&[1_000, 60_000, 0, 65_535]);
        let ports = (talk.ports[side], talk.ports[1 - side]);
        let hosts = talk.hosts;
        let mut message = bytes::tcp(ports, flags, (seq, ack), window, &options, &vec![b'd'; data]);
        let envelope = self.envelope(side, hosts);
        envelope.seal(TCP, &mut message, 16);
        if !odd {
            let used = data as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            self.talks[at].next[side] = seq.wrapping_add(used);
        }
        let what = format!("TCP {ports:?} flags {flags:#x} seq {seq} ack {ack} data {data} odd {odd}");
        let packet = envelope.packet(TCP, &message);
        self.say(at, side, &envelope, packet, what)
    }

    fn datagram(&mut self, at: usize) -> Event {
        let talk = &self.talks[at];
        let (hosts, ports) = (talk.hosts, talk.ports);
        let side = if talk.step == 0 { talk.opener } else { self.random.below(2) };
        self.talks[at].step += 1;
        let data = vec![b'u'; self.random.below(60)];
        let envelope = self.envelope(side, hosts);
        let ports = (ports[side], ports[1 - side]);
        if self.cuts && self.random.percent(25) {
            return self.in_pieces(at, side, envelope, ports);
        }
        let packet = envelope.sealed(UDP, bytes::udp(ports, &data), 6);
        self.say(at, side, &envelope, packet, format!("UDP {ports:?} data {}", data.len()))
    }

    /// A datagram in pieces, now and then in another order. The kernel puts it together before it looks at its life, and
    /// takes its options from the first.
    fn in_pieces(&mut self, at: usize, side: usize, envelope: Envelope, ports: (u16, u16)) -> Event {
        let envelope = Envelope { ttl: 64, df: false, options: Vec::new(), ..envelope };
        let data = vec![b'f'; 100 + self.random.below(2_000)];
        let mut message = bytes::udp(ports, &data);
        envelope.seal(UDP, &mut message, 6);
        let mut cuts = self.random.pick(&[&[48][..], &[16, 64], &[8, 16, 96]]).to_vec();
        if data.len() > 1_200 {
            cuts.push(1_024);
        }
        let mut packets = envelope.pieces(UDP, &message, &cuts);
        if self.random.percent(30) {
            let turns = 1 + self.random.below(packets.len());
            let count = packets.len();
            packets.rotate_left(turns % count);
        }
        let what = format!("UDP {ports:?} data {} in {} pieces", data.len(), packets.len());
        self.send(side, self.talks[at].hosts[side], &envelope, &packets, what)
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
        let (protocol, id) = (if v4 { ICMP } else { ICMPV6 }, u32::from(ports[1]));
        let envelope = self.envelope(side, hosts);
        let message = bytes::icmp(kind, 0, id << 16 | 1, &[b'i'; 24]);
        let packet = envelope.sealed(protocol, message, 2);
        self.say(at, side, &envelope, packet, format!("ICMP type {kind} id {id}"))
    }

    fn other(&mut self, at: usize) -> Event {
        let hosts = self.talks[at].hosts;
        let side = self.random.below(2);
        let envelope = self.envelope(side, hosts);
        let packet = envelope.sealed(253, vec![b'o'; 2 * self.random.below(15) + 2], 0);
        self.say(at, side, &envelope, packet, "protocol 253".into())
    }

    /// An error about the last packet of a talk's other side, from whom it was for or from somebody between.
    fn error(&mut self, at: usize) -> Event {
        let side = self.random.below(2);
        let talk = &self.talks[at];
        let (mut hosts, quoted) = (talk.hosts, talk.last[1 - side].clone());
        if quoted.is_empty() {
            return self.stranger();
        }
        if self.random.percent(30) {
            hosts[side] = self.random.below(HOSTS);
        }
        if self.random.percent(5) {
            // To somebody else than who has sent it.
            hosts[1 - side] = self.random.below(HOSTS);
        }
        let v4 = self.family == Family::Ipv4;
        let kinds: &[(u8, u8)] = if v4 {
            &[(3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0)]
        } else {
            &[(1, 0), (1, 1), (1, 3), (1, 4), (2, 0), (3, 0), (4, 1)]
        };
        let (kind, code) = self.random.pick(kinds);
        let room = self.random.pick(if v4 { &[28, 48, 68, 200] } else { &[56, 68, 200, 300] });
        let quote = &quoted[..quoted.len().min(room)];
        let envelope = self.envelope(side, hosts);
        let message = bytes::icmp(kind, code, 1400, quote);
        let packet = envelope.sealed(if v4 { ICMP } else { ICMPV6 }, message, 2);
        let what = format!("ICMP error {kind}/{code} quoting {} bytes", quote.len());
        self.send(side, hosts[side], &envelope, &[packet], what)
    }

    /// Something that belongs nowhere.
    fn stranger(&mut self) -> Event {
        let side = self.random.below(2);
        let hosts = [self.random.below(HOSTS), self.random.below(HOSTS)];
        let envelope = self.envelope(side, hosts);
        let v4 = self.family == Family::Ipv4;
        let protocol = if v4 { ICMP } else { ICMPV6 };
        let (packet, what) = match self.random.below(3) {
            0 => {
                let kinds: &[u8] = if v4 { &[0, 14, 16, 200] } else { &[129, 139, 200] };
                let kind = self.random.pick(kinds);
                (envelope.sealed(protocol, bytes::icmp(kind, 0, 77, b"odd"), 2), format!("ICMP type {kind}"))
            }
            1 => {
                let data = vec![b'x'; 2 * self.random.below(10) + 2];
                let number = self.random.pick(&[50, 4, 89, 103]);
                let what = format!("protocol {number} {} bytes", data.len());
                (envelope.sealed(number, data, 0), what)
            }
            _ => {
                let ports = (9_999, self.random.pick(&PORTS));
                let mut packet = envelope.sealed(TCP, bytes::tcp(ports, SYN, (1, 0), 1_000, &[], &[]), 16);
                let last = packet.len() - 3;
                packet[last] ^= 0x55;
                (packet, format!("TCP {ports:?} bad checksum"))
            }
        };
        let _ = gateway(self.family, side);
        self.send(side, hosts[side], &envelope, &[packet], what)
    }
}
