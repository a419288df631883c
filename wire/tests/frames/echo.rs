//! Echo requests, built by etherparse, and the replies that they become.

use etherparse::{PacketBuilder, VlanId};
use proptest::prelude::*;
use rstest::rstest;
use wire::icmp::echo_reply;
use wire::{Frame, Offload, parse};

use crate::answer::read;

const ASKER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWNER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ASKER6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const OWNER6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// A request with its answer's ends exchanged, or the answer itself.
fn message(v6: bool, tag: Option<u16>, reply: bool, hops: u8, data: &[u8]) -> Vec<u8> {
    let (from, to) = if reply { (OWNER, ASKER) } else { (ASKER, OWNER) };
    let link = PacketBuilder::ethernet2(from, to);
    let mut out = Vec::new();
    let (id, sequence) = (0x1234, 0xfffe);
    if v6 {
        let (src, dst) = if reply { (OWNER6, ASKER6) } else { (ASKER6, OWNER6) };
        let ip = match tag {
            Some(tag) => link.single_vlan(VlanId::try_new(tag).expect("VID")).ipv6(src, dst, hops),
            None => link.ipv6(src, dst, hops),
        };
        let step = if reply { ip.icmpv6_echo_reply(id, sequence) } else { ip.icmpv6_echo_request(id, sequence) };
        step.write(&mut out, data).expect("write");
    } else {
        let (src, dst) = if reply { ([10, 0, 0, 2], [10, 0, 0, 1]) } else { ([10, 0, 0, 1], [10, 0, 0, 2]) };
        let ip = match tag {
            Some(tag) => link.single_vlan(VlanId::try_new(tag).expect("VID")).ipv4(src, dst, hops),
            None => link.ipv4(src, dst, hops),
        };
        let step = if reply { ip.icmpv4_echo_reply(id, sequence) } else { ip.icmpv4_echo_request(id, sequence) };
        step.write(&mut out, data).expect("write");
    }
    out
}

fn answer(bytes: &[u8]) -> Option<Frame> {
    let mut frame = Frame::from_bytes(bytes);
    let answered = echo_reply(&mut frame, &parse(bytes).expect("parse"));
    assert!(answered || frame.bytes() == bytes, "refused and changed");
    answered.then_some(frame)
}

/// Corrects the checksum of an IPv4 header without tag.
fn mend(bytes: &mut [u8]) {
    let end = 14 + usize::from(bytes[14] & 15) * 4;
    let sum = wire::checksum::ipv4_header(&bytes[14..end]).to_be_bytes();
    bytes[24..26].copy_from_slice(&sum);
}

proptest! {
    #[test]
    fn a_request_becomes_its_reply(
        v6: bool,
        tag in prop::option::of(0u16..4096),
        hops in 1u8..,
        data in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        let reply = answer(&message(v6, tag, false, hops, &data)).expect("a reply");
        prop_assert_eq!(reply.bytes(), message(v6, tag, true, 64, &data));
        read(&reply);
        prop_assert!(answer(reply.bytes()).is_none(), "a reply is not answered");
    }

    #[test]
    fn damage_is_not_answered(v6: bool, at in 14usize..100, bit in 0u8..8) {
        let mut bytes = message(v6, None, false, 9, &[5; 64]);
        bytes[at] ^= 1 << bit;
        let Ok(headers) = parse(&bytes) else { return Ok(()) };
        // An IPv6 header has no checksum, but the addresses lie under ICMPv6's.
        if !v6 || !(14..22).contains(&at) {
            prop_assert!(!echo_reply(&mut Frame::from_bytes(&bytes), &headers));
        }
    }
}

#[rstest]
#[case::to_a_group_link(0, &[0xff; 6])]
#[case::from_a_group_link(6, &[3])]
#[case::to_multicast(30, &[224, 0, 0, 1])]
#[case::to_broadcast(30, &[255; 4])]
#[case::from_nobody(26, &[0; 4])]
#[case::from_loopback(26, &[127, 0, 0, 1])]
#[case::fragment(20, &[0x20])]
#[case::later_fragment(21, &[1])]
#[case::timestamp(34, &[13])]
fn these_are_not_answered(#[case] at: usize, #[case] wrong: &[u8]) {
    let mut bytes = message(false, None, false, 9, &[5; 64]);
    bytes[at..at + wrong.len()].copy_from_slice(wrong);
    mend(&mut bytes);
    assert!(answer(&bytes).is_none());
}

#[test]
fn all_nodes_are_not_the_one_who_is_asked() {
    let mut bytes = Vec::new();
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    PacketBuilder::ethernet2(ASKER, OWNER)
        .ipv6(ASKER6, all_nodes, 64)
        .icmpv6_echo_request(1, 2)
        .write(&mut bytes, &[1])
        .expect("write");
    assert!(answer(&bytes).is_none());
}

#[test]
fn a_reply_of_zeroes_alone_has_the_checksum_of_such() {
    let mut request = Vec::new();
    PacketBuilder::ethernet2(ASKER, OWNER)
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .icmpv4_echo_request(0, 0)
        .write(&mut request, &[0; 8])
        .expect("write");
    let sound = [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let reply = answer(&request).expect("a reply");
    assert_eq!(reply.bytes()[34..], sound);
    read(&reply);
    // What only fills the frame is not of the message.
    request.extend([7; 10]);
    assert_eq!(answer(&request).expect("a reply").bytes()[34..50], sound);
}

#[test]
fn partial_checksums_are_not_answered() {
    let bytes = message(false, None, false, 64, &[1]);
    let mut frame = Frame::from_bytes(&bytes);
    frame.offload = Offload::partial(34, 2);
    assert!(!echo_reply(&mut frame, &parse(&bytes).expect("parse")));
}

#[rstest]
#[case::router_alert([148, 4, 0, 0], true)]
#[case::loose_source_route([131, 3, 4, 0], false)]
#[case::strict_source_route([1, 137, 3, 4], false)]
fn options_stay_but_nobody_chooses_the_way(#[case] options: [u8; 4], #[case] answered: bool) {
    let mut bytes = message(false, None, false, 64, &[1, 2]);
    bytes.splice(34..34, options);
    bytes[14] = 0x46;
    bytes[17] += 4;
    mend(&mut bytes);
    let reply = answer(&bytes);
    assert_eq!(reply.is_some(), answered);
    if let Some(reply) = reply {
        assert_eq!(reply.bytes()[34..38], options);
        read(&reply);
    }
}

#[rstest]
#[case::destination_options(60, &[58, 0, 1, 4, 0, 0, 0, 0], true)]
#[case::atomic_fragment(44, &[58, 0, 0, 0, 0, 0, 0, 1], true)]
#[case::used_up_routing_header(43, &[58, 0, 0, 0, 0, 0, 0, 0], false)]
#[case::authentication(51, &[58, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false)]
fn extension_headers(#[case] number: u8, #[case] extension: &[u8], #[case] answered: bool) {
    let mut bytes = message(true, None, false, 64, &[1, 2]);
    bytes.splice(54..54, extension.iter().copied());
    bytes[20] = number;
    bytes[19] += extension.len() as u8;
    let reply = answer(&bytes);
    assert_eq!(reply.is_some(), answered);
    if let Some(reply) = reply {
        assert_eq!(&reply.bytes()[54..54 + extension.len()], extension);
        let headers = parse(reply.bytes()).expect("parse");
        assert_eq!(wire::checksum::verify_transport(reply.bytes(), &headers), Some(true));
    }
}
