//! Cutting, compared with segments that were each built from scratch.

use proptest::prelude::*;
use rstest::rstest;
use wire::{Cut, CutError, Frame, Gso, Offload, cut};

use crate::packet::{ACK, CWR, FIN, PSH, Packet, packet, set_partial};

/// The segments, checked for their prefix, without it.
pub(crate) fn split(out: &[u8], cut: Cut, prefix: &[u8]) -> Vec<Vec<u8>> {
    let segments: Vec<_> = out.chunks(cut.segment_len).collect();
    assert_eq!(segments.len(), cut.count);
    assert_eq!(segments.last().map_or(0, |s| s.len()), cut.last_len);
    segments.iter().map(|s| s.strip_prefix(prefix).expect("prefix").to_vec()).collect()
}

fn check(packet: &Packet, size: usize) {
    let (frame, headers) = packet.super_frame(size);
    let mut out = vec![9, 9];
    let cut = cut(&frame, &headers, b"prefix77", &mut out).expect("cut");
    assert_eq!(out[..2], [9, 9]);
    assert!(split(&out[2..], cut, b"prefix77") == packet.segments(size), "{size} {packet:?}");
}

#[rstest]
#[case::mss(1448, 60_000)]
#[case::exact(1000, 64_000)]
#[case::last_is_one_byte(1448, 1449)]
#[case::odd(333, 10_000)]
#[case::single_bytes(1, 300)]
#[case::shorter_than_a_segment(1448, 10)]
fn ip_18_super_frames_become_the_segments_of_naive_code(#[case] size: usize, #[case] len: usize) {
    let payload: Vec<u8> = (0..len).map(|n| (n * 7 + n / 256) as u8).collect();
    for (v6, timestamps, tag) in
        [(false, true, None), (true, true, None), (false, false, Some(0x6005)), (true, false, None)]
    {
        for flags in [ACK, ACK | PSH | FIN | CWR] {
            let tcp = Packet { v6, timestamps, tag, flags, ..Packet::tcp4(payload.clone()) };
            check(&tcp, size);
            check(&Packet { tcp: false, ..tcp }, size);
        }
    }
}

#[test]
fn counters_wrap() {
    check(&Packet { sequence: u32::MAX - 1500, id: u16::MAX - 1, ..Packet::tcp4(vec![3; 9000]) }, 1000);
}

#[test]
fn udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    let mut packet = Packet::udp4(vec![0, 0]);
    // The word that equals the checksum without it brings the sum to all ones.
    packet.payload = packet.bytes()[40..42].to_vec();
    check(&packet, 2);
    assert_eq!(packet.bytes()[40..42], [0xff, 0xff]);
    let mut frame = Frame::from_bytes(&packet.bytes());
    let headers = wire::parse(frame.bytes()).expect("parse");
    set_partial(frame.bytes_mut(), &headers);
    frame.offload = Offload::partial(34, 6);
    assert_eq!(wire::checksum::complete(&mut frame), Ok(()));
    assert_eq!(frame.bytes()[40..42], [0xff, 0xff]);
}

#[test]
fn link_padding_is_dropped_from_super_frames_and_kept_on_ordinary_ones() {
    let packet = Packet::udp4(vec![1, 2, 3]);
    let (mut frame, headers) = packet.super_frame(2);
    frame.extend(&[0; 6]);
    let mut out = Vec::new();
    let done = cut(&frame, &headers, b"", &mut out).expect("cut");
    assert!(split(&out, done, b"") == packet.segments(2));
    frame.offload = Offload::NONE;
    let done = cut(&frame, &headers, b"xy", &mut out).expect("cut");
    assert_eq!(done, Cut { segment_len: frame.len() + 2, count: 1, last_len: frame.len() + 2 });
    assert_eq!(&out[out.len() - frame.len()..], frame.bytes());
}

#[test]
fn routed_super_frame_takes_its_sum_from_the_field() {
    // A routing header with one segment left: the pseudo-header has the final destination, which is not the IP header's.
    let (plain, _) = Packet { v6: true, ..Packet::udp4(vec![5; 700]) }.super_frame(300);
    let mut bytes = plain.bytes().to_vec();
    bytes.splice(54..54, [17, 2, 0, 1, 0, 0, 0, 0, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    bytes[20] = 43;
    bytes[18..20].copy_from_slice(&(24 + 708u16).to_be_bytes());
    let mut frame = Frame::from_bytes(&bytes);
    let headers = wire::parse(&bytes).expect("parse");
    frame.offload = Offload::segmented(Gso::Udp, 300, headers.payload, headers.l4, 6);
    let mut out = Vec::new();
    let done = cut(&frame, &headers, b"", &mut out).expect("cut");
    assert_eq!(done.count, 3);
    // Without the routing header the segments are those of the plain packet.
    let expected = Packet { v6: true, ..Packet::udp4(vec![5; 700]) }.segments(300);
    for (segment, expected) in out.chunks(done.segment_len).zip(expected) {
        assert_eq!(segment[54 + 24..], expected[54..]);
    }
    frame.offload = Offload::from_bytes(&{
        let mut header = frame.offload.to_bytes();
        header[0] = 0;
        header
    });
    assert_eq!(cut(&frame, &headers, b"", &mut out), Err(CutError::WrongHeaders));
}

#[rstest]
#[case::unknown(Offload::from_bytes(&[1, 3, 0, 0, 1, 1, 0, 0, 0, 0]), CutError::UnknownGso)]
#[case::no_size(Offload::segmented(Gso::Tcp4, 0, 66, 34, 16), CutError::ZeroSize)]
#[case::other_version(Offload::segmented(Gso::Tcp6, 100, 66, 34, 16), CutError::WrongHeaders)]
#[case::other_protocol(Offload::segmented(Gso::Udp, 100, 66, 34, 16), CutError::WrongHeaders)]
#[case::other_start(Offload::segmented(Gso::Tcp4, 100, 66, 35, 16), CutError::BadOffsets)]
#[case::other_field(Offload::segmented(Gso::Tcp4, 100, 66, 34, 6), CutError::BadOffsets)]
#[case::too_many(Offload::segmented(Gso::Tcp4, 1, 66, 34, 16), CutError::TooMany)]
#[case::start_outside(Offload::partial(u16::MAX, 16), CutError::BadOffsets)]
#[case::field_outside(Offload::partial(34, 9999), CutError::BadOffsets)]
fn refused_frames_append_nothing(#[case] offload: Offload, #[case] error: CutError) {
    let (mut frame, headers) = Packet::tcp4(vec![0; 9000]).super_frame(1000);
    frame.offload = offload;
    let mut out = vec![1];
    assert_eq!(cut(&frame, &headers, b"p", &mut out), Err(error));
    assert_eq!(out, [1]);
}

#[test]
fn fragments_and_wrong_lengths_are_not_segmented() {
    let (mut frame, _) = Packet::udp4(vec![0; 900]).super_frame(100);
    let mut out = Vec::new();
    frame.bytes_mut()[20] |= 0x20;
    let headers = wire::parse(frame.bytes()).expect("parse");
    assert_eq!(cut(&frame, &headers, b"", &mut out), Err(CutError::WrongHeaders));
    frame.bytes_mut()[20] &= !0x20;
    frame.bytes_mut()[39] -= 1;
    let headers = wire::parse(frame.bytes()).expect("parse");
    assert_eq!(cut(&frame, &headers, b"", &mut out), Err(CutError::WrongHeaders));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_packet_in_any_size(packet in packet(9000), size in 1usize..3000) {
        prop_assume!(packet.payload.len().div_ceil(size) <= 8192);
        check(&packet, size);
    }

    #[test]
    fn ip_18_partial_checksums_are_completed(packet in packet(3000)) {
        let bytes = packet.bytes();
        let mut frame = Frame::from_bytes(&bytes);
        let headers = wire::parse(&bytes).unwrap();
        prop_assert_eq!(wire::checksum::verify_transport(&bytes, &headers), Some(true));
        let offset = set_partial(frame.bytes_mut(), &headers);
        prop_assert!(wire::checksum::is_partial(frame.bytes(), &headers));
        frame.offload = Offload::partial(headers.l4, offset);
        let mut out = Vec::new();
        let done = cut(&frame, &headers, b"v", &mut out).unwrap();
        prop_assert!(split(&out, done, b"v") == [bytes.clone()]);
        wire::checksum::complete(&mut frame).unwrap();
        prop_assert_eq!((frame.bytes(), frame.offload), (&bytes[..], Offload::NONE));
    }
}
