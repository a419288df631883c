//! Transport checksums of frames that etherparse built.

use etherparse::PacketBuilder;
use proptest::prelude::*;
use wire::checksum::{complete, is_partial, verify_transport};
use wire::{Frame, Gso, Malformed, Offload, parse};

use crate::packet::{Packet, packet, set_partial};

fn verify(frame: &[u8]) -> Option<bool> {
    verify_transport(frame, &parse(frame).expect("parse"))
}

fn echo(v6: bool) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let mut frame = Vec::new();
    if v6 {
        link.ipv6([1; 16], [2; 16], 64).icmpv6_echo_request(1, 2).write(&mut frame, b"odd").expect("write");
    } else {
        link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).icmpv4_echo_request(1, 2).write(&mut frame, b"odd").expect("write");
    }
    frame
}

#[test]
fn icmp_of_both_versions_is_verified() {
    for v6 in [false, true] {
        let mut frame = echo(v6);
        assert_eq!(verify(&frame), Some(true));
        *frame.last_mut().expect("byte") ^= 1;
        assert_eq!(verify(&frame), Some(false));
        assert!(!is_partial(&frame, &parse(&frame).expect("parse")));
    }
}

#[test]
fn udp_without_checksum_is_right_over_ipv4_alone() {
    for (v6, right) in [(false, true), (true, false)] {
        let mut frame = Packet { v6, ..Packet::udp4(vec![1; 9]) }.bytes();
        let field = usize::from(parse(&frame).expect("parse").l4) + 6;
        frame[field..field + 2].fill(0);
        assert_eq!(verify(&frame), Some(right));
    }
}

#[test]
fn udp_with_a_length_of_its_own() {
    // A datagram that leaves three bytes of its packet over: they are not summed.
    let mut frame = Packet::udp4(vec![1; 9]).bytes();
    frame.extend([7; 3]);
    frame[17] += 3;
    assert_eq!(verify(&frame), Some(true));
    frame[39] += 4;
    assert_eq!(verify(&frame), Some(false), "longer than its packet");
}

#[test]
fn what_cannot_be_said_is_not_said() {
    let mut fragment = Packet::udp4(vec![1; 64]).bytes();
    fragment[20] = 0x20;
    assert_eq!(verify(&fragment), None);
    assert!(!is_partial(&fragment, &parse(&fragment).expect("parse")));
    let mut other = Packet::udp4(vec![1; 64]).bytes();
    other[23] = 132;
    assert_eq!(verify(&other), None);
    other[13] = 0x35;
    assert_eq!(verify(&other), None);
}

#[test]
fn super_frames_and_offsets_outside_are_not_completed() {
    let (mut frame, headers) = Packet::tcp4(vec![1; 3000]).super_frame(1000);
    assert!(is_partial(frame.bytes(), &headers), "the length in it is the full one");
    let before = frame.bytes().to_vec();
    assert_eq!(complete(&mut frame), Err(Malformed::Offload));
    let len = before.len() as u16;
    for (start, offset) in [(len + 1, 0), (len, 0), (len - 1, 0), (34, len - 35), (34, u16::MAX), (u16::MAX, u16::MAX)]
    {
        frame.offload = Offload::partial(start, offset);
        assert_eq!(complete(&mut frame), Err(Malformed::Offload), "{start} {offset}");
    }
    assert_eq!(frame.bytes(), before);
    frame.offload = Offload::partial(len - 2, 0);
    assert_eq!(complete(&mut frame), Ok(()));
    let mut none = Frame::from_bytes(&before);
    none.offload = Offload::VALID;
    assert_eq!((complete(&mut none), none.offload, none.offload.gso()), (Ok(()), Offload::VALID, Gso::None));
}

proptest! {
    #[test]
    fn one_wrong_bit_is_seen(packet in packet(300), at: prop::sample::Index, bit in 0u32..8) {
        let mut frame = packet.bytes();
        prop_assert_eq!(verify(&frame), Some(true));
        let headers = parse(&frame).unwrap();
        let payload = usize::from(headers.payload);
        let at = payload + at.index(frame.len() - payload);
        frame[at] ^= 1 << bit;
        prop_assert_eq!(verify(&frame), Some(false));
    }

    #[test]
    fn partial_is_what_linux_leaves(packet in packet(300)) {
        let mut frame = packet.bytes();
        let headers = parse(&frame).unwrap();
        set_partial(&mut frame, &headers);
        prop_assert!(is_partial(&frame, &headers));
    }
}
