//! Packets for tests, a program from text, and the little of a world that rules ask for.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IcmpEchoHeader, Icmpv4Type, Icmpv6Type, IpHeaders, PacketBuilder, PacketBuilderStep, TcpHeader};
use nat::Tuple;
use nat::rules::{
    AddressKinds, Connection, Family, Hook, Log, Outcome, Packet, Program, Surroundings, Table, Tracking, Verdict, load,
};
use wire::{Frame, Headers, Time, parse};

/// What rules ask for.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) random: u32,
    pub(crate) local: Vec<IpAddr>,
    pub(crate) mtu: u32,
    pub(crate) open: Vec<Tuple>,
    pub(crate) logged: Vec<String>,
}

impl Surroundings for World {
    fn random(&mut self) -> u32 {
        self.random
    }

    fn kinds(&mut self, ip: IpAddr, interface: Option<&str>) -> AddressKinds {
        match self.local.contains(&ip) && interface.is_none_or(|name| name == "eth0") {
            true => AddressKinds::LOCAL,
            false if ip.is_multicast() => AddressKinds::MULTICAST,
            false => AddressKinds::UNICAST,
        }
    }

    fn path_mtu(&mut self, _: IpAddr, _: IpAddr) -> u32 {
        self.mtu
    }

    fn is_open(&mut self, tuple: &Tuple) -> bool {
        self.open.contains(tuple)
    }

    fn log(&mut self, log: &Log, packet: &Packet<'_>) {
        self.logged.push(format!("{}{}", log.prefix, packet.input));
    }
}

/// A program, its world, and what packets bring along.
pub(crate) struct Bench {
    pub(crate) program: Program,
    pub(crate) world: World,
    pub(crate) now: Time,
    pub(crate) table: Table,
    pub(crate) hook: Hook,
    pub(crate) input: &'static str,
    pub(crate) output: &'static str,
    pub(crate) mark: u32,
    pub(crate) tracking: Tracking,
    /// The headers, as the last packet left them.
    pub(crate) headers: Option<Headers>,
}

/// Rules of one table, judged at one hook.
pub(crate) fn bench(family: Family, table: Table, hook: Hook, rules: &str) -> Bench {
    let text = format!("*{table}\n{rules}\nCOMMIT\n");
    Bench {
        program: Program::new(load(family, &text).unwrap_or_else(|error| panic!("{error}\n{text}"))),
        world: World::default(),
        now: Time::from_secs(1_000),
        table,
        hook,
        input: "eth0",
        output: "eth1",
        mark: 0,
        tracking: Tracking::None,
        headers: None,
    }
}

/// Rules of the filter's FORWARD, IPv4.
pub(crate) fn forward(rules: &str) -> Bench {
    bench(Family::Ipv4, Table::Filter, Hook::Forward, rules)
}

impl Bench {
    pub(crate) fn judge(&mut self, frame: &mut Frame) -> Outcome {
        let mut headers = parse(frame.bytes()).unwrap();
        let mut packet = Packet {
            frame,
            headers: &mut headers,
            input: self.input,
            output: self.output,
            mark: self.mark,
            tracking: self.tracking.clone(),
        };
        let outcome = self.program.judge(self.now, self.table, self.hook, &mut packet, &mut self.world);
        (self.mark, self.tracking) = (packet.mark, packet.tracking);
        self.headers = Some(headers);
        outcome
    }

    pub(crate) fn verdict(&mut self, frame: &Frame) -> Verdict {
        let mut copy = Frame::new();
        copy.copy_from(frame);
        self.judge(&mut copy).verdict
    }

    /// Whether the packet is dropped.
    pub(crate) fn drops(&mut self, frame: &Frame) -> bool {
        self.verdict(frame) == Verdict::Drop
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        match &mut self.tracking {
            Tracking::Known(connection) => connection,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn link(src: IpAddr, dst: IpAddr) -> PacketBuilderStep<IpHeaders> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => link.ipv4(src.octets(), dst.octets(), 64),
        (IpAddr::V6(src), IpAddr::V6(dst)) => link.ipv6(src.octets(), dst.octets(), 64),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

pub(crate) fn udp(src: &str, dst: &str, payload: &[u8]) -> Frame {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let mut out = Vec::new();
    link(src.ip(), dst.ip()).udp(src.port(), dst.port()).write(&mut out, payload).unwrap();
    Frame::from_bytes(&out)
}

/// Flags as the header has them, options as they are.
pub(crate) fn tcp(src: &str, dst: &str, flags: u8, options: &[u8], payload: &[u8]) -> Frame {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let mut header = TcpHeader::new(src.port(), dst.port(), 7, 1_000);
    header.set_options_raw(options).unwrap();
    header.fin = flags & 1 != 0;
    header.syn = flags & 2 != 0;
    header.rst = flags & 4 != 0;
    header.psh = flags & 8 != 0;
    header.ack = flags & 16 != 0;
    header.urg = flags & 32 != 0;
    let mut out = Vec::new();
    link(src.ip(), dst.ip()).tcp_header(header).write(&mut out, payload).unwrap();
    Frame::from_bytes(&out)
}

pub(crate) fn echo(src: &str, dst: &str) -> Frame {
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let header = IcmpEchoHeader { id: 5, seq: 1 };
    let mut out = Vec::new();
    let step = link(src, dst);
    match src {
        IpAddr::V4(_) => step.icmpv4(Icmpv4Type::EchoRequest(header)).write(&mut out, b"ping").unwrap(),
        IpAddr::V6(_) => step.icmpv6(Icmpv6Type::EchoRequest(header)).write(&mut out, b"ping").unwrap(),
    }
    Frame::from_bytes(&out)
}
