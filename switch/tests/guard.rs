//! Source guard, and ARP and ND answered from the endpoint table. Rows AR-xx and ND-xx of the standards list.

mod world;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv6Header, Icmpv6Type, PacketBuilder};
use rstest::rstest;
use switch::{DropReason, PortId};
use wire::{Frame, Mac, Offload, parse};
use world::{Host, RED, arp, ip, mac, pair, raw, udp, udp_between, v6};

fn host() -> (Host, PortId) {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    let port = host.endpoint(1, RED, ip(2));
    host.endpoint(2, RED, ip(3));
    (host, port)
}

fn ipv6(last: u8) -> Ipv6Addr {
    match v6(ip(last)) {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => unreachable!("v6 gives IPv6"),
    }
}

/// An ICMPv6 frame with a correct checksum; `body` starts with type and code.
fn icmpv6(src_mac: Mac, dst_mac: Mac, src: Ipv6Addr, dst: Ipv6Addr, body: &[u8]) -> Vec<u8> {
    let kind =
        Icmpv6Type::Unknown { type_u8: body[0], code_u8: body[1], bytes5to8: [body[4], body[5], body[6], body[7]] };
    let header = Icmpv6Header::with_checksum(kind, src.octets(), dst.octets(), &body[8..]).unwrap();
    let builder = PacketBuilder::ethernet2(src_mac.0, dst_mac.0).ipv6(src.octets(), dst.octets(), 255).icmpv6_raw(
        body[0],
        body[1],
        [body[4], body[5], body[6], body[7]],
    );
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &body[8..]).unwrap();
    assert_eq!(&bytes[56..58], &header.checksum.to_be_bytes());
    bytes
}

fn solicit(src_mac: Mac, src: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let last = target.octets();
    let group =
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(last[13]), u16::from_be_bytes([last[14], last[15]]));
    let mut body = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()[..]].concat();
    if !src.is_unspecified() {
        body.extend([&[1, 1][..], &src_mac.0[..]].concat());
    }
    icmpv6(src_mac, Mac([0x33, 0x33, 0xff, last[13], last[14], last[15]]), src, group, &body)
}

fn advertise(src_mac: Mac, src: Ipv6Addr, target: Ipv6Addr, claims: Mac) -> Vec<u8> {
    let body = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &target.octets()[..], &[2, 1][..], &claims.0[..]].concat();
    icmpv6(src_mac, mac(3), src, ipv6(3), &body)
}

#[test]
fn b3_an_endpoint_speaks_for_itself_only() {
    let (mut host, port) = host();
    assert_eq!(host.ports(port, &udp(2, 3, 10)), [2]);
    host.drops(DropReason::GuardMac, |host| {
        !host.ports(port, &udp_between(mac(9), mac(3), ip(2), ip(3), 1, 10)).is_empty()
    });
    host.drops(DropReason::GuardIp, |host| {
        !host.ports(port, &udp_between(mac(2), mac(3), ip(9), ip(3), 1, 10)).is_empty()
    });
    host.drops(DropReason::GuardArp, |host| {
        !host.ports(port, &arp(2, mac(2), ip(3), mac(3), ip(3), mac(3))).is_empty()
    });
    host.drops(DropReason::GuardArp, |host| {
        !host
            .ports(port, &arp(2, mac(9), ip(2), mac(3), ip(3), mac(3)).tap(|f| f[6..12].copy_from_slice(&mac(2).0)))
            .is_empty()
    });
}

#[test]
fn b3_what_a_start_needs_is_allowed() {
    let (mut host, port) = host();
    let dhcp = {
        let builder = PacketBuilder::ethernet2(mac(2).0, [0xff; 6]).ipv4([0; 4], [255; 4], 64).udp(68, 67);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[0; 240]).unwrap();
        bytes
    };
    assert_eq!(host.ports(port, &dhcp), [2]);
    let probe = arp(1, mac(2), Ipv4Addr::UNSPECIFIED, Mac::ZERO, ip(2), Mac::BROADCAST);
    assert_eq!(host.ports(port, &probe), [2], "a probe for the own address is not answered");
    let dad = solicit(mac(2), Ipv6Addr::UNSPECIFIED, ipv6(2));
    assert_eq!(host.ports(port, &dad), [2], "nor is duplicate address detection for the own address");
    let link_local = own_link_local();
    assert_eq!(host.ports(port, &solicit(mac(2), link_local, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9))), [2]);
}

#[test]
fn nd_05_forged_routers_and_neighbours_are_dropped() {
    let (mut host, port) = host();
    let link_local = own_link_local();
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let router = icmpv6(
        mac(2),
        Mac([0x33, 0x33, 0, 0, 0, 1]),
        link_local,
        all,
        &[134, 0, 0, 0, 64, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    host.drops(DropReason::GuardNd, |host| !host.ports(port, &router).is_empty());
    host.drops(DropReason::GuardNd, |host| !host.ports(port, &advertise(mac(2), ipv6(2), ipv6(3), mac(2))).is_empty());
    host.drops(DropReason::GuardNd, |host| !host.ports(port, &advertise(mac(2), ipv6(2), ipv6(2), mac(3))).is_empty());
    assert_eq!(host.ports(port, &advertise(mac(2), ipv6(2), ipv6(2), mac(2))), [2]);
}

/// The link-local address of `mac(2)`.
fn own_link_local() -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x42, 0xaff, 0xfe0a, 0xa02)
}

#[test]
fn b3_a_link_local_address_is_an_endpoints_own_or_nobodys() {
    let (mut host, port) = host();
    let others = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x42, 0xaff, 0xfe0a, 0xa03);
    let own = own_link_local();
    assert_eq!(host.ports(port, &advertise(mac(2), own, own, mac(2))), [2]);
    assert_eq!(host.ports(port, &solicit(mac(2), Ipv6Addr::UNSPECIFIED, own)), [2]);
    host.drops(DropReason::GuardNd, |host| !host.ports(port, &advertise(mac(2), own, others, mac(2))).is_empty());
    host.drops(DropReason::GuardIp, |host| !host.ports(port, &advertise(mac(2), others, others, mac(2))).is_empty());
    host.drops(DropReason::GuardIp, |host| !host.ports(port, &solicit(mac(2), others, ipv6(9))).is_empty());
    host.drops(DropReason::GuardNd, |host| {
        !host.ports(port, &solicit(mac(2), Ipv6Addr::UNSPECIFIED, others)).is_empty()
    });
}

/// A sender's socket may name any place for the checksum (PACKET_VNET_HDR).
#[rstest]
#[case::over_the_source_address(Offload::partial(14, 12))]
#[case::over_the_source_mac(Offload::partial(0, 6))]
#[case::over_the_ports(Offload::partial(34, 0))]
fn b3_completing_a_checksum_forges_nothing(#[case] offload: Offload) {
    let (mut one, mut two, port, _) = pair();
    assert_eq!(one.send(port, &udp(2, 3, 18)).1.len(), 1, "the flow is cached");
    let forged = || {
        let mut frame = Frame::from_bytes(&udp(2, 3, 18));
        frame.offload = offload;
        frame
    };
    one.drops(DropReason::BadOffload, |host| !host.send_frame(port, forged()).1.is_empty());
    two.endpoint(2, RED, ip(2));
    two.drops(DropReason::BadOffload, |host| !host.send_frame(PortId(2), forged()).0.is_empty());
}

#[test]
fn b3_completing_a_checksum_forges_no_arp() {
    let (mut one, _, port, _) = pair();
    let mut frame = Frame::from_bytes(&arp(2, mac(2), ip(2), mac(3), ip(3), mac(3)));
    frame.offload = Offload::partial(14, 16);
    one.drops(DropReason::BadOffload, |host| !host.send_frame(port, frame).1.is_empty());
}

#[test]
fn a_tunnel_in_a_container_may_leave_its_checksum_to_the_device() {
    let (mut one, _, port, _) = pair();
    let mut frame = Frame::from_bytes(&udp(2, 3, 100));
    frame.offload = Offload::partial(34 + 8 + 8 + 14 + 20, 16);
    assert_eq!(one.send_frame(port, frame).1.len(), 1);
}

#[test]
fn a_hidden_second_tag_is_dropped() {
    let (mut host, port) = host();
    let inner = [&[0, 5, 0x81, 0, 0, 6, 8, 0][..], &udp(9, 3, 10)[14..]].concat();
    host.drops(DropReason::GuardIp, |host| !host.ports(port, &raw(mac(2), mac(3), 0x88a8, &inner)).is_empty());
    let inner = [&[0, 5, 8, 0][..], &udp_between(mac(2), mac(3), ip(9), ip(3), 1, 10)[14..]].concat();
    host.drops(DropReason::GuardIp, |host| !host.ports(port, &raw(mac(2), mac(3), 0x8100, &inner)).is_empty());
}

#[test]
fn a_new_guard_applies_to_cached_flows_at_once() {
    let (mut host, port) = host();
    assert_eq!(host.ports(port, &udp(2, 3, 10)), [2]);
    let guard = switch::Guard { mac: mac(2), addresses: vec![ip(77).into()] };
    let settings = switch::PortSettings { name: "endpoint".into(), bridge: RED, guard: Some(guard) };
    host.apply(switch::Update::Port { id: port, settings });
    host.drops(DropReason::GuardIp, |host| !host.ports(port, &udp(2, 3, 10)).is_empty());
}

#[rstest]
#[case::owner_here(3)]
#[case::owner_elsewhere(4)]
fn b5_ar_02_ar_07_arp_is_answered_as_the_owner_would(#[case] target: u8) {
    let (mut host, port) = host();
    host.bridge(RED, Some(42));
    host.remote(RED, ip(4), "192.0.2.2".parse().unwrap());
    let (frames, wire) = host.send(port, &arp(1, mac(2), ip(2), Mac::ZERO, ip(target), Mac::BROADCAST));
    assert!(wire.is_empty(), "nothing leaves the host");
    let [(to, reply)] = frames.as_slice() else { panic!("{} frames", frames.len()) };
    assert_eq!(*to, port);
    assert_eq!(reply.bytes()[..42], arp(2, mac(target), ip(target), mac(2), ip(2), mac(2))[..]);
}

#[test]
fn ar_07_questions_about_the_unknown_are_flooded() {
    let (mut one, _, port, _) = pair();
    let (frames, wire) = one.send(port, &arp(1, mac(2), ip(2), Mac::ZERO, ip(99), Mac::BROADCAST));
    assert!(frames.is_empty());
    assert_eq!(wire.len(), 1, "one copy for the one peer");
}

#[test]
fn ar_01_malformed_arp_is_dropped() {
    let (mut host, port) = host();
    let good = arp(1, mac(2), ip(2), Mac::ZERO, ip(3), Mac::BROADCAST);
    for (at, value) in [(15, 9), (18, 5), (19, 16), (21, 0), (20, 0xff)] {
        let mut bad = good.clone();
        bad[at] = value;
        host.drops(DropReason::Malformed, |host| !host.ports(port, &bad).is_empty());
    }
}

#[test]
fn b5_nd_is_answered_as_the_owner_would() {
    let (mut host, port) = host();
    let (frames, wire) = host.send(port, &solicit(mac(2), ipv6(2), ipv6(3)));
    assert!(wire.is_empty());
    let [(to, reply)] = frames.as_slice() else { panic!("{} frames", frames.len()) };
    assert_eq!(*to, port);
    let headers = parse(reply.bytes()).unwrap();
    assert_eq!((headers.key.dst_mac(), headers.key.src()), (mac(2), Some(v6(ip(3)))));
    assert_eq!(wire::checksum::verify_transport(reply.bytes(), &headers), Some(true));
    let Ok(Some(wire::nd::Message::Advertisement { target, target_mac, .. })) =
        wire::nd::parse(reply.bytes(), &headers)
    else {
        panic!("not an advertisement")
    };
    assert_eq!((target, target_mac), (ipv6(3), Some(mac(3))));
}

#[test]
fn nd_02_duplicate_address_detection_finds_the_owner() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &solicit(mac(2), Ipv6Addr::UNSPECIFIED, ipv6(3)));
    let headers = parse(frames[0].1.bytes()).unwrap();
    assert_eq!(headers.key.dst(), Some("ff02::1".parse().unwrap()));
}

trait Tap: Sized {
    fn tap(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl Tap for Vec<u8> {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}
