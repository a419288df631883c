//! Access and trunk ports on memory ports. Rows VL-xx of the standards list.

mod world;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use etherparse::PacketBuilder;
use nat::rules::{Family, Program, load};
use proptest::prelude::*;
use switch::{DropReason, FdbKind, Guard, Place, PortId, PortSettings, PublishId, Update, VlanMode};
use wire::{Frame, Gso, Mac, Offload};
use world::outside::{self, FAR, HOST, in_, published, tcp};
use world::{Host, RED, arp, ip, mac, pair, raw, udp, v6};

/// Ports: 1 and 2 in VLAN 10, 3 in VLAN 20, 4 a trunk of 10 and 20 to 29, 5 one with 10 as its native VLAN besides 20,
/// 6 plain.
fn network() -> Host {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    for port in 1..=6 {
        host.open_port(port, RED);
    }
    for (port, vlan) in [(1, 10), (2, 10), (3, 20)] {
        set(&mut host, port, VlanMode::Access(vlan));
    }
    set(&mut host, 4, VlanMode::Trunk { tagged: [10].into_iter().chain(20..30).collect(), native: None });
    set(&mut host, 5, VlanMode::Trunk { tagged: [20].into_iter().collect(), native: Some(10) });
    host
}

fn set(host: &mut Host, port: u32, mode: VlanMode) {
    host.apply(Update::Vlan { id: PortId(port), mode });
}

/// The frame with a tag (PCP, DEI, VID).
fn tagged(frame: &[u8], tag: u16) -> Vec<u8> {
    [&frame[..12], &[0x81, 0], &tag.to_be_bytes(), &frame[12..]].concat()
}

/// What comes out where.
fn sent(host: &mut Host, port: u32, frame: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut out: Vec<_> =
        host.send(PortId(port), frame).0.iter().map(|(id, frame)| (id.0, frame.bytes().to_vec())).collect();
    out.sort();
    out
}

fn to_all(src: u8) -> Vec<u8> {
    raw(mac(src), Mac::BROADCAST, 0x88b5, &[0; 46])
}

#[test]
fn vl_01_an_access_port_is_in_one_vlan_and_sees_no_tags() {
    let mut host = network();
    let frame = to_all(11);
    let everywhere = [(2, frame.clone()), (4, tagged(&frame, 10)), (5, frame.clone())];
    assert_eq!(sent(&mut host, 1, &frame), everywhere);
    for other in [10, 20, 11, 1, 4094] {
        host.drops(DropReason::NotMember, |host| !sent(host, 1, &tagged(&frame, other)).is_empty());
    }
    assert_eq!(sent(&mut host, 3, &frame), [(4, tagged(&frame, 20)), (5, tagged(&frame, 20))]);
}

#[test]
fn vl_02_a_priority_tag_is_no_vlan_and_the_priority_is_kept() {
    let mut host = network();
    let (frame, priority) = (to_all(11), tagged(&to_all(11), 0xb000));
    let everywhere = [(2, priority.clone()), (4, tagged(&frame, 0xb00a)), (5, priority.clone())];
    assert_eq!(sent(&mut host, 1, &priority), everywhere);
    host.drops(DropReason::NotMember, |host| !sent(host, 4, &priority).is_empty());
}

#[test]
fn vl_03_vlan_4095_is_dropped_wherever_it_comes_from() {
    let mut host = network();
    for port in 1..=6 {
        host.drops(DropReason::BadVlan, |host| !sent(host, port, &tagged(&to_all(11), 0xafff)).is_empty());
    }
}

#[test]
fn vl_04_a_trunk_carries_its_vlans_and_no_other() {
    let mut host = network();
    let frame = to_all(11);
    let ten = [(1, frame.clone()), (2, frame.clone())];
    assert_eq!(sent(&mut host, 4, &tagged(&frame, 10)), [&ten[..], &[(5, frame.clone())]].concat());
    assert_eq!(sent(&mut host, 4, &tagged(&frame, 20)), [(3, frame.clone()), (5, tagged(&frame, 20))]);
    host.drops(DropReason::NobodyThere, |host| !sent(host, 4, &tagged(&frame, 25)).is_empty());
    for outside in [9, 11, 30, 1] {
        host.drops(DropReason::NotMember, |host| !sent(host, 4, &tagged(&frame, outside)).is_empty());
    }
    host.drops(DropReason::NotMember, |host| !sent(host, 4, &frame).is_empty());
    // The native VLAN has no tag there.
    assert_eq!(sent(&mut host, 5, &frame), [&ten[..], &[(4, tagged(&frame, 10))]].concat());
    host.drops(DropReason::NobodyThere, |host| !sent(host, 6, &frame).is_empty());
}

#[test]
fn vl_05_each_vlan_learns_by_itself() {
    let mut host = network();
    // The same address behind a trunk in one VLAN and at an access port in another.
    sent(&mut host, 4, &tagged(&to_all(77), 10));
    sent(&mut host, 3, &to_all(77));
    let mut rows: Vec<_> = host.switch.fdb(host.now).iter().map(|row| (row.vlan, row.place, row.kind)).collect();
    rows.sort_by_key(|row| row.0);
    let learned = |vlan, port| (vlan, Place::Port(PortId(port)), FdbKind::Learned);
    assert_eq!(rows, [learned(10, 4), learned(20, 3)]);
    let frame = udp(11, 77, 18);
    assert_eq!(sent(&mut host, 1, &frame), [(4, tagged(&frame, 10))]);
    assert_eq!(sent(&mut host, 5, &tagged(&frame, 20)), [(3, frame.clone())]);
    assert_eq!(sent(&mut host, 5, &udp(12, 77, 18)), [(4, tagged(&udp(12, 77, 18), 10))]);
    // And again, from the cache.
    let misses = host.switch.counters().misses;
    assert_eq!(sent(&mut host, 1, &frame), [(4, tagged(&frame, 10))]);
    assert_eq!(sent(&mut host, 5, &tagged(&frame, 20)), [(3, frame.clone())]);
    assert_eq!(host.switch.counters().misses, misses);
}

#[test]
fn vl_06_no_tag_is_uncovered_by_taking_off_the_first() {
    let mut host = network();
    // From VLAN 10, with a second tag that names VLAN 20: it stays inside.
    let twice = tagged(&tagged(&to_all(11), 20), 0);
    assert_eq!(sent(&mut host, 1, &twice), [(4, tagged(&tagged(&to_all(11), 20), 10))], "the trunk with tags");
    sent(&mut host, 2, &to_all(22));
    let to_one = tagged(&tagged(&udp(11, 22, 18), 20), 10);
    host.drops(DropReason::SecondTag, |host| !sent(host, 4, &to_one).is_empty());
    // A plain port's tags mean nothing to others.
    host.drops(DropReason::NobodyThere, |host| !sent(host, 6, &tagged(&to_all(66), 10)).is_empty());
    set(&mut host, 5, VlanMode::Trunk { tagged: [20].into_iter().collect(), native: Some(0) });
    assert_eq!(sent(&mut host, 6, &to_all(66)), [(5, to_all(66))]);
    host.drops(DropReason::NobodyThere, |host| !sent(host, 6, &tagged(&to_all(66), 20)).is_empty());
}

#[test]
fn vl_06_a_service_tag_names_no_vlan_here() {
    let mut host = network();
    let service = |tag: u16| [&to_all(11)[..12], &[0x88, 0xa8], &tag.to_be_bytes(), &to_all(11)[12..]].concat();
    // Also when the same with a customer's tag is in the cache.
    sent(&mut host, 2, &to_all(22));
    let to_one = tagged(&udp(77, 22, 18), 10);
    assert_eq!(sent(&mut host, 4, &to_one).len(), 1);
    let mut disguised = to_one.clone();
    disguised[12..14].copy_from_slice(&[0x88, 0xa8]);
    host.drops(DropReason::NotMember, |host| !sent(host, 4, &disguised).is_empty());
    for (port, tag) in [(1, 10), (1, 0), (4, 10), (5, 20), (5, 10)] {
        host.drops(DropReason::NotMember, |host| !sent(host, port, &service(tag)).is_empty());
    }
    // Plain ports pass it among themselves, and to nobody else.
    set(&mut host, 5, VlanMode::Trunk { tagged: [20].into_iter().collect(), native: Some(0) });
    host.open_port(7, RED);
    for tag in [0, 10, 20] {
        assert_eq!(sent(&mut host, 6, &service(tag)), [(7, service(tag))]);
    }
}

#[test]
fn vl_07_priority_and_offload_metadata_survive_a_new_tag() {
    let mut host = network();
    sent(&mut host, 4, &tagged(&to_all(77), 10));
    let plain = udp(11, 77, 3_000);
    let mut frame = Frame::from_bytes(&plain);
    frame.offload = Offload::segmented(Gso::Udp, 1_000, 42, 34, 6);
    let (out, _) = host.send_frame(PortId(1), frame);
    assert_eq!(out[0].1.bytes(), tagged(&plain, 10));
    assert_eq!(out[0].1.offload, Offload::segmented(Gso::Udp, 1_000, 46, 38, 6));
    // And back.
    sent(&mut host, 1, &to_all(11));
    let mut frame = Frame::from_bytes(&tagged(&udp(77, 11, 3_000), 0x600a));
    frame.offload = Offload::segmented(Gso::Udp, 1_000, 46, 38, 6);
    let (out, _) = host.send_frame(PortId(4), frame);
    assert_eq!((out[0].0, out[0].1.bytes()), (PortId(1), &udp(77, 11, 3_000)[..]));
    assert_eq!(out[0].1.offload, Offload::segmented(Gso::Udp, 1_000, 42, 34, 6));
    // From trunk to trunk the priority stays.
    set(&mut host, 6, VlanMode::Trunk { tagged: [10].into_iter().collect(), native: None });
    let marked = tagged(&to_all(77), 0xf00a);
    assert!(sent(&mut host, 4, &marked).contains(&(6, marked.clone())));
}

/// A guarded endpoint in a VLAN.
fn endpoint(host: &mut Host, port: u32, last: u8, mode: VlanMode) {
    let (id, addresses) = (PortId(port), vec![ip(last).into(), v6(ip(last))]);
    let guard = matches!(mode, VlanMode::Access(_)).then(|| Guard { mac: mac(last), addresses: addresses.clone() });
    host.apply(Update::Port { id, settings: PortSettings { name: "endpoint".into(), bridge: RED, guard } });
    host.apply(Update::Vlan { id, mode });
    host.apply(Update::Endpoint { bridge: RED, mac: mac(last), addresses, place: Place::Port(id) });
}

fn who_has(host: &mut Host, port: u32, asker: u8, target: u8, tag: Option<u16>) -> Vec<(u32, Vec<u8>)> {
    let question = arp(1, mac(asker), ip(asker), Mac::ZERO, ip(target), Mac::BROADCAST);
    sent(host, port, &tag.map_or(question.clone(), |tag| tagged(&question, tag)))
}

#[test]
fn guards_and_answers_hold_within_a_vlan() {
    let mut host = network();
    endpoint(&mut host, 11, 111, VlanMode::Access(10));
    endpoint(&mut host, 12, 112, VlanMode::Access(10));
    endpoint(&mut host, 13, 113, VlanMode::Access(20));
    let answer = arp(2, mac(112), ip(112), mac(111), ip(111), mac(111));
    assert_eq!(who_has(&mut host, 11, 111, 112, None), [(11, answer)]);
    // By a trunk the answer has the tag of the question.
    let answer = tagged(&arp(2, mac(112), ip(112), mac(200), ip(200), mac(200)), 0x400a);
    assert_eq!(who_has(&mut host, 4, 200, 112, Some(0x400a)), [(4, answer)]);
    // Nobody of another VLAN is known: the question is passed on within its own.
    let heard: Vec<u32> = who_has(&mut host, 11, 111, 113, None).iter().map(|(port, _)| *port).collect();
    assert_eq!(heard, [1, 2, 4, 5, 12]);
    host.drops(DropReason::GuardMac, |host| !sent(host, 11, &udp(112, 113, 18)).is_empty());
    host.drops(DropReason::GuardIp, |host| !sent(host, 11, &tagged(&tagged(&udp(111, 112, 18), 7), 0)).is_empty());
    assert_eq!(sent(&mut host, 11, &udp(111, 112, 18)), [(12, udp(111, 112, 18))]);
    let unknown: Vec<u32> = sent(&mut host, 11, &udp(111, 113, 18)).iter().map(|(port, _)| *port).collect();
    assert_eq!(unknown, [1, 2, 4, 5, 12], "to those who have no such station");
}

/// A neighbour solicitation from an endpoint.
fn solicit(src: u8, target: u8) -> Vec<u8> {
    let IpAddr::V6(from) = v6(ip(src)) else { unreachable!("v6 gives IPv6") };
    let IpAddr::V6(target) = v6(ip(target)) else { unreachable!("v6 gives IPv6") };
    let body = [&target.octets()[..], &[1, 1], &mac(src).0].concat();
    let last = target.octets()[15];
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, u16::from(last));
    let builder = PacketBuilder::ethernet2(mac(src).0, [0x33, 0x33, 0xff, 0, 0, last]);
    let mut bytes = Vec::new();
    let builder = builder.ipv6(from.octets(), group.octets(), 255).icmpv6_raw(135, 0, [0; 4]);
    builder.write(&mut bytes, &body).unwrap();
    bytes
}

#[test]
fn neighbour_discovery_is_answered_within_a_vlan_with_its_tag() {
    let mut host = network();
    endpoint(&mut host, 11, 111, VlanMode::Access(10));
    endpoint(&mut host, 13, 113, VlanMode::Access(20));
    for (port, tag) in [(1, None), (4, Some(0x600a))] {
        let question = tag.map_or(solicit(50, 111), |tag| tagged(&solicit(50, 111), tag));
        let answers = sent(&mut host, port, &question);
        let [(to, answer)] = answers.as_slice() else { panic!("{} frames", answers.len()) };
        let headers = wire::parse(answer).unwrap();
        assert_eq!((*to, headers.tag, headers.key.src()), (port, tag, Some(v6(ip(111)))));
        let other = tag.map_or(solicit(50, 113), |tag| tagged(&solicit(50, 113), tag));
        let heard = sent(&mut host, port, &other);
        assert!(heard.iter().all(|(to, _)| ![port, 3, 6, 13].contains(to)), "{heard:?}");
    }
}

#[test]
fn an_endpoint_moves_with_its_ports_vlan() {
    let mut host = network();
    endpoint(&mut host, 11, 111, VlanMode::Access(10));
    endpoint(&mut host, 12, 112, VlanMode::Access(20));
    assert_eq!(sent(&mut host, 1, &udp(11, 111, 18)), [(11, udp(11, 111, 18))]);
    host.apply(Update::Static { bridge: RED, mac: mac(150), place: Place::Port(PortId(11)) });
    set(&mut host, 11, VlanMode::Access(20));
    assert_eq!(sent(&mut host, 12, &udp(112, 111, 18)), [(11, udp(112, 111, 18))]);
    assert_eq!(sent(&mut host, 12, &udp(112, 150, 18)), [(11, udp(112, 150, 18))]);
    assert!(!sent(&mut host, 1, &udp(11, 111, 18)).iter().any(|(port, _)| *port == 11), "the cached flow is void");
    set(&mut host, 11, VlanMode::Plain);
    assert_eq!(sent(&mut host, 6, &udp(66, 111, 18)), [(11, udp(66, 111, 18))]);
    host.apply(Update::RemovePort { id: PortId(11) });
    assert!(host.switch.fdb(host.now).iter().all(|row| row.mac != mac(111) && row.mac != mac(150)));
}

#[test]
fn the_gateway_is_in_every_vlan_and_leads_from_none_into_another() {
    let mut host = Host::new(1);
    host.gateways(RED, &["10.10.10.1/24"], false, false);
    endpoint(&mut host, 11, 111, VlanMode::Access(10));
    endpoint(&mut host, 12, 112, VlanMode::Access(20));
    endpoint(&mut host, 13, 113, VlanMode::Access(10));
    let trunk = VlanMode::Trunk { tagged: [10].into_iter().collect(), native: None };
    endpoint(&mut host, 14, 114, trunk);
    let gateway = mac(1);
    let question = arp(1, mac(111), ip(111), Mac::ZERO, ip(1), Mac::BROADCAST);
    assert_eq!(sent(&mut host, 11, &question), [(11, arp(2, gateway, ip(1), mac(111), ip(111), mac(111)))]);
    let to = |src: u8, dst: u8| world::udp_between(mac(src), gateway, ip(src), ip(dst), 1000, 18);
    host.drops(DropReason::OtherVlan, |host| !sent(host, 11, &to(111, 112)).is_empty());
    host.drops(DropReason::OtherVlan, |host| !sent(host, 11, &to(111, 114)).is_empty());
    assert_eq!(sent(&mut host, 11, &to(111, 113)).iter().map(|(port, _)| *port).collect::<Vec<_>>(), [13]);
    // A trunk's tagged frames have a router of their own, by another address.
    let frame = tagged(&to(111, 113), 10);
    host.drops(DropReason::RoutedTag, |host| !sent(host, 14, &frame).is_empty());
    // An access port speaks no tags: what it hears from the gateway has none.
    for vlan in [10, 20] {
        host.drops(DropReason::NotMember, |host| !sent(host, 11, &tagged(&question, vlan)).is_empty());
    }
}

/// A host with a way out, and endpoints 111 and 113 in VLAN 10, 112 in VLAN 20, at ports 11 to 13.
fn translating() -> Host {
    let (mut host, _) = outside::host();
    for (port, vlan) in [(11, 10), (12, 20), (13, 10)] {
        endpoint(&mut host, port, 100 + port as u8, VlanMode::Access(vlan));
    }
    host
}

fn rules(host: &mut Host, text: &str) {
    let program = Box::new(Program::new(load(Family::Ipv4, text).unwrap()));
    host.switch.set_rules(None, Family::Ipv4, Some(program));
}

/// The ports that a TCP segment leaves by.
fn segment(host: &mut Host, port: u32, dst: Mac, ends: ((u8, u16), (Ipv4Addr, u16)), flags: &str) -> Vec<u32> {
    let ((src, from), to) = ends;
    host.ports(PortId(port), &tcp((mac(src), dst), (ip(src), from), to, flags, (1, 2)))
}

#[test]
fn a_published_port_is_no_way_into_another_vlan_of_its_network() {
    let mut host = translating();
    for (id, to) in [(1, 112), (2, 113)] {
        let rule = published(None, (8_000 + id, 8_000 + id), ip(to), 80);
        host.apply(Update::Publish { id: PublishId(id.into()), rule });
    }
    let gateway = outside::gateway_mac();
    assert_eq!(host.ports(PortId::HOST, &tcp(in_(), (FAR, 1_000), (HOST, 8_001), "S", (1, 0))), [12], "from outside");
    host.drops(DropReason::OtherVlan, |host| !segment(host, 11, gateway, ((111, 999), (HOST, 8_001)), "S").is_empty());
    // Whoever agrees with it on the ends of a connection does not reach it either, by the gateway or past it.
    host.ports(PortId(12), &to_all(66));
    for dst in [gateway, mac(66), mac(111)] {
        let heard = segment(&mut host, 12, dst, ((112, 80), (ip(111), 999)), "SA");
        assert!(!heard.contains(&11) && !heard.contains(&13), "{heard:?} by {dst}");
    }
    assert_eq!(segment(&mut host, 11, gateway, ((111, 999), (HOST, 8_002)), "S"), [13], "its own VLAN");
    assert_eq!(segment(&mut host, 13, mac(111), ((113, 80), (ip(111), 999)), "SA"), [11]);
}

#[test]
fn no_rule_that_translates_leads_into_another_vlan() {
    let mut host = translating();
    let gateway = outside::gateway_mac();
    rules(
        &mut host,
        "*nat\n-A PREROUTING -p tcp --dport 8001 -j DNAT --to-destination 10.10.10.112:80\n\
         -A PREROUTING -p tcp --dport 8002 -j DNAT --to-destination 10.10.10.113:80\n\
         -A POSTROUTING -p tcp -j SNAT --to-source 10.10.10.1\nCOMMIT\n",
    );
    for dst in [HOST, ip(1)] {
        host.drops(DropReason::OtherVlan, |host| {
            !segment(host, 11, gateway, ((111, 999), (dst, 8_001)), "S").is_empty()
        });
        assert_eq!(segment(&mut host, 11, gateway, ((111, 999), (dst, 8_002)), "S"), [13]);
    }
    // To an address of VLAN 20 past the gateway: what is translated is not sent where that address is at home.
    let station = raw(mac(77), Mac::BROADCAST, 0x88b5, &[0; 46]);
    host.open_port(14, RED);
    set(&mut host, 14, VlanMode::Access(10));
    sent(&mut host, 14, &station);
    for flags in ["S", "A"] {
        assert_eq!(segment(&mut host, 11, mac(77), ((111, 998), (ip(112), 80)), flags), [14]);
    }
}

#[test]
fn who_talks_in_translated_connections_behind_a_trunk_is_not_forgotten() {
    let mut host = translating();
    rules(&mut host, "*filter\n-A FORWARD -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n");
    host.open_port(14, RED);
    set(&mut host, 14, VlanMode::Trunk { tagged: [10].into_iter().collect(), native: None });
    let segment = |host: &mut Host, flags| {
        let frame = tcp((mac(200), mac(111)), (ip(200), 999), (ip(111), 80), flags, (1, 2));
        host.ports(PortId(14), &tagged(&frame, 10))
    };
    let answer = |host: &mut Host, flags| {
        host.ports(PortId(11), &tcp((mac(111), mac(200)), (ip(111), 80), (ip(200), 999), flags, (1, 2)))
    };
    assert_eq!(
        (segment(&mut host, "S"), answer(&mut host, "SA"), segment(&mut host, "A")),
        (vec![11], vec![14], vec![11])
    );
    for _ in 0..40 {
        host.later(Duration::from_secs(20));
        assert_eq!(segment(&mut host, "A"), [11]);
        host.switch.maintain(host.now);
    }
    let known = host.switch.fdb(host.now).into_iter().find(|row| row.mac == mac(200));
    assert_eq!(known.map(|row| row.vlan), Some(10));
    assert_eq!(answer(&mut host, "A"), [14]);
}

#[test]
fn vx_18_tunnels_carry_the_untagged_network_only() {
    let (mut one, mut two, _, b) = pair();
    for port in 3..=5 {
        one.open_port(port, RED);
    }
    set(&mut one, 3, VlanMode::Access(10));
    set(&mut one, 4, VlanMode::Trunk { tagged: [10].into_iter().collect(), native: Some(0) });
    let (frames, wire) = one.send(PortId(3), &to_all(33));
    assert_eq!((frames.len(), wire.len()), (1, 0), "the trunk");
    let (frames, wire) = one.send(PortId(4), &to_all(44));
    assert_eq!((frames.len(), wire.len()), (2, 1), "two plain ports and the tunnel");
    assert_eq!(two.receive(&wire[0]).0[0].0, b);
    let (frames, wire) = one.send(PortId(4), &tagged(&to_all(44), 10));
    assert_eq!((frames.len(), wire.len()), (1, 0));
    // What comes from there is in no VLAN.
    let (_, wire) = two.send(b, &raw(mac(3), Mac::BROADCAST, 0x88b5, &[0; 46]));
    let mut heard: Vec<u32> = one.receive(&wire[0]).0.iter().map(|(port, _)| port.0).collect();
    heard.sort_unstable();
    assert_eq!(heard, [1, 4, 5]);
}

/// What a port may see: the VLANs in which its frames may be, and whether their payload says so.
fn is_member(mode: &VlanMode, vlan: u16) -> bool {
    match mode {
        VlanMode::Plain => vlan == 0,
        VlanMode::Access(own) => *own == vlan,
        VlanMode::Trunk { tagged, native } => tagged.contains(vlan) || *native == Some(vlan),
    }
}

/// The VLAN that somebody behind a port puts a frame in by sending it with this tag.
fn entered(mode: &VlanMode, vid: u16) -> Option<u16> {
    match mode {
        VlanMode::Plain => Some(0),
        VlanMode::Access(own) => (vid == 0).then_some(*own),
        VlanMode::Trunk { native, .. } if vid == 0 || Some(vid) == *native => *native,
        VlanMode::Trunk { tagged, .. } => tagged.contains(vid).then_some(vid),
    }
}

fn mode() -> impl Strategy<Value = VlanMode> {
    let vlan = 1u16..5;
    prop_oneof![
        Just(VlanMode::Plain),
        vlan.clone().prop_map(VlanMode::Access),
        (proptest::collection::vec(vlan, 0..4), proptest::option::of(0u16..5))
            .prop_map(|(tagged, native)| VlanMode::Trunk { tagged: tagged.into_iter().collect(), native }),
    ]
}

/// A frame that somebody sends: from port, source, destination, tag and priority, a second tag, whether it is IP.
#[derive(Clone, Debug)]
struct Sent {
    port: usize,
    src: u8,
    to: To,
    tag: Option<(u16, bool)>,
    inner: u16,
    ip: bool,
}

/// Whom it is for.
#[derive(Clone, Debug)]
enum To {
    All,
    Station(u8),
    /// By way of the gateway.
    Gateway(u8),
}

fn frame() -> impl Strategy<Value = Sent> {
    let to = prop_oneof![Just(To::All), (1u8..9).prop_map(To::Station), (1u8..9).prop_map(To::Gateway)];
    let tag = proptest::option::of((0u16..6, any::<bool>()));
    (0usize..6, 1u8..9, to, tag, 0u16..6, any::<bool>()).prop_map(|(port, src, to, tag, inner, ip)| Sent {
        port,
        src,
        to,
        tag,
        inner,
        ip,
    })
}

/// The endpoint of a port has this number as its address.
const BESIDE: u8 = 100;

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let (src, gateway) = (BESIDE + self.src, mac(1));
        let (dst, target) = match self.to {
            To::All => (Mac::BROADCAST, 255),
            To::Station(number) => (mac(BESIDE + number), BESIDE + number),
            To::Gateway(number) => (gateway, BESIDE + number),
        };
        let mut frame = match self.ip {
            true => world::udp_between(mac(src), dst, ip(src), ip(target), 1000, 18),
            false => raw(mac(src), dst, 0x88b5, &[0; 46]),
        };
        if self.inner != 0 && self.tag.is_some() {
            frame = tagged(&frame, self.inner);
        }
        self.tag.map_or(frame.clone(), |(id, priority)| tagged(&frame, id | u16::from(priority) << 13))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever ports are and whatever frames they send, with up to two tags, by way of the gateway or not, with rules or
    /// without: what comes out by a port is in a VLAN of that port, the one that the frame came in by, and is read there as
    /// being in it.
    #[test]
    fn no_frame_leaves_its_vlan(
        modes in proptest::collection::vec(mode(), 2..7),
        frames in proptest::collection::vec(frame(), 1..80),
        change in (0usize..6, mode(), 0usize..80),
        judged: bool,
    ) {
        let (mut host, mut modes) = (Host::new(1), modes);
        host.gateways(RED, &["10.10.10.1/24"], false, false);
        if judged {
            // Some that translate, too.
            rules(
                &mut host,
                "*nat\n-A PREROUTING -d 10.10.10.103 -j DNAT --to-destination 10.10.10.102\n\
                 -A PREROUTING -d 10.10.10.108 -j DNAT --to-destination 10.10.10.101\n\
                 -A POSTROUTING -d 10.10.10.104 -j SNAT --to-source 10.10.10.1\nCOMMIT\n\
                 *filter\n:FORWARD ACCEPT\n-A FORWARD -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n",
            );
        }
        for (port, mode) in modes.iter().enumerate() {
            let (id, last) = (host.open_port(port as u32, RED), BESIDE + port as u8 + 1);
            set(&mut host, port as u32, mode.clone());
            let (addresses, place) = (vec![ip(last).into()], Place::Port(id));
            host.apply(Update::Endpoint { bridge: RED, mac: mac(last), addresses, place });
        }
        for (at, frame) in frames.into_iter().enumerate() {
            if at == change.2 && change.0 < modes.len() {
                modes[change.0] = change.1.clone();
                set(&mut host, change.0 as u32, change.1.clone());
            }
            let port = frame.port % modes.len();
            let from = entered(&modes[port], frame.tag.map_or(0, |(id, _)| id));
            let out = sent(&mut host, port as u32, &frame.bytes());
            // What comes back is the switch's own answer.
            for (out, bytes) in out.into_iter().filter(|(out, _)| *out != port as u32) {
                let mode = &modes[out as usize];
                prop_assert!(from.is_some_and(|vlan| is_member(mode, vlan)), "{from:?} came out of {mode:?}");
                // Whoever is behind the port reads the first tag that names a VLAN.
                let first = match bytes[12..14] == [0x81, 0] {
                    true => u16::from_be_bytes([bytes[14], bytes[15]]) & 0xfff,
                    false => 0,
                };
                let between_plain = *mode == VlanMode::Plain && modes[port] == VlanMode::Plain;
                prop_assert!(between_plain || entered(mode, first) == from, "{first} of {from:?} by {mode:?}");
                let second = bytes[12..14] == [0x81, 0] && bytes[16..18] == [0x81, 0];
                // To a plain port tags mean nothing.
                prop_assert!(*mode == VlanMode::Plain || first != 0 || !second, "a second tag behind a priority");
            }
        }
    }
}
