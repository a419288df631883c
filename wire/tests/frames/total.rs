//! Nothing panics, whatever the bytes: arbitrary ones, and good packets with damage.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use wire::icmp::{Trouble, echo_reply, error};
use wire::{Frame, Headers, Joiner, Mac, Offload, Pool, Push, checksum, fragment, nd};

use crate::headers::inside;
use crate::packet::packet;

/// Runs everything that takes a frame.
fn exercise(frame: &mut Frame, headers: &Headers) {
    let bytes = frame.bytes();
    checksum::verify_transport(bytes, headers);
    checksum::is_partial(bytes, headers);
    let before = bytes.len();
    wire::infer_offload(headers, before as u16);
    if let Some(bits) = wire::ecn(bytes, headers) {
        wire::set_ecn(&mut bytes.to_vec(), headers, bits);
    }
    let mut answer = Frame::new();
    if let Some(arp) = wire::arp::parse(bytes, headers) {
        wire::arp::reply(&mut answer, &arp, arp.sender_mac, arp.sender_mac, headers.tag);
        assert!(wire::parse(answer.bytes()).is_ok());
    }
    let _ = nd::parse(bytes, headers);
    nd::advertise(&mut answer, headers, Ipv6Addr::LOCALHOST, Mac::BROADCAST);
    let advertised = wire::parse(answer.bytes()).map(|headers| nd::parse(answer.bytes(), &headers));
    assert!(matches!(advertised, Ok(Ok(Some(nd::Message::Advertisement { .. })))));
    let mut pool = Pool::new(4);
    let mut joiner = Joiner::new().with_udp(true);
    for _ in 0..3 {
        match joiner.push(bytes, headers, &mut pool) {
            Push::Full(frame) | Push::Flushed(Some(frame)) => pool.put(frame),
            Push::Taken | Push::Flushed(None) | Push::BadChecksum => {}
        }
    }
    joiner.flush();
    let mut out = Vec::new();
    match wire::cut(frame, headers, b"12345678", &mut out) {
        Ok(cut) => assert_eq!(out.len(), cut.segment_len * (cut.count - 1) + cut.last_len),
        Err(_) => assert!(out.is_empty()),
    }
    answers(frame, headers, &mut pool);
    let _ = checksum::complete(frame);
    assert_eq!(frame.len(), before);
}

/// What is made up about a frame parses, even if the frame is nonsense.
fn answers(frame: &Frame, headers: &Headers, pool: &mut Pool) {
    let mut out = Frame::new();
    for trouble in [Trouble::TimeExceeded, Trouble::TooBig { mtu: 1280 }] {
        for from in [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let said = error(&mut out, frame, headers, from, Mac::from_u64(2 << 40), trouble);
            assert_eq!(said, !out.is_empty());
            if said {
                let headers = wire::parse(out.bytes()).expect("an error");
                assert_eq!(checksum::verify_transport(out.bytes(), &headers), Some(true));
                assert!(!error(&mut Frame::new(), &out, &headers, from, Mac::ZERO, trouble));
            }
        }
    }
    if wire::reset(&mut out, frame, headers) {
        let headers = wire::parse(out.bytes()).expect("a reset");
        assert_eq!(checksum::verify_transport(out.bytes(), &headers), Some(true));
    }
    let mut copy = pool.duplicate(frame);
    if !echo_reply(&mut copy, headers) {
        assert_eq!(copy.bytes(), frame.bytes());
    }
    wire::set_link(&mut copy, Mac::ZERO, Mac::BROADCAST);
    assert_eq!(copy.len(), frame.len());
    let mut pieces = Vec::new();
    for mtu in [68, 300] {
        let _ = fragment::split(frame, headers, mtu, pool, &mut pieces);
    }
    pieces.into_iter().for_each(|piece| pool.put(piece));
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..4, offload: [u8; 10]) {
        let mut bytes = bytes;
        if let (Some(at), Some(ether_type)) = (bytes.get_mut(12..15), [[8, 0, 0x45], [0x86, 0xdd, 0x60], [8, 6, 0]].get(kind)) {
            at.copy_from_slice(ether_type);
        }
        let Ok(headers) = wire::parse(&bytes) else { return Ok(()) };
        prop_assert!(inside(&bytes, &headers));
        let mut frame = Frame::from_bytes(&bytes);
        frame.offload = Offload::from_bytes(&offload);
        exercise(&mut frame, &headers);
    }

    #[test]
    fn damaged_packets(
        packet in packet(300),
        damage in prop::collection::vec((0usize..100, any::<u8>()), 0..4),
        offload: [u8; 10],
        kind in prop::sample::select(vec![0u8, 1, 4, 5]),
        cut_to in 0usize..400,
    ) {
        let mut bytes = packet.bytes();
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut_to.max(14));
        let Ok(headers) = wire::parse(&bytes) else { return Ok(()) };
        prop_assert!(inside(&bytes, &headers));
        let mut frame = Frame::from_bytes(&bytes);
        let mut offload = offload;
        offload[1] = kind;
        frame.offload = Offload::from_bytes(&offload);
        exercise(&mut frame, &headers);
    }

    /// Headers that belong to another frame are a caller's mistake: the result is useless, but there is one.
    #[test]
    fn foreign_headers(a in packet(300), b in packet(300), size in 1u16..400, len in 0usize..300) {
        let headers = wire::parse(&b.bytes()).unwrap();
        let (mut frame, _) = a.super_frame(usize::from(size));
        let short = frame.bytes()[..len.min(frame.len())].to_vec();
        exercise(&mut frame, &headers);
        let mut frame = Frame::from_bytes(&short);
        exercise(&mut frame, &headers);
    }
}
