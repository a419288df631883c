//! Parsing, compared with etherparse.

use std::net::IpAddr;

use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use rstest::rstest;
use wire::{Fragment, Headers, Layer3, Mac, Malformed, parse};

use crate::packet::{Packet, packet};

/// What etherparse finds in a frame must be what `headers` says.
fn compare(frame: &[u8], headers: &Headers) {
    let sliced = SlicedPacket::from_ethernet(frame).expect("etherparse");
    if let [LinkExtSlice::Vlan(vlan)] = &sliced.link_exts[..] {
        let header = vlan.to_header();
        let tag = u16::from(header.pcp.value()) << 13
            | u16::from(header.drop_eligible_indicator) << 12
            | header.vlan_id.value();
        assert_eq!(headers.tag, Some(tag));
    }
    assert_eq!(headers.key.dst_mac().0, frame[..6]);
    assert_eq!(headers.key.src_mac().0, frame[6..12]);
    let start = |slice: &[u8]| slice.as_ptr() as usize - frame.as_ptr() as usize;
    let (src, dst, end) = match sliced.net.as_ref().expect("IP") {
        NetSlice::Ipv4(ip) => {
            assert_eq!(headers.layer3, Layer3::Ipv4);
            let header = ip.header();
            (IpAddr::from(header.source_addr()), IpAddr::from(header.destination_addr()), ip.payload().payload)
        }
        NetSlice::Ipv6(ip) => {
            assert_eq!(headers.layer3, Layer3::Ipv6);
            let header = ip.header();
            (IpAddr::from(header.source_addr()), IpAddr::from(header.destination_addr()), ip.payload().payload)
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    assert_eq!((headers.key.src(), headers.key.dst()), (Some(src), Some(dst)));
    assert_eq!((usize::from(headers.l4), headers.end as usize), (start(end), start(end) + end.len()));
    let (ports, payload) = match sliced.transport.as_ref().expect("transport") {
        TransportSlice::Tcp(tcp) => ((tcp.source_port(), tcp.destination_port()), tcp.payload()),
        TransportSlice::Udp(udp) => ((udp.source_port(), udp.destination_port()), udp.payload()),
        other => panic!("{other:?}"),
    };
    assert_eq!((headers.key.src_port(), headers.key.dst_port()), ports);
    assert_eq!(usize::from(headers.payload), start(payload));
    assert_eq!(headers.fragment, Fragment::Whole);
}

/// Every offset lies inside the frame, in order.
pub(crate) fn inside(frame: &[u8], headers: &Headers) -> bool {
    let steps = [14, u32::from(headers.l3), u32::from(headers.l4), u32::from(headers.payload), headers.end];
    steps.is_sorted() && headers.end as usize <= frame.len()
}

/// An IPv6 frame with the given bytes behind its header.
fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend((rest.len() as u16).to_be_bytes());
    frame.extend([next, 64]);
    frame.extend([0xfd; 32]);
    frame.extend(rest);
    frame
}

#[rstest]
#[case(&[], Malformed::Truncated)]
#[case(&[0; 13], Malformed::Truncated)]
#[case(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 1, 8], Malformed::Truncated)]
#[case(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45], Malformed::Truncated)]
fn short_frames(#[case] frame: &[u8], #[case] error: Malformed) {
    assert_eq!(parse(frame), Err(error));
}

#[rstest]
#[case::version(14, 0x65, Malformed::Version)]
#[case::header_length(14, 0x44, Malformed::HeaderLength)]
#[case::total_below_header(17, 19, Malformed::HeaderLength)]
#[case::total_past_frame(17, 255, Malformed::Truncated)]
#[case::options_past_packet(14, 0x4f, Malformed::HeaderLength)]
#[case::tcp_header_length(46, 0x40, Malformed::HeaderLength)]
#[case::tcp_options_past_packet(46, 0xf0, Malformed::Truncated)]
fn ip_17_contradicting_ipv4_lengths_are_refused(#[case] at: usize, #[case] byte: u8, #[case] error: Malformed) {
    let mut frame = Packet { timestamps: false, ..Packet::tcp4(vec![]) }.bytes();
    frame[at] = byte;
    assert_eq!(parse(&frame), Err(error));
}

#[test]
fn ip_17_padding_is_not_part_of_the_packet() {
    let mut frame = Packet::udp4(vec![1]).bytes();
    let len = frame.len();
    frame.resize(60, 0);
    assert_eq!(parse(&frame).map(|h| h.end as usize), Ok(len));
}

#[test]
fn ip_16_extension_headers_are_walked_with_a_limit() {
    let udp = [0x30, 0x39, 0, 53, 0, 8, 0, 0];
    let hop = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain =
        [&hop(43)[..], &hop(60), &[51, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[17, 1], &[0; 10], &udp].concat();
    let headers = parse(&ipv6(0, &chain)).expect("parse");
    assert_eq!((headers.key.protocol(), headers.key.dst_port(), headers.l4), (17, 53, 54 + 44));
    let long = [hop(60).repeat(8), hop(17).to_vec(), udp.to_vec()].concat();
    assert_eq!(parse(&ipv6(60, &long)), Err(Malformed::TooManyExtensions));
    assert_eq!(parse(&ipv6(0, &[17, 3, 0, 0])), Err(Malformed::Truncated));
    assert_eq!(parse(&ipv6(59, &[])).map(|h| (h.key.protocol(), h.l4, h.end)), Ok((59, 54, 54)));
}

#[test]
fn ip_15_fragments_are_told_apart() {
    let udp = [0x30, 0x39, 0, 53, 0, 9, 0, 0, 1];
    let six = |offset: u16| {
        parse(&ipv6(44, &[&[17, 0], &offset.to_be_bytes()[..], &[0, 0, 0, 1], &udp].concat())).expect("v6")
    };
    assert_eq!((six(0).fragment, six(0).key.dst_port()), (Fragment::Whole, 53), "atomic");
    assert_eq!((six(1).fragment, six(1).key.dst_port()), (Fragment::First, 0));
    assert_eq!((six(8).fragment, six(9).fragment), (Fragment::Later, Fragment::Later));
    let twice = [&[44, 0, 0, 1, 0, 0, 0, 1][..], &[17, 0, 0, 0, 0, 0, 0, 1], &udp].concat();
    assert_eq!(parse(&ipv6(44, &twice)).map(|h| h.fragment), Ok(Fragment::First), "an atomic one hides nothing");
    let four = |flags: [u8; 2]| {
        let mut frame = Packet::udp4(vec![1; 40]).bytes();
        frame[20..22].copy_from_slice(&flags);
        parse(&frame).map(|h| (h.fragment, h.key.src_port()))
    };
    assert_eq!(four([0x20, 0]), Ok((Fragment::First, 0)));
    assert_eq!(four([0x20, 5]), Ok((Fragment::Later, 0)));
    assert_eq!(four([0x00, 5]), Ok((Fragment::Later, 0)));
}

#[test]
fn vl_06_a_second_tag_is_not_misread() {
    let mut frame = Packet { tag: Some(5), ..Packet::udp4(vec![1]) }.bytes();
    frame.splice(12..12, [0x88, 0xa8, 0, 9]);
    let headers = parse(&frame).expect("parse");
    assert_eq!((headers.tag, headers.layer3, headers.key.ether_type()), (Some(9), Layer3::Other, 0x8100));
    assert_eq!((headers.key.src(), headers.key.src_mac()), (None, Mac([2, 0, 0, 0, 0, 1])));
}

proptest! {
    #[test]
    fn parse_agrees_with_etherparse(packet in packet(200), padding in 0usize..20) {
        let mut frame = packet.bytes();
        frame.resize(frame.len() + padding, 0);
        let headers = parse(&frame).unwrap();
        compare(&frame, &headers);
        prop_assert!(inside(&frame, &headers));
    }

    #[test]
    fn fragments_of_a_datagram_hash_alike(a in packet(200), offset in 1u16..100) {
        let a = Packet { v6: false, ..a };
        let key = |flags: u16| {
            let mut frame = a.bytes();
            frame[if a.tag.is_some() { 24 } else { 20 }..][..2].copy_from_slice(&flags.to_be_bytes());
            parse(&frame).unwrap().key.entropy()
        };
        prop_assert_eq!(key(0x2000), key(offset));
    }
}
