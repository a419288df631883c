//! Packets for tests: described by a few fields, built by etherparse with right lengths and checksums.

use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel, Ipv6Header, PacketBuilder,
    SingleVlanHeader, TcpHeader, VlanHeader, VlanId, VlanPcp,
};
use proptest::prelude::*;
use wire::{Frame, Gso, Headers, Offload};

/// One TCP or UDP packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) v6: bool,
    pub(crate) tag: Option<u16>,
    pub(crate) tcp: bool,
    pub(crate) address: u8,
    pub(crate) ports: (u16, u16),
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) timestamps: bool,
    pub(crate) id: u16,
    pub(crate) df: bool,
    pub(crate) tos: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const ACK: u8 = 0x10;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const CWR: u8 = 0x80;

impl Packet {
    /// A TCP segment over IPv4 with the given payload.
    pub(crate) fn tcp4(payload: Vec<u8>) -> Packet {
        Packet {
            v6: false,
            tag: None,
            tcp: true,
            address: 1,
            ports: (40_000, 80),
            sequence: 1000,
            flags: ACK,
            timestamps: true,
            id: 7,
            df: true,
            tos: 0,
            payload,
        }
    }

    /// A UDP datagram over IPv4 with the given payload.
    pub(crate) fn udp4(payload: Vec<u8>) -> Packet {
        Packet { tcp: false, ..Packet::tcp4(payload) }
    }

    /// The packet as an Ethernet frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let a = self.address;
        let ip = if self.v6 {
            let header = Ipv6Header {
                traffic_class: self.tos,
                flow_label: Ipv6FlowLabel::try_new(0x12345).unwrap(),
                payload_length: 0,
                next_header: IpNumber::TCP,
                hop_limit: 64,
                source: [0xfd, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, a],
                destination: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 2],
            };
            IpHeaders::Ipv6(header, Ipv6Extensions::default())
        } else {
            let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, [10, 0, 0, a], [10, 0, 255, 2]).unwrap();
            header.identification = self.id;
            header.dont_fragment = self.df;
            header.dscp = (self.tos >> 2).try_into().unwrap();
            header.ecn = (self.tos & 3).try_into().unwrap();
            IpHeaders::Ipv4(header, Ipv4Extensions::default())
        };
        let step = match self.tag {
            Some(tag) => link
                .vlan(VlanHeader::Single(SingleVlanHeader {
                    pcp: VlanPcp::try_new((tag >> 13) as u8).unwrap(),
                    drop_eligible_indicator: tag & 0x1000 != 0,
                    vlan_id: VlanId::try_new(tag & 0xfff).unwrap(),
                    ether_type: 0.into(),
                }))
                .ip(ip),
            None => link.ip(ip),
        };
        let mut out = Vec::new();
        if self.tcp {
            let mut tcp = TcpHeader::new(self.ports.0, self.ports.1, self.sequence, 512);
            tcp.acknowledgment_number = 77;
            tcp.ack = self.flags & ACK != 0;
            tcp.psh = self.flags & PSH != 0;
            tcp.fin = self.flags & FIN != 0;
            tcp.cwr = self.flags & CWR != 0;
            if self.timestamps {
                tcp.set_options_raw(&[1, 1, 8, 10, 0, 0, 0x30, 0x39, 0, 0, 0xd4, 0x31]).unwrap();
            }
            step.tcp_header(tcp).write(&mut out, &self.payload).unwrap();
        } else {
            step.udp(self.ports.0, self.ports.1).write(&mut out, &self.payload).unwrap();
        }
        out
    }

    /// What naive segmentation makes of the packet: each segment built from scratch.
    pub(crate) fn segments(&self, size: usize) -> Vec<Vec<u8>> {
        let chunks: Vec<&[u8]> = if self.payload.is_empty() { vec![&[]] } else { self.payload.chunks(size).collect() };
        let count = chunks.len();
        let segment = |(index, chunk): (usize, &&[u8])| {
            let mut flags = self.flags;
            if index != 0 {
                flags &= !CWR;
            }
            if index + 1 != count {
                flags &= !(PSH | FIN);
            }
            let sequence = self.sequence.wrapping_add((index * size) as u32);
            let id = self.id.wrapping_add(index as u16);
            Packet { flags, sequence, id, payload: chunk.to_vec(), ..self.clone() }.bytes()
        };
        chunks.iter().enumerate().map(segment).collect()
    }

    /// The packet as a super-frame, as a container's kernel hands it over: the checksum field holds the pseudo-header's sum.
    pub(crate) fn super_frame(&self, size: usize) -> (Frame, Headers) {
        let mut frame = Frame::from_bytes(&self.bytes());
        let headers = wire::parse(frame.bytes()).unwrap();
        let offset = set_partial(frame.bytes_mut(), &headers);
        let gso = match (self.tcp, self.v6) {
            (true, false) => Gso::Tcp4,
            (true, true) => Gso::Tcp6,
            (false, _) => Gso::Udp,
        };
        frame.offload = Offload::segmented(gso, size as u16, headers.payload, headers.l4, offset);
        (frame, headers)
    }
}

/// Puts the pseudo-header's sum, computed word by word, into the checksum field; says where the field is.
pub(crate) fn set_partial(bytes: &mut [u8], headers: &Headers) -> u16 {
    let l3 = usize::from(headers.l3);
    let l4 = usize::from(headers.l4);
    let addresses = match headers.layer3 {
        wire::Layer3::Ipv4 => l3 + 12..l3 + 20,
        _ => l3 + 8..l3 + 40,
    };
    let words = |range: &[u8]| range.chunks(2).map(|w| u64::from(w[0]) << 8 | u64::from(w[1])).sum::<u64>();
    let mut sum = words(&bytes[addresses]) + (headers.end as u64 - l4 as u64) + u64::from(headers.key.protocol());
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let offset = if headers.key.protocol() == 6 { 16 } else { 6 };
    bytes[l4 + offset..l4 + offset + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    offset as u16
}

prop_compose! {
    /// Any packet with up to `longest` bytes of payload, never empty.
    pub(crate) fn packet(longest: usize)(
        (v6, tcp, timestamps, df) in any::<(bool, bool, bool, bool)>(),
        tag in prop::option::of(any::<u16>()),
        address: u8,
        ports: (u16, u16),
        sequence: u32,
        flags in prop::sample::select(vec![ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR, CWR | ACK | FIN]),
        id: u16,
        tos: u8,
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 1..=longest),
            (1..=longest, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ],
    ) -> Packet {
        Packet { v6, tag, tcp, address, ports, sequence, flags, timestamps, id, df, tos, payload }
    }
}
