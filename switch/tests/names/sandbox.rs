//! Networks with names, sandboxes that ask, and what they were told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns::{Entry, Service};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE};
use switch::{BridgeId, Guard, Place, PortId, PortSettings, Update};
use wire::{Frame, Mac};

use crate::world::{Host, RED, ip, v6};

/// The gateway of RED.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 1);
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

/// RED with a gateway of both families, `me` at port 1 with .2, and `web` with .3 and ::3, `db` with .4.
pub(crate) fn host() -> (Host, PortId) {
    let mut host = Host::new(1);
    host.gateways(RED, &["10.10.10.1/24", "fd00::1/64"], false, true);
    let me = sandbox(&mut host, 1, "me", RED, ip(2));
    name(&mut host, RED, 3, &["web", "www"], &[ip(3).into(), v6(ip(3))]);
    name(&mut host, RED, 4, &["db"], &[ip(4).into()]);
    (host, me)
}

/// A port of a sandbox.
pub(crate) fn sandbox(host: &mut Host, port: u32, name: &str, bridge: BridgeId, ip: Ipv4Addr) -> PortId {
    let (id, mac, addresses) = (PortId(port), Mac::from_ipv4(ip), vec![IpAddr::V4(ip), v6(ip)]);
    let guard = Some(Guard { mac, addresses: addresses.clone() });
    host.apply(Update::Port { id, settings: PortSettings { name: name.into(), bridge, guard } });
    host.apply(Update::Endpoint { bridge, mac, addresses, place: Place::Port(id) });
    id
}

pub(crate) fn name(host: &mut Host, bridge: BridgeId, holder: u64, names: &[&str], addresses: &[IpAddr]) {
    let entry = Entry {
        names: names.iter().map(ToString::to_string).collect(),
        addresses: addresses.to_vec(),
        services: vec![Service { port: 80, tcp: true }],
    };
    host.apply(Update::Names { bridge, holder, entry: Some(entry) });
}

pub(crate) fn query(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name).unwrap(), kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

/// A datagram from a container to port 53 of a gateway of its family.
pub(crate) fn datagram(from: IpAddr, gateway: IpAddr, payload: &[u8]) -> Vec<u8> {
    let (link, mut bytes) = (link(from, gateway), Vec::new());
    let builder = PacketBuilder::ethernet2(link.0.0, link.1.0);
    match (from, gateway) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            builder.ipv4(from.octets(), to.octets(), 64).udp(4_000, 53).write(&mut bytes, payload).unwrap();
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            builder.ipv6(from.octets(), to.octets(), 64).udp(4_000, 53).write(&mut bytes, payload).unwrap();
        }
        _ => panic!("two families"),
    }
    bytes
}

/// The MAC addresses of a container and of its gateway.
pub(crate) fn link(from: IpAddr, gateway: IpAddr) -> (Mac, Mac) {
    let mac = |address: IpAddr| match address {
        IpAddr::V4(address) => Mac::from_ipv4(address),
        IpAddr::V6(address) => Mac::from_ipv4(ip(address.octets()[15])),
    };
    (mac(from), mac(gateway))
}

/// What somebody was told: response code, truncated, and the answers.
pub(crate) type Told = (u16, bool, Vec<String>);

/// The message in a reply from a gateway's port 53, whose checksums must be right.
pub(crate) fn message(frame: &Frame, to: IpAddr, gateway: IpAddr) -> Vec<u8> {
    let sliced = SlicedPacket::from_ethernet(frame.bytes()).unwrap();
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("UDP") };
    assert_eq!((udp.source_port(), udp.destination_port()), (53, 4_000));
    let header = udp.to_header();
    let (ends, sum) = match &sliced.net {
        Some(NetSlice::Ipv4(v4)) => {
            let ip = v4.header().to_header();
            assert_eq!(ip.calc_header_checksum(), ip.header_checksum);
            let ends = (IpAddr::from(ip.source), IpAddr::from(ip.destination));
            (ends, header.calc_checksum_ipv4(&ip, udp.payload()).unwrap())
        }
        Some(NetSlice::Ipv6(v6)) => {
            let ip = v6.header().to_header();
            let ends = (IpAddr::from(ip.source), IpAddr::from(ip.destination));
            (ends, header.calc_checksum_ipv6(&ip, udp.payload()).unwrap())
        }
        _ => panic!("IP"),
    };
    assert_eq!((ends, sum), ((gateway, to), header.checksum));
    let (client, server) = link(to, gateway);
    assert_eq!(frame.bytes()[..12], [client.0, server.0].concat());
    udp.payload().to_vec()
}

pub(crate) fn read(message: &[u8]) -> Told {
    let packet = Packet::parse(message).unwrap();
    assert_eq!(packet.id(), 0x1234);
    let answers = packet.answers.iter().map(|record| match &record.rdata {
        RData::A(a) => Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(a) => Ipv6Addr::from(a.address).to_string(),
        RData::PTR(ptr) => ptr.0.to_string(),
        RData::SRV(srv) => format!("{}:{}", srv.target, srv.port),
        other => panic!("{other:?}"),
    });
    let answers = answers.collect();
    (packet.rcode() as u16, packet.has_flags(PacketFlag::TRUNCATION), answers)
}

/// What a container at `from` is told at once at its gateway; `None`: nothing.
pub(crate) fn ask_as(
    host: &mut Host,
    port: PortId,
    (from, gateway): (IpAddr, IpAddr),
    name: &str,
    kind: TYPE,
) -> Option<Told> {
    let (frames, _) = host.send(port, &datagram(from, gateway, &query(name, kind)));
    assert!(frames.len() <= 1 && frames.iter().all(|(to, _)| *to == port));
    frames.first().map(|(_, frame)| read(&message(frame, from, gateway)))
}

/// What `me` is told.
pub(crate) fn ask(host: &mut Host, port: PortId, name: &str, kind: TYPE) -> Option<Told> {
    ask_as(host, port, (ip(2).into(), GATEWAY.into()), name, kind)
}

pub(crate) fn told(answers: &[&str]) -> Option<Told> {
    Some((0, false, answers.iter().map(ToString::to_string).collect()))
}
