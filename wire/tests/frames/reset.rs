//! TCP resets, compared with the rules of RFC 9293 section 3.10.7.1.

use etherparse::{PacketBuilder, TcpHeader};
use proptest::prelude::*;
use rstest::rstest;
use wire::{Frame, Offload, parse, reset};

use crate::answer::read;
use crate::packet::{ACK, FIN, Packet, packet, set_partial};

const SYN: u8 = 2;
const RST: u8 = 4;

fn answer(about: &Frame) -> Option<Frame> {
    let headers = parse(about.bytes()).expect("parse");
    let mut out = Frame::from_bytes(&[1; 99]);
    let said = reset(&mut out, about, &headers);
    assert!(said || out.is_empty());
    said.then_some(out)
}

/// A segment over either IP version, with a right checksum.
fn segment(v6: bool, flags: u8, sequence: u32, payload: &[u8]) -> Frame {
    let mut tcp = TcpHeader::new(40_000, 443, sequence, 512);
    tcp.acknowledgment_number = 0xdead_beef;
    (tcp.syn, tcp.fin, tcp.rst, tcp.ack) = (flags & SYN != 0, flags & FIN != 0, flags & RST != 0, flags & ACK != 0);
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let step = if v6 {
        link.ipv6([0xfd; 16], [0xfc; 16], 3).tcp_header(tcp)
    } else {
        link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 3).tcp_header(tcp)
    };
    let mut bytes = Vec::new();
    step.write(&mut bytes, payload).expect("write");
    Frame::from_bytes(&bytes)
}

#[rstest]
fn fw_13_sequence_numbers_follow_the_segment(#[values(false, true)] v6: bool) {
    for (flags, payload, expected) in [
        (SYN, &b""[..], (0, 8, RST | ACK)),
        (SYN | FIN, b"abc", (0, 12, RST | ACK)),
        (0, b"ab", (0, 9, RST | ACK)),
        (ACK, b"ab", (0xdead_beef, 0, RST)),
        (SYN | ACK, b"", (0xdead_beef, 0, RST)),
    ] {
        let about = segment(v6, flags, 7, payload);
        let said = read(&answer(&about).expect("a reset"));
        let headers = parse(about.bytes()).expect("parse");
        assert_eq!(said.addresses, (headers.key.dst().expect("IP"), headers.key.src().expect("IP")));
        assert_eq!(said.macs, ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]));
        assert_eq!((said.hops, said.class, said.tag), (64, 0, None));
        let (sequence, acknowledged, flags): (u32, u32, u8) = expected;
        let mut message = vec![1, 187, 156, 64];
        message.extend(sequence.to_be_bytes());
        message.extend(acknowledged.to_be_bytes());
        message.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
        assert_eq!(said.message, message);
    }
}

#[test]
fn the_acknowledgment_wraps() {
    let said = read(&answer(&segment(false, SYN, u32::MAX, b"")).expect("a reset"));
    assert_eq!(said.message[8..12], [0; 4]);
}

#[rstest]
fn fw_13_a_reset_is_not_answered(#[values(false, true)] v6: bool, #[values(0, ACK, SYN)] flags: u8) {
    assert!(answer(&segment(v6, flags | RST, 7, b"")).is_none());
}

#[rstest]
#[case::group_link(0, &[0xff; 6])]
#[case::from_a_group_link(6, &[3])]
#[case::to_multicast(30, &[224, 0, 0, 1])]
#[case::from_loopback(26, &[127, 0, 0, 1])]
#[case::fragment(20, &[0x20])]
#[case::later_fragment(21, &[1])]
#[case::another_protocol(23, &[132])]
#[case::wrong_checksum(50, &[1])]
fn fw_13_these_are_not_answered(#[case] at: usize, #[case] wrong: &[u8]) {
    let mut about = segment(false, SYN, 7, &[0; 40]);
    about.bytes_mut()[at..at + wrong.len()].copy_from_slice(wrong);
    assert!(answer(&about).is_none());
}

#[test]
fn what_is_known_to_be_right_is_not_verified() {
    let mut about = segment(false, SYN, 7, b"");
    let headers = parse(about.bytes()).expect("parse");
    let offset = set_partial(about.bytes_mut(), &headers);
    assert!(answer(&about).is_none());
    about.offload = Offload::partial(headers.l4, offset);
    read(&answer(&about).expect("a reset"));
    let (about, _) = Packet { flags: FIN, ..Packet::tcp4(vec![1; 9000]) }.super_frame(1000);
    let said = read(&answer(&about).expect("a reset"));
    assert_eq!(said.message[8..12], (1000u32 + 9001).to_be_bytes());
}

proptest! {
    #[test]
    fn any_segment_is_reset(packet in packet(2000)) {
        let about = Frame::from_bytes(&packet.bytes());
        match answer(&about) {
            Some(out) => {
                let said = read(&out);
                prop_assert!(packet.tcp && said.tag == packet.tag);
                // All of these have ACK.
                prop_assert_eq!(&said.message[4..8], &77u32.to_be_bytes());
                prop_assert!(answer(&out).is_none());
            }
            None => prop_assert!(!packet.tcp),
        }
    }
}
