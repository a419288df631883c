//! A host with a way out: its gateway, its uplink, packets as containers and the outside send them, and what left.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use switch::{PortId, Publish, Route, Update};
use wire::{Frame, Mac};

use super::{Host, RED, ip, mac};

pub const UPLINK: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
pub const OUT: Mac = port::OUT_MAC;
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub const TCP: u8 = 6;

pub fn gateway_mac() -> Mac {
    Mac::from_ipv4(ip(1))
}

/// A host with an uplink, RED (10.10.10.0/24), and one endpoint .2 at port 1.
pub fn host() -> (Host, PortId) {
    let mut host = Host::new(1);
    host.gateway(RED, "10.10.10.1/24", false, true);
    host.apply(Update::Uplink { mac: Some(UPLINK) });
    let route = |to: &str, source: IpAddr| Route { to: to.parse().unwrap(), source, mtu: 1500 };
    let source6 = IpAddr::V6("2001:db8::1".parse().unwrap());
    host.apply(Update::Host {
        addresses: vec![HOST.into(), source6, "169.254.86.1".parse().unwrap()],
        routes: vec![route("0.0.0.0/0", HOST.into()), route("::/0", source6)],
    });
    let port = host.endpoint(1, RED, ip(2));
    (host, port)
}

pub struct Seen {
    pub port: PortId,
    pub dst_mac: Mac,
    pub src_mac: Mac,
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub ttl: u8,
    pub ports: (u16, u16),
    pub icmp: Option<(u8, u8)>,
    pub bytes: Vec<u8>,
}

pub fn seen(frames: &[(PortId, Frame)]) -> Vec<Seen> {
    frames.iter().map(|(port, frame)| look(*port, frame)).collect()
}

pub fn look(port: PortId, frame: &Frame) -> Seen {
    let sliced = SlicedPacket::from_ethernet(frame.bytes()).unwrap();
    let Some(NetSlice::Ipv4(v4)) = &sliced.net else { panic!("IPv4") };
    let header = v4.header().to_header();
    assert_eq!(header.calc_header_checksum(), header.header_checksum);
    let (mut ports, mut icmp) = ((0, 0), None);
    match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            ports = (udp.source_port(), udp.destination_port());
            let own = udp.to_header();
            assert_eq!(own.calc_checksum_ipv4(&header, udp.payload()).unwrap(), own.checksum);
        }
        Some(TransportSlice::Tcp(tcp)) => {
            ports = (tcp.source_port(), tcp.destination_port());
            let own = tcp.to_header();
            assert_eq!(own.calc_checksum_ipv4(&header, tcp.payload()).unwrap(), own.checksum);
        }
        Some(TransportSlice::Icmpv4(message)) => icmp = Some((message.type_u8(), message.code_u8())),
        _ => {}
    }
    let bytes = frame.bytes();
    let mac = |at: usize| Mac(bytes[at..at + 6].try_into().unwrap());
    Seen {
        port,
        dst_mac: mac(0),
        src_mac: mac(6),
        src: header.source.into(),
        dst: header.destination.into(),
        ttl: header.time_to_live,
        ports,
        icmp,
        bytes: bytes.to_vec(),
    }
}

pub fn udp(link: (Mac, Mac), from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), ttl: u8, len: usize) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(link.0.0, link.1.0).ipv4(from.0.octets(), to.0.octets(), ttl).udp(from.1, to.1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &vec![7; len]).unwrap();
    bytes
}

pub fn tcp(link: (Mac, Mac), from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: &str, seq: (u32, u32)) -> Vec<u8> {
    let mut builder = PacketBuilder::ethernet2(link.0.0, link.1.0)
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .tcp(from.1, to.1, seq.0, 60_000);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'A' => builder.ack(seq.1),
            'F' => builder.fin(),
            'R' => builder.rst(),
            _ => panic!("flag {flag}"),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

pub fn echo(link: (Mac, Mac), from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(link.0.0, link.1.0).ipv4(from.octets(), to.octets(), 64).icmpv4_echo_request(77, 1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"ping").unwrap();
    bytes
}

/// From the endpoint to its gateway.
pub fn up() -> (Mac, Mac) {
    (mac(2), gateway_mac())
}

/// As the host itself sends.
pub fn own() -> (Mac, Mac) {
    (UPLINK, UPLINK)
}

/// As the host's interfaces hand frames over: addresses of some other link.
pub fn in_() -> (Mac, Mac) {
    (Mac([2, 9, 9, 9, 9, 9]), Mac([2, 8, 8, 8, 8, 8]))
}

pub fn published(at: Option<IpAddr>, ports: (u16, u16), to: Ipv4Addr, to_port: u16) -> Publish {
    let via = vec!["169.254.86.3".parse().unwrap()];
    Publish { protocol: TCP, at, via, ports, bridge: RED, to: vec![to.into()], to_port }
}

/// "Port unreachable", quoting the packet in `about` with its header and 8 bytes.
pub fn refusal(link: (Mac, Mac), from: Ipv4Addr, to: Ipv4Addr, about: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(link.0.0, link.1.0).ipv4(from.octets(), to.octets(), 64);
    let port = etherparse::icmpv4::DestUnreachableHeader::Port;
    let mut bytes = Vec::new();
    let builder = builder.icmpv4(etherparse::Icmpv4Type::DestinationUnreachable(port));
    builder.write(&mut bytes, &about[14..42]).unwrap();
    bytes
}

/// The fragments of a frame whose packet may be fragmented.
pub fn pieces(mut bytes: Vec<u8>, mtu: usize) -> Vec<Frame> {
    bytes[20] = 0;
    let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    let (frame, mut pieces) = (Frame::from_bytes(&bytes), Vec::new());
    let headers = wire::parse(frame.bytes()).unwrap();
    wire::fragment::split(&frame, &headers, mtu, &mut wire::Pool::new(4), &mut pieces).unwrap();
    pieces
}
