//! What the switch made up, read and verified by etherparse.

use std::net::IpAddr;

use etherparse::{LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice};
use wire::{Frame, Offload};

/// A packet of which every length and checksum was right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Source and destination.
    pub(crate) macs: ([u8; 6], [u8; 6]),
    pub(crate) tag: Option<u16>,
    pub(crate) addresses: (IpAddr, IpAddr),
    pub(crate) hops: u8,
    pub(crate) class: u8,
    /// The transport header and what follows, its checksum zeroed.
    pub(crate) message: Vec<u8>,
}

/// Reads a frame that needs nothing done to it any more, and has nothing behind its packet.
pub(crate) fn read(frame: &Frame) -> Said {
    assert_eq!(frame.offload, Offload::NONE);
    let bytes = frame.bytes();
    let sliced = SlicedPacket::from_ethernet(bytes).expect("etherparse");
    let Some(LinkSlice::Ethernet2(link)) = &sliced.link else { panic!("Ethernet") };
    let tag = match &sliced.link_exts[..] {
        [LinkExtSlice::Vlan(_)] => Some(u16::from_be_bytes([bytes[14], bytes[15]])),
        [] => None,
        other => panic!("{other:?}"),
    };
    let (addresses, hops, class, end) = match sliced.net.as_ref().expect("IP") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            let class = header.dcp().value() << 2 | header.ecn().value();
            let addresses = (IpAddr::from(header.source()), IpAddr::from(header.destination()));
            (addresses, header.ttl(), class, ip.payload().payload)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let addresses = (IpAddr::from(header.source()), IpAddr::from(header.destination()));
            (addresses, header.hop_limit(), header.traffic_class(), ip.payload().payload)
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    assert_eq!(end.as_ptr_range().end, bytes.as_ptr_range().end, "nothing behind the packet");
    let mut message = end.to_vec();
    let (field, right) = match (sliced.transport.as_ref().expect("transport"), addresses) {
        (TransportSlice::Icmpv4(icmp), (IpAddr::V4(_), _)) => {
            (2, icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum())
        }
        (TransportSlice::Icmpv6(icmp), (IpAddr::V6(src), IpAddr::V6(dst))) => {
            (2, icmp.is_checksum_valid(src.octets(), dst.octets()))
        }
        (TransportSlice::Tcp(tcp), (IpAddr::V4(src), IpAddr::V4(dst))) => {
            (16, tcp.calc_checksum_ipv4(src.octets(), dst.octets()) == Ok(tcp.checksum()))
        }
        (TransportSlice::Tcp(tcp), (IpAddr::V6(src), IpAddr::V6(dst))) => {
            (16, tcp.calc_checksum_ipv6(src.octets(), dst.octets()) == Ok(tcp.checksum()))
        }
        other => panic!("{other:?}"),
    };
    assert!(right, "transport checksum");
    message[field..field + 2].fill(0);
    Said { macs: (link.source(), link.destination()), tag, addresses, hops, class, message }
}
