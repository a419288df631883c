//! Packets by chance, of anybody to anybody, and what would be answered to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use proptest::prelude::*;
use proptest::sample::select;
use switch::{BridgeId, PortId};
use wire::{Frame, Mac};

use crate::networks::{FAR, HOST, OUT, PORTS, UPLINK, blue_mac, is_of, of_blue, of_red, v4, v6};
use crate::world::{self, BLUE, RED, mac};

/// A packet in numbers; each picks from a list.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// From a port of RED or BLUE, the uplink, or the tunnel.
    from: u8,
    six: bool,
    /// Whether sender and next hop are as they ought to be.
    honest: (bool, bool),
    macs: (u8, u8),
    ends: (u8, u8),
    protocol: u8,
    ports: (u16, u16),
    flags: u8,
    ttl: u8,
    /// Offset and flags of IPv4.
    fragment: u16,
    len: usize,
}

pub(crate) fn macs() -> [Mac; 12] {
    let group = Mac([0x01, 0, 0x5e, 0, 0, 1]);
    let rest = [UPLINK, OUT, Mac::BROADCAST, group];
    [
        mac(1),
        mac(2),
        mac(3),
        mac(4),
        blue_mac(1),
        blue_mac(2),
        blue_mac(3),
        blue_mac(9),
        rest[0],
        rest[1],
        rest[2],
        rest[3],
    ]
}

pub(crate) fn ends(six: bool) -> [IpAddr; 16] {
    let of = |both: [IpAddr; 2]| both[usize::from(six)];
    let odd = [
        [Ipv4Addr::BROADCAST.into(), "ff02::1".parse().unwrap()],
        [v4([10, 20, 20, 255]), "fe80::1".parse().unwrap()],
        [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        [v4([169, 254, 86, 2]), "fd76:7377:3000::2".parse().unwrap()],
    ];
    [
        of(of_red(1)),
        of(of_red(2)),
        of(of_red(3)),
        of(of_red(4)),
        of(of_red(9)),
        of(of_blue(1)),
        of(of_blue(2)),
        of(of_blue(3)),
        of(of_blue(9)),
        of(HOST),
        of(FAR),
        of([v4([203, 0, 113, 10]), v6(0x99, 10)]),
        of(odd[0]),
        of(odd[1]),
        of(odd[2]),
        of(odd[3]),
    ]
}

pub(crate) fn sent() -> impl Strategy<Value = Sent> {
    let likely = || proptest::bool::weighted(0.7);
    // The host and the outside more often than others: that is where the ways of two networks meet.
    let end = || prop_oneof![3 => 0..16u8, 1 => Just(9), 1 => Just(10)];
    let ports = || select(vec![53u16, 80, 81, 4_000, 8_080]);
    (
        (0..8u8, any::<bool>(), (likely(), likely()), (0..12u8, 0..12u8), (0..16u8, end())),
        (0..8u8, (ports(), ports()), any::<u8>(), select(vec![1u8, 2, 64, 255])),
        (select(vec![0u16, 0, 0, 0, 0x4000, 0x2000, 0x2002, 0x0002]), 0..100usize),
    )
        .prop_map(|((from, six, honest, macs, ends), (protocol, ports, flags, ttl), (fragment, len))| Sent {
            from,
            six,
            honest,
            macs,
            ends,
            protocol,
            ports,
            flags,
            ttl,
            fragment,
            len,
        })
}

impl Sent {
    /// Its port; `None`: it comes through the tunnel.
    pub(crate) fn port(&self) -> Option<PortId> {
        match self.from {
            0..=3 => Some(PortId(u32::from(self.from) + 1)),
            4 | 5 => Some(PortId(u32::from(self.from % 2) * 2 + 2)),
            6 => Some(PortId::HOST),
            _ => None,
        }
    }

    /// Who may see what becomes of it; `None`: it is of no network.
    pub(crate) fn network(&self) -> Option<BridgeId> {
        match self.port() {
            Some(PortId::HOST) => None,
            None => Some(RED),
            Some(port) => PORTS.iter().find(|(_, ports)| ports.contains(&port.0)).map(|(network, _)| *network),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut source, mut target) = (macs()[usize::from(self.macs.0)], macs()[usize::from(self.macs.1)]);
        let (mut from, to) = (ends(self.six)[usize::from(self.ends.0)], ends(self.six)[usize::from(self.ends.1)]);
        let own = match self.port() {
            Some(PortId(port @ 1..=2)) => Some((RED, mac as fn(u8) -> Mac, of_red(port as u8 + 1))),
            Some(PortId(port @ 3..=4)) => Some((BLUE, blue_mac as fn(u8) -> Mac, of_blue(port as u8 - 1))),
            _ => None,
        };
        if let Some((network, mac, own)) = own {
            if self.honest.0 {
                (source, from) = (mac(2 + (self.port().unwrap().0 as u8 + 1) % 2), own[usize::from(self.six)]);
            }
            if self.honest.1 && !is_of(network, to) {
                target = mac(1);
            }
        }
        if self.protocol == 7 {
            return world::raw(
                source,
                target,
                if self.six { 0x86dd } else { 0x0806 },
                &self.discovery(source, from, to),
            );
        }
        let builder = PacketBuilder::ethernet2(source.0, target.0);
        let builder = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), self.ttl),
            (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), self.ttl),
            _ => unreachable!("one family"),
        };
        let (payload, mut bytes) = (vec![self.flags; self.len], Vec::new());
        match (self.protocol, self.six) {
            (0..=2, _) => {
                let mut tcp = builder.tcp(self.ports.0, self.ports.1, 7, 60_000);
                if self.flags & 1 != 0 {
                    tcp = tcp.syn();
                }
                if self.flags & 2 != 0 {
                    tcp = tcp.ack(9);
                }
                if self.flags & 12 == 12 {
                    tcp = tcp.rst();
                }
                tcp.write(&mut bytes, &payload).unwrap();
            }
            (3..=5, _) => builder.udp(self.ports.0, self.ports.1).write(&mut bytes, &payload).unwrap(),
            (_, false) => builder.icmpv4_echo_request(7, 1).write(&mut bytes, &payload).unwrap(),
            (_, true) => builder.icmpv6_echo_request(7, 1).write(&mut bytes, &payload).unwrap(),
        }
        if !self.six && self.fragment != 0 {
            bytes[20..22].copy_from_slice(&self.fragment.to_be_bytes());
            let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
            bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// ARP or neighbour discovery: a request or an answer, said by anybody about anybody.
    fn discovery(&self, source: Mac, from: IpAddr, to: IpAddr) -> Vec<u8> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let told = macs()[usize::from(self.flags % 12)];
                let op = 1 + self.flags % 2;
                [&[0, 1, 8, 0, 6, 4, 0, op][..], &source.0, &from.octets(), &told.0, &to.octets()].concat()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let kind = 135 + self.flags % 2;
                let mut icmp = vec![kind, 0, 0, 0, 0, 0, 0, 0];
                icmp.extend(to.octets());
                icmp.extend([2 - kind % 2, 1]);
                icmp.extend(source.0);
                let pseudo = wire::checksum::pseudo_ipv6(&from.octets(), &to.octets(), 58, icmp.len() as u32);
                let sum = !wire::checksum::fold(pseudo + wire::checksum::sum(&icmp));
                icmp[2..4].copy_from_slice(&sum.to_be_bytes());
                let len = (icmp.len() as u16).to_be_bytes();
                [&[0x60, 0, 0, 0, len[0], len[1], 58, 255][..], &from.octets(), &to.octets(), &icmp].concat()
            }
            _ => unreachable!("one family"),
        }
    }
}

/// What somebody outside would answer to a frame that left.
pub(crate) fn answer(frame: &Frame) -> Option<Vec<u8>> {
    let mut bytes = frame.bytes().to_vec();
    let headers = wire::parse(&bytes).ok()?;
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    let (first, len) = if headers.key.src()?.is_ipv4() { (l3 + 12, 4) } else { (l3 + 8, 16) };
    let swap = |bytes: &mut Vec<u8>, at: usize, len: usize| {
        if at + 2 * len <= bytes.len() {
            let (a, b) = bytes[at..at + 2 * len].split_at_mut(len);
            a.swap_with_slice(b);
        }
    };
    swap(&mut bytes, 0, 6);
    swap(&mut bytes, first, len);
    match headers.key.protocol() {
        6 | 17 => swap(&mut bytes, l4, 2),
        // An echo request is answered, which changes its type and the sum of it (RFC 1624).
        protocol @ (1 | 58) if bytes.len() > l4 + 4 => {
            let (reply, more) = if protocol == 1 { (0, 0xf7ff) } else { (129, 0x0100) };
            let sum = u16::from_be_bytes([bytes[l4 + 2], bytes[l4 + 3]]);
            let sum = u32::from(!sum) + more;
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            bytes[l4] = reply;
            bytes[l4 + 2..l4 + 4].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
    Some(bytes)
}
