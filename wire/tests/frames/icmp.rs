//! ICMP errors: what they look like, and where there are none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use rstest::rstest;
use wire::icmp::{Trouble, error};
use wire::{Frame, Mac, parse};

use crate::answer::{Said, read};
use crate::packet::{Packet, packet};

const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 9]);
const FROM4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
const FROM6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

const TROUBLES: [Trouble; 6] = [
    Trouble::TimeExceeded,
    Trouble::NetUnreachable,
    Trouble::HostUnreachable,
    Trouble::PortUnreachable,
    Trouble::Prohibited,
    Trouble::TooBig { mtu: 1400 },
];

fn from(v6: bool) -> IpAddr {
    if v6 { FROM6 } else { FROM4 }
}

/// The error about a frame, if there is one.
fn say(about: &Frame, trouble: Trouble) -> Option<Frame> {
    let headers = parse(about.bytes()).expect("parse");
    let v6 = headers.layer3 == wire::Layer3::Ipv6;
    let mut out = Frame::from_bytes(&[1; 99]);
    let said = error(&mut out, about, &headers, from(v6), ROUTER, trouble);
    assert!(said || out.is_empty());
    said.then_some(out)
}

fn check(packet: &Packet, about: &Frame, trouble: Trouble, head: [u8; 8]) {
    let headers = parse(about.bytes()).expect("parse");
    let out = say(about, trouble).expect("an error");
    let longest = if packet.v6 { 1280 - 48 } else { 576 - 28 };
    let quoted = &about.bytes()[headers.l3.into()..headers.end as usize];
    let expected = Said {
        macs: (ROUTER.0, headers.key.src_mac().0),
        tag: packet.tag,
        addresses: (from(packet.v6), headers.key.src().expect("source")),
        hops: 64,
        class: if packet.v6 { 0 } else { 0xc0 | quoted[1] & 0x1e },
        message: [&head, &quoted[..quoted.len().min(longest)]].concat(),
    };
    assert_eq!(read(&out), expected);
}

#[rstest]
#[case::time_exceeded(Trouble::TimeExceeded, [11, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0])]
#[case::net(Trouble::NetUnreachable, [3, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0])]
#[case::host(Trouble::HostUnreachable, [3, 1, 0, 0, 0, 0, 0, 0], [1, 3, 0, 0, 0, 0, 0, 0])]
#[case::port(Trouble::PortUnreachable, [3, 3, 0, 0, 0, 0, 0, 0], [1, 4, 0, 0, 0, 0, 0, 0])]
#[case::prohibited(Trouble::Prohibited, [3, 13, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0])]
#[case::too_big(Trouble::TooBig { mtu: 0x1_0578 }, [3, 4, 0, 0, 0, 0, 0xff, 0xff], [2, 0, 0, 0, 0, 1, 5, 0x78])]
fn ip_03_errors_quote_as_much_as_fits(#[case] trouble: Trouble, #[case] four: [u8; 8], #[case] six: [u8; 8]) {
    for (v6, head) in [(false, four), (true, six)] {
        for (len, tag) in [(0, None), (700, Some(0x6005)), (1400, None)] {
            let packet = Packet { v6, tag, ..Packet::udp4(vec![7; len]) };
            check(&packet, &Frame::from_bytes(&packet.bytes()), trouble, head);
        }
        let packet = Packet { v6, ..Packet::tcp4(vec![7; 9000]) };
        check(&packet, &packet.super_frame(1400).0, trouble, head);
    }
}

#[test]
fn ip_03_link_padding_is_not_quoted() {
    let packet = Packet::udp4(vec![1]);
    let mut about = Frame::from_bytes(&packet.bytes());
    about.extend(&[9; 17]);
    check(&packet, &about, Trouble::PortUnreachable, [3, 3, 0, 0, 0, 0, 0, 0]);
}

#[rstest]
#[case::broadcast_link(0, &[0xff; 6])]
#[case::group_link(0, &[1, 0, 0x5e, 1, 2, 3])]
#[case::from_a_group_link(6, &[3, 0, 0, 0, 0, 1])]
#[case::from_no_link(6, &[0; 6])]
#[case::to_multicast(30, &[224, 0, 0, 251])]
#[case::to_broadcast(30, &[255; 4])]
#[case::from_this_network(26, &[0, 1, 2, 3])]
#[case::from_loopback(26, &[127, 0, 0, 1])]
#[case::from_multicast(26, &[239, 1, 2, 3])]
#[case::from_reserved(26, &[240, 1, 2, 3])]
#[case::from_broadcast(26, &[255; 4])]
#[case::later_fragment(20, &[0, 1])]
#[case::last_fragment(20, &[0x20, 1])]
fn ip_04_none_about_these(#[case] at: usize, #[case] bytes: &[u8]) {
    let mut about = Frame::from_bytes(&Packet::udp4(vec![7; 32]).bytes());
    about.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    for trouble in TROUBLES {
        assert!(say(&about, trouble).is_none(), "{trouble:?}");
    }
}

#[rstest]
#[case::from_unspecified(22, [0; 16])]
#[case::from_loopback(22, Ipv6Addr::LOCALHOST.octets())]
#[case::from_multicast(22, [0xff; 16])]
fn ip_04_none_about_these_over_ipv6(#[case] at: usize, #[case] bytes: [u8; 16]) {
    let mut about = Frame::from_bytes(&Packet { v6: true, ..Packet::udp4(vec![7; 32]) }.bytes());
    about.bytes_mut()[at..at + 16].copy_from_slice(&bytes);
    for trouble in TROUBLES {
        assert!(say(&about, trouble).is_none(), "{trouble:?}");
    }
}

/// RFC 4443 section 2.4 (e.3) to (e.5): path MTU discovery works for multicast.
#[rstest]
#[case::in_ip(38, &[0xff, 0x0e])]
#[case::on_the_link(0, &[0x33, 0x33, 0, 0, 0, 1])]
fn ip_04_only_too_big_about_ipv6_multicast(#[case] at: usize, #[case] bytes: &[u8]) {
    let mut about = Frame::from_bytes(&Packet { v6: true, ..Packet::udp4(vec![7; 32]) }.bytes());
    about.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    for trouble in TROUBLES {
        assert_eq!(say(&about, trouble).is_some(), matches!(trouble, Trouble::TooBig { .. }), "{trouble:?}");
    }
}

#[test]
fn ip_04_none_about_errors_and_unknown_icmp() {
    let frame = |v6: bool, kind: Option<u8>| {
        let mut bytes = Packet { v6, ..Packet::udp4(vec![0; 32]) }.bytes();
        let (at, number) = if v6 { (20, 58) } else { (23, 1) };
        bytes[at] = number;
        let l4 = if v6 { 54 } else { 34 };
        match kind {
            Some(kind) => bytes[l4] = kind,
            None => {
                let len = if v6 { 18 } else { 16 };
                bytes[len..len + 2].copy_from_slice(&[0, if v6 { 0 } else { 20 }]);
            }
        }
        Frame::from_bytes(&bytes)
    };
    for kind in 0..=255 {
        let harmless = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43].contains(&kind);
        assert_eq!(say(&frame(false, Some(kind)), Trouble::TimeExceeded).is_some(), harmless, "{kind}");
        let harmless = kind >= 128 && kind != 137;
        assert_eq!(say(&frame(true, Some(kind)), Trouble::TimeExceeded).is_some(), harmless, "{kind}");
    }
    for v6 in [false, true] {
        assert!(say(&frame(v6, None), Trouble::TimeExceeded).is_none());
    }
}

#[test]
fn the_first_fragment_may_be_complained_about() {
    let mut about = Frame::from_bytes(&Packet::udp4(vec![7; 32]).bytes());
    about.bytes_mut()[20] = 0x20;
    assert!(say(&about, Trouble::TimeExceeded).is_some());
}

#[test]
fn an_address_of_the_other_family_says_nothing() {
    let about = Frame::from_bytes(&Packet::udp4(vec![7; 32]).bytes());
    let mut out = Frame::from_bytes(&[1; 99]);
    let headers = parse(about.bytes()).expect("parse");
    assert!(!error(&mut out, &about, &headers, FROM6, ROUTER, Trouble::TimeExceeded) && out.is_empty());
}

proptest! {
    #[test]
    fn any_packet_any_trouble(packet in packet(2000), trouble in prop::sample::select(TROUBLES.to_vec())) {
        let about = Frame::from_bytes(&packet.bytes());
        let out = say(&about, trouble).expect("an error");
        let head = read(&out).message[..8].try_into().unwrap();
        check(&packet, &about, trouble, head);
    }
}
