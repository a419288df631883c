//! Neighbour discovery messages, with etherparse as the builder.

use std::net::Ipv6Addr;

use etherparse::PacketBuilder;
use rstest::rstest;
use wire::nd::{Message, advertise, parse, solicited_node};
use wire::{Frame, Mac, Malformed};

const ASKER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OWNER: Mac = Mac([2, 0, 0, 0, 0, 2]);
const TARGET: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0x1234, 0xab56, 0x789a);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const SOURCE_OPTION: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];

struct Discovery {
    kind: u8,
    code: u8,
    flags: u8,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    hop_limit: u8,
    rest: Vec<u8>,
}

impl Discovery {
    fn new(kind: u8, dst: Ipv6Addr, rest: &[&[u8]]) -> Discovery {
        Discovery { kind, code: 0, flags: 0, src: SOURCE, dst, hop_limit: 255, rest: rest.concat() }
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(ASKER.0, [0x33, 0x33, 0xff, 0x56, 0x78, 0x9a])
            .ipv6(self.src.octets(), self.dst.octets(), self.hop_limit)
            .icmpv6_raw(self.kind, self.code, [self.flags, 0, 0, 0])
            .write(&mut frame, &self.rest)
            .expect("write");
        frame
    }

    fn read(&self) -> Result<Option<Message>, Malformed> {
        read(&self.frame())
    }
}

fn read(frame: &[u8]) -> Result<Option<Message>, Malformed> {
    parse(frame, &wire::parse(frame).expect("parse"))
}

fn solicitation() -> Discovery {
    Discovery::new(135, solicited_node(TARGET), &[&TARGET.octets(), &SOURCE_OPTION])
}

fn advertisement(src: Ipv6Addr, dst: Ipv6Addr, flags: u8) -> Discovery {
    Discovery { src, flags, ..Discovery::new(136, dst, &[&TARGET.octets(), &[2, 1], &OWNER.0]) }
}

#[test]
fn solicited_node_keeps_the_low_24_bits() {
    assert_eq!(solicited_node(TARGET), "ff02::1:ff56:789a".parse::<Ipv6Addr>().expect("address"));
}

#[test]
fn messages_are_read() {
    assert_eq!(solicitation().read(), Ok(Some(Message::Solicitation { target: TARGET, source_mac: Some(ASKER) })));
    let expected = Message::Advertisement {
        target: TARGET,
        target_mac: Some(OWNER),
        router: true,
        solicited: false,
        replace: true,
    };
    assert_eq!(advertisement(TARGET, ALL_NODES, 0xa0).read(), Ok(Some(expected)));
    assert_eq!(Discovery::new(133, ALL_NODES, &[&SOURCE_OPTION]).read(), Ok(Some(Message::RouterSolicitation)));
    assert_eq!(Discovery::new(134, ALL_NODES, &[&[0; 8]]).read(), Ok(Some(Message::RouterAdvertisement)));
    let redirect = Discovery::new(137, SOURCE, &[&SOURCE.octets(), &TARGET.octets()]);
    assert_eq!(redirect.read(), Ok(Some(Message::Redirect)));
    assert_eq!(Discovery::new(128, TARGET, &[]).read(), Ok(None));
    assert_eq!(Discovery { hop_limit: 64, ..Discovery::new(129, TARGET, &[&[0; 64]]) }.read(), Ok(None));
}

#[rstest]
#[case::hop_limit(|d: &mut Discovery| d.hop_limit = 254, Malformed::HopLimit)]
#[case::code(|d: &mut Discovery| d.code = 1, Malformed::Discovery)]
#[case::option_length_zero(|d: &mut Discovery| d.rest[17] = 0, Malformed::Discovery)]
#[case::option_past_the_end(|d: &mut Discovery| d.rest[17] = 2, Malformed::Discovery)]
#[case::half_an_option(|d: &mut Discovery| d.rest.push(14), Malformed::Discovery)]
#[case::short(|d: &mut Discovery| d.rest.truncate(15), Malformed::Truncated)]
#[case::multicast_target(|d: &mut Discovery| d.rest[0] = 0xff, Malformed::Discovery)]
#[case::unspecified_with_option(|d: &mut Discovery| d.src = Ipv6Addr::UNSPECIFIED, Malformed::Discovery)]
#[case::unspecified_to_unicast(
    |d: &mut Discovery| (d.src, d.dst) = (Ipv6Addr::UNSPECIFIED, TARGET),
    Malformed::Discovery
)]
#[case::solicited_multicast(|d: &mut Discovery| (d.kind, d.flags, d.dst) = (136, 0x40, ALL_NODES), Malformed::Discovery)]
#[case::routed_advertisement(|d: &mut Discovery| (d.kind, d.src) = (134, TARGET), Malformed::Discovery)]
#[case::routed_redirect(
    |d: &mut Discovery| {
        (d.kind, d.src) = (137, TARGET);
        d.rest.splice(16..16, [0xfd; 16]);
    },
    Malformed::Discovery
)]
fn nd_01_what_must_be_ignored_is_refused(#[case] change: fn(&mut Discovery), #[case] error: Malformed) {
    let mut discovery = solicitation();
    change(&mut discovery);
    assert_eq!(discovery.read(), Err(error));
}

#[test]
fn nd_01_wrong_checksum_is_refused() {
    let mut frame = solicitation().frame();
    frame[70] ^= 1;
    assert_eq!(read(&frame), Err(Malformed::Checksum));
}

#[rstest]
#[case::first(1)]
#[case::atomic(0)]
fn nd_03_fragmented_is_refused(#[case] offset: u8) {
    let mut frame = solicitation().frame();
    frame.splice(54..54, [58, 0, 0, offset, 0, 0, 0, 1]);
    frame[19] += 8;
    frame[20] = 44;
    assert_eq!(read(&frame), Err(Malformed::Fragmented));
}

#[test]
fn ip_15_a_first_fragment_that_hides_its_kind_is_refused() {
    let mut frame = solicitation().frame();
    frame.splice(54.., [58, 0, 0, 1, 0, 0, 0, 1]);
    frame[18..21].copy_from_slice(&[0, 8, 44]);
    assert_eq!(read(&frame), Err(Malformed::Truncated));
}

#[test]
fn solicitation_is_answered_to_the_one_who_asked() {
    let frame = solicitation().frame();
    let mut out = Frame::from_bytes(&[1; 200]);
    advertise(&mut out, &wire::parse(&frame).expect("parse"), TARGET, OWNER);
    let mut expected = advertisement(TARGET, SOURCE, 0x60).frame();
    expected[..6].copy_from_slice(&ASKER.0);
    expected[6..12].copy_from_slice(&OWNER.0);
    assert_eq!(out.bytes(), expected);
}

#[test]
fn nd_02_duplicate_address_detection_is_answered_to_all() {
    let mut probe = solicitation();
    probe.src = Ipv6Addr::UNSPECIFIED;
    probe.rest.truncate(16);
    assert_eq!(probe.read(), Ok(Some(Message::Solicitation { target: TARGET, source_mac: None })));
    let mut frame = probe.frame();
    frame.splice(12..12, [0x81, 0, 0, 5]);
    let mut out = Frame::new();
    advertise(&mut out, &wire::parse(&frame).expect("parse"), TARGET, OWNER);
    let mut expected = advertisement(TARGET, ALL_NODES, 0x20).frame();
    expected[..12].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    expected.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(out.bytes(), expected);
}
