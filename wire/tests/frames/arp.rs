//! ARP messages, compared with etherparse's.

use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder, VlanId};
use rstest::rstest;
use wire::arp::{Arp, parse, reply};
use wire::{Frame, Mac};

const ASKER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OWNER: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn build(operation: u16, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4]), dst: Mac, tag: Option<u16>) -> Vec<u8> {
    let arp = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation(operation),
        &sender.0.0,
        &sender.1,
        &target.0.0,
        &target.1,
    )
    .expect("ARP");
    let link = PacketBuilder::ethernet2(sender.0.0, dst.0);
    let mut frame = Vec::new();
    match tag {
        Some(tag) => link.single_vlan(VlanId::try_new(tag).expect("VID")).arp(arp).write(&mut frame).expect("write"),
        None => link.arp(arp).write(&mut frame).expect("write"),
    }
    frame
}

fn read(frame: &[u8]) -> Option<Arp> {
    parse(frame, &wire::parse(frame).expect("parse"))
}

fn request(tag: Option<u16>) -> Vec<u8> {
    build(1, (ASKER, [10, 0, 0, 1]), (Mac::ZERO, [10, 0, 0, 2]), Mac::BROADCAST, tag)
}

#[rstest]
fn ar_02_request_is_answered_with_the_owners_mac(#[values(None, Some(7))] tag: Option<u16>) {
    let mut padded = request(tag);
    padded.resize(60, 0);
    let asked = read(&padded).expect("request");
    assert_eq!((asked.request, asked.sender_mac, asked.is_announcement()), (true, ASKER, false));
    assert_eq!((asked.sender, asked.target), (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)));
    let mut out = Frame::from_bytes(&[9; 99]);
    reply(&mut out, &asked, ASKER, OWNER, tag);
    let expected = build(2, (OWNER, [10, 0, 0, 2]), (ASKER, [10, 0, 0, 1]), ASKER, tag);
    assert_eq!(out.bytes(), expected);
    assert_eq!(read(out.bytes()).map(|arp| (arp.request, arp.sender_mac, arp.target_mac)), Some((false, OWNER, ASKER)));
}

#[test]
fn ar_04_probe_and_announcement_are_told_apart() {
    let probe = build(1, (ASKER, [0; 4]), (Mac::ZERO, [10, 0, 0, 2]), Mac::BROADCAST, None);
    assert_eq!(read(&probe).map(|arp| (arp.sender, arp.is_announcement())), Some((Ipv4Addr::UNSPECIFIED, false)));
    let announcement = build(1, (ASKER, [10, 0, 0, 1]), (Mac::ZERO, [10, 0, 0, 1]), Mac::BROADCAST, None);
    assert!(read(&announcement).is_some_and(|arp| arp.is_announcement()));
}

#[rstest]
#[case::hardware_type(15, 6)]
#[case::protocol_type(16, 0x86)]
#[case::hardware_length(18, 5)]
#[case::protocol_length(19, 16)]
#[case::operation_0(21, 0)]
#[case::operation_3(21, 3)]
#[case::operation_65281(20, 0xff)]
#[case::group_sender(22, 3)]
#[case::other_ether_type(13, 0x35)]
fn ar_01_malformed_is_no_message(#[case] at: usize, #[case] byte: u8) {
    let mut frame = request(None);
    frame[at] = byte;
    assert_eq!(read(&frame), None);
}

#[test]
fn ar_01_truncated_is_no_message() {
    let frame = request(None);
    for len in 14..frame.len() {
        assert_eq!(read(&frame[..len]), None, "{len}");
    }
}
