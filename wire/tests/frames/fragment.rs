//! Fragments, put together again by etherparse.

use etherparse::defrag::IpDefragPool;
use etherparse::{NetSlice, SlicedPacket};
use proptest::prelude::*;
use rstest::rstest;
use wire::fragment::{SplitError, split};
use wire::{Frame, Offload, Pool, parse};

use crate::packet::{Packet, packet, set_partial};

fn fragments(frame: &Frame, mtu: usize) -> Result<Vec<Frame>, SplitError> {
    let mut out = vec![Frame::from_bytes(&[1])];
    let headers = parse(frame.bytes()).expect("parse");
    let done = split(frame, &headers, mtu, &mut Pool::new(4), &mut out);
    assert_eq!(out.remove(0).bytes(), [1]);
    assert!(done.is_ok() || out.is_empty());
    done.map(|()| out)
}

/// Offset in bytes, whether more follow, header, payload; lengths and checksum are right, nothing lies behind.
fn read(fragment: &Frame, mtu: usize) -> (usize, bool, Vec<u8>, Vec<u8>) {
    assert_eq!(fragment.offload, Offload::NONE);
    let sliced = SlicedPacket::from_ethernet(fragment.bytes()).expect("etherparse");
    let Some(NetSlice::Ipv4(ip)) = sliced.net else { panic!("IPv4") };
    let header = ip.header();
    assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
    assert!(usize::from(header.total_len()) <= mtu);
    assert!(fragment.bytes().ends_with(ip.payload().payload));
    let offset = usize::from(header.fragments_offset().byte_offset());
    (offset, header.more_fragments(), header.slice().to_vec(), ip.payload().payload.to_vec())
}

/// Corrects the checksum of an IPv4 header without tag.
fn mend(frame: &mut Frame) {
    let bytes = frame.bytes_mut();
    let end = 14 + usize::from(bytes[14] & 15) * 4;
    let sum = wire::checksum::ipv4_header(&bytes[14..end]).to_be_bytes();
    bytes[24..26].copy_from_slice(&sum);
}

fn check(packet: &Packet, mtu: usize) {
    let whole = packet.bytes();
    let headers = parse(&whole).expect("parse");
    let mut frame = Frame::from_bytes(&whole);
    let offset = set_partial(frame.bytes_mut(), &headers);
    frame.offload = Offload::partial(headers.l4, offset);
    let pieces = fragments(&frame, mtu).expect("fragments");
    let mut pool = IpDefragPool::<(), ()>::new();
    let mut done = None;
    let mut next = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let (offset, more, header, payload) = read(piece, mtu);
        assert_eq!((offset, more), (next, index + 1 != pieces.len()), "in order");
        assert!(!more || payload.len() > mtu - header.len() - 8, "as few as can be");
        assert_eq!(piece.bytes()[..headers.l3.into()], whole[..headers.l3.into()]);
        next += payload.len();
        let sliced = SlicedPacket::from_ethernet(piece.bytes()).expect("etherparse");
        if pieces.len() > 1 {
            done = pool.process_sliced_packet(&sliced, (), ()).expect("defrag");
            assert_eq!(done.is_some(), !more);
        }
    }
    match done {
        Some(done) => assert!(done.payload == whole[headers.l4.into()..], "{mtu} {packet:?}"),
        None => assert_eq!(pieces[0].bytes(), whole),
    }
}

#[rstest]
#[case::least(68, 9000)]
#[case::odd(1001, 60_000)]
#[case::fits(1500, 1472)]
#[case::one_byte_too_long(1500, 1473)]
#[case::longest(1500, 65_507)]
fn ip_10_fragments_are_the_packet(#[case] mtu: usize, #[case] len: usize) {
    let payload: Vec<u8> = (0..len).map(|n| (n * 7 + n / 256) as u8).collect();
    for tag in [None, Some(0x6005)] {
        check(&Packet { df: false, tag, ..Packet::udp4(payload.clone()) }, mtu);
    }
}

#[test]
fn link_padding_is_left_out() {
    let packet = Packet { df: false, ..Packet::udp4(vec![1, 2]) };
    let mut frame = Frame::from_bytes(&packet.bytes());
    frame.extend(&[9; 16]);
    assert_eq!(fragments(&frame, 1500).expect("fragments")[0].bytes(), packet.bytes());
}

#[test]
fn options_are_copied_by_their_flag() {
    let mut bytes = Packet { df: false, ..Packet::udp4(vec![5; 200]) }.bytes();
    // Record route, no operation, router alert.
    let options = [7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0];
    bytes.splice(34..34, options);
    bytes[14] = 0x48;
    bytes[17] += 12;
    let mut frame = Frame::from_bytes(&bytes);
    mend(&mut frame);
    let pieces = fragments(&frame, 100).expect("fragments");
    let read: Vec<_> = pieces.iter().map(|piece| read(piece, 100)).collect();
    assert_eq!(read.iter().map(|(offset, ..)| *offset).collect::<Vec<_>>(), [0, 64, 136]);
    assert_eq!(read[0].2[20..], options);
    for later in &read[1..] {
        assert_eq!(later.2[20..], [148, 4, 0, 0]);
    }
    assert_eq!(read.iter().flat_map(|(.., payload)| payload).count(), 208);
}

#[rstest]
#[case::middle(0x2000 | 100, true)]
#[case::last(100, false)]
fn fragments_become_smaller_ones(#[case] place: u16, #[case] more: bool) {
    let mut frame = Frame::from_bytes(&Packet { df: false, ..Packet::udp4(vec![5; 200]) }.bytes());
    frame.bytes_mut()[20..22].copy_from_slice(&place.to_be_bytes());
    mend(&mut frame);
    let pieces = fragments(&frame, 100).expect("fragments");
    let read: Vec<_> = pieces.iter().map(|piece| read(piece, 100)).collect();
    let places: Vec<_> = read.iter().map(|(offset, more, ..)| (*offset, *more)).collect();
    assert_eq!(places, [(800, true), (880, true), (960, more)]);
    let joined: Vec<u8> = read.into_iter().flat_map(|(.., payload)| payload).collect();
    assert_eq!(joined, frame.bytes()[34..]);
}

#[test]
fn ip_10_who_forbids_it_is_not_fragmented() {
    let frame = Frame::from_bytes(&Packet::udp4(vec![5; 200]).bytes());
    assert_eq!(fragments(&frame, 227).err(), Some(SplitError::DontFragment));
    assert_eq!(fragments(&frame, 228).expect("it fits")[0].bytes(), frame.bytes());
}

#[test]
fn what_cannot_be_split_is_refused() {
    let plain = Packet { df: false, ..Packet::udp4(vec![5; 200]) };
    let frame = Frame::from_bytes(&plain.bytes());
    assert_eq!(fragments(&frame, 67).err(), Some(SplitError::Mtu));
    let six = Frame::from_bytes(&Packet { v6: true, ..plain.clone() }.bytes());
    assert_eq!(fragments(&six, 100).err(), Some(SplitError::NotIpv4));
    let (large, _) = plain.super_frame(100);
    assert_eq!(fragments(&large, 100).err(), Some(SplitError::SuperFrame));
    let mut outside = Frame::from_bytes(&plain.bytes());
    outside.offload = Offload::partial(34, 900);
    assert_eq!(fragments(&outside, 100).err(), Some(SplitError::Checksum));
    outside.offload = Offload::partial(26, 0);
    assert_eq!(fragments(&outside, 100).err(), Some(SplitError::Checksum));
    let mut beyond = Frame::from_bytes(&plain.bytes());
    beyond.bytes_mut()[20..22].copy_from_slice(&[0x1f, 0xff]);
    assert_eq!(fragments(&beyond, 100).err(), Some(SplitError::WrongHeaders));
    beyond.offload = Offload::partial(34, 6);
    assert_eq!(fragments(&beyond, 100).err(), Some(SplitError::Checksum));
}

proptest! {
    #[test]
    fn any_packet_and_any_mtu(packet in packet(9000), mtu in 68usize..4000) {
        check(&Packet { v6: false, df: false, ..packet }, mtu);
    }
}
