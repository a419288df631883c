//! Datagrams in pieces follow their first one; what comes before it can be held back.

use std::time::Duration;

use nat::{Held, Reason, Settings, Tracked};
use wire::{Frame, Time};

use crate::packet::{ACK, SYN, Segment, echo, fragments, icmp, is_sound, parse, reassemble, segment, tcp, udp};
use crate::world::{BLUE, OUT, RED, World};

fn payload() -> Vec<u8> {
    (0..3000).map(|n| (n * 7) as u8).collect()
}

fn pairs() -> [(&'static str, &'static str, &'static str); 2] {
    [
        ("10.0.0.1:5000", "198.51.100.1:53", "192.0.2.1:5000"),
        ("[fd00::1]:5000", "[2001:db8:9::1]:53", "[2001:db8::1]:5000"),
    ]
}

/// The datagram that translated fragments make.
fn same(parts: &[Frame], wanted: &Frame) {
    let whole = reassemble(parts);
    assert!(is_sound(&whole));
    let l4 = usize::from(parse(wanted).l4);
    assert!(whole.bytes()[l4..] == wanted.bytes()[l4..]);
    assert_eq!((parse(&whole).key.src(), parse(&whole).key.dst()), (parse(wanted).key.src(), parse(wanted).key.dst()));
}

#[test]
fn nu_17_fragments_in_order_are_translated_both_ways() {
    for (inside, far, public) in pairs() {
        let mut world = World::new();
        let sent = fragments(&udp(inside, far, &payload()), 1208, 1);
        let left: Vec<Frame> = sent.iter().map(|part| world.egress(RED, part).unwrap()).collect();
        same(&left, &udp(public, far, &payload()));
        let came = fragments(&udp(far, public, &payload()), 1208, 2);
        let arrived: Vec<Frame> = came.iter().map(|part| world.ingress(part).expect("known")).collect();
        same(&arrived, &udp(far, inside, &payload()));
        assert_eq!(world.tracker.usage().connections, 1);
    }
}

/// NU-17: the engine holds back what comes too early, and offers it again behind the first.
#[test]
fn nu_17_fragments_in_any_order_get_through() {
    for (inside, far, public) in pairs() {
        for order in [[2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let mut world = World::new();
            let mut held: Held<Frame> = Held::new(64, 48, Duration::from_secs(2));
            let sent = fragments(&udp(inside, far, &payload()), 1208, 1);
            let mut left: Vec<(u32, Frame)> = Vec::new();
            let mut queue: Vec<Frame> = order.iter().rev().map(|&n| Frame::from_bytes(sent[n].bytes())).collect();
            while let Some(part) = queue.pop() {
                if let Tracked::Early(datagram) = world.track(RED, &part) {
                    held.hold(world.now, datagram, part).expect("room");
                    continue;
                }
                left.push((offset(&part), world.egress(RED, &part).unwrap()));
                if let Some(datagram) = world.tracker.datagram(RED, &part, &parse(&part)) {
                    held.release(&datagram, &mut queue);
                }
            }
            left.sort_by_key(|(offset, _)| *offset);
            let left: Vec<Frame> = left.into_iter().map(|(_, part)| part).collect();
            assert_eq!((left.len(), held.is_empty()), (3, true), "{order:?}");
            same(&left, &udp(public, far, &payload()));
        }
    }
}

fn offset(frame: &Frame) -> u32 {
    let at = if parse(frame).layer3 == wire::Layer3::Ipv4 { 20 } else { 56 };
    u32::from(u16::from_be_bytes([frame.bytes()[at], frame.bytes()[at + 1]]) & 0x1fff)
}

#[test]
fn ct_09_all_fragments_belong_to_one_connection_with_its_ports() {
    let mut world = World::new();
    let parts = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, 9);
    let first = world.open(RED, &parts[0]);
    assert_eq!(world.known(RED, &parts[1]).conn, first.conn);
    assert_eq!(world.known(RED, &parts[2]).conn, first.conn);
    assert_eq!(world.rows()[0].original.dst_port, 53);
    // Another datagram, another zone: not known.
    let others = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, 10);
    assert!(matches!(world.track(RED, &others[1]), Tracked::Early(_)));
    assert!(matches!(world.track(OUT, &parts[1]), Tracked::Early(_)));
    assert_eq!(world.tracker.counters().early_fragments, 2);
}

#[test]
fn large_pings_and_segments_in_pieces_pass_and_the_window_follows() {
    let mut world = World::new();
    let ping = icmp("10.0.0.1", "198.51.100.1", (8, 0), [0, 7, 0, 1], &payload());
    let left: Vec<Frame> = fragments(&ping, 1208, 1).iter().map(|part| world.egress(RED, part).unwrap()).collect();
    assert!(is_sound(&reassemble(&left)));
    let (a, b) = ("10.0.0.1:1000", "10.0.0.2:80");
    world.see(RED, &tcp(a, b, segment(SYN, 10, 0))).unwrap();
    world.see(RED, &tcp(b, a, Segment { window: 60_000, ..segment(SYN | ACK, 20, 11) })).unwrap();
    let data = payload();
    for part in fragments(&tcp(a, b, Segment { payload: &data, ..segment(ACK, 11, 21) }), 1208, 2) {
        assert!(world.see(RED, &part).is_some());
    }
    assert!(world.see(RED, &tcp(b, a, segment(ACK, 21, 11 + 3000))).is_some(), "all of it may be acknowledged");
    assert!(world.see(RED, &tcp(b, a, segment(ACK, 21, 11 + 3001))).is_none(), "and nothing more");
}

/// IP-13: neither a later fragment that reaches into the transport header (RFC 1858, RFC 3128) nor a second first one.
#[test]
fn ip_13_fragments_cannot_rewrite_the_ports() {
    let mut world = World::new();
    let (a, b) = ("10.0.0.1:1000", "10.0.0.2:80");
    let data = payload();
    let parts = fragments(&tcp(a, b, Segment { payload: &data, ..segment(SYN, 10, 0) }), 1208, 3);
    world.open(RED, &parts[0]);
    let mut overlapping = Frame::from_bytes(parts[1].bytes());
    overlapping.bytes_mut()[20..22].copy_from_slice(&0x2001u16.to_be_bytes());
    let sum = wire::checksum::ipv4_header(&overlapping.bytes()[14..34]);
    overlapping.bytes_mut()[24..26].copy_from_slice(&sum.to_be_bytes());
    assert!(matches!(world.track(RED, &overlapping), Tracked::Invalid(Reason::Fragment)));
    let second =
        fragments(&tcp("10.0.0.1:1000", "10.0.0.2:22", Segment { payload: &data, ..segment(SYN, 10, 0) }), 1208, 3);
    assert!(matches!(world.track(RED, &second[0]), Tracked::Invalid(Reason::Fragment)));
    assert!(matches!(world.track(RED, &parts[1]), Tracked::Early(_)), "the datagram is forgotten");
}

/// IPv6 may fragment headers before the transport's as well: they count for what a later fragment may not reach.
#[test]
fn ip_13_more_headers_before_the_transports_count() {
    let mut world = World::new();
    let plain = udp("[fd00::1]:5000", "[fd00::2]:53", &payload());
    let mut bytes = plain.bytes().to_vec();
    let next = std::mem::replace(&mut bytes[20], 60);
    bytes.splice(54..54, [next, 0, 1, 4, 0, 0, 0, 0]);
    let len = u16::from_be_bytes([bytes[18], bytes[19]]) + 8;
    bytes[18..20].copy_from_slice(&len.to_be_bytes());
    // Fragments of what follows the fixed header: cut as if the options were the transport.
    let parts: Vec<Frame> = (0..2)
        .map(|index| {
            let mut out = bytes[..54].to_vec();
            out[20] = 44;
            let part = if index == 0 { &bytes[54..1254] } else { &bytes[1254..] };
            out[18..20].copy_from_slice(&((part.len() + 8) as u16).to_be_bytes());
            out.extend([60, 0]);
            out.extend(if index == 0 { 1u16 } else { 1200 }.to_be_bytes());
            out.extend([0, 0, 0, 9]);
            out.extend(part);
            Frame::from_bytes(&out)
        })
        .collect();
    let first = world.open(RED, &parts[0]);
    assert_eq!(world.rows()[0].original.dst_port, 53);
    assert_eq!(world.known(RED, &parts[1]).conn, first.conn, "though its next header says something else");
    let mut overlapping = Frame::from_bytes(parts[1].bytes());
    overlapping.bytes_mut()[56..58].copy_from_slice(&8u16.to_be_bytes());
    assert!(matches!(world.track(RED, &overlapping), Tracked::Invalid(Reason::Fragment)));
}

#[test]
fn a_later_fragment_whose_connection_was_refused_is_invalid() {
    let mut world = World::new();
    let parts = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, 9);
    world.fresh(RED, &parts[0]);
    assert!(matches!(world.track(RED, &parts[1]), Tracked::Invalid(Reason::FragmentOrphan)));
}

#[test]
fn nu_18_a_flood_of_fragments_stops_nothing_else() {
    let mut world = World::with(Settings { datagrams: 100, ..Settings::RFC });
    let whole = udp("10.0.0.1:5000", "10.0.0.2:53", b"q");
    world.open(RED, &whole);
    for id in 0..1000 {
        let parts = fragments(&udp("10.0.0.9:5000", "10.0.0.2:53", &payload()), 1208, id);
        world.see(RED, &parts[0]);
        world.track(RED, &parts[2]);
        assert!(world.tracker.usage().datagrams <= 100);
        if id % 100 == 0 {
            world.known(RED, &whole);
            let mine = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, id);
            assert!(mine.iter().all(|part| world.see(RED, part).is_some()), "in order, in the flood");
        }
    }
    world.wait(31);
    world.tracker.expire(world.now, 10_000);
    assert_eq!(world.tracker.usage().datagrams, 0);
}

#[test]
fn ip_14_pieces_are_remembered_for_a_bounded_time() {
    let mut world = World::new();
    let parts = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, 9);
    world.open(RED, &parts[0]);
    world.wait(30);
    world.known(RED, &parts[1]);
    world.wait(1);
    assert!(matches!(world.track(RED, &parts[2]), Tracked::Early(_)));
}

#[test]
fn what_is_held_back_is_bounded_and_comes_out_again() {
    let mut world = World::new();
    let mut datagram = |id| {
        let parts = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, id);
        match world.track(RED, &parts[1]) {
            Tracked::Early(datagram) => datagram,
            other => panic!("{other:?}"),
        }
    };
    let (one, two) = (datagram(1), datagram(2));
    let mut held: Held<u32> = Held::new(4, 3, Duration::from_secs(2));
    let at = Time::from_secs;
    assert_eq!((1..=3).filter(|&n| held.hold(at(0), one, n).is_ok()).count(), 3);
    assert_eq!(held.hold(at(0), one, 4), Err(4), "enough of one datagram");
    assert_eq!(held.hold(at(1), two, 5), Ok(()));
    assert_eq!(held.hold(at(1), two, 6), Err(6), "full");
    let parts = fragments(&udp("10.0.0.1:5000", "10.0.0.2:53", &payload()), 1208, 1);
    let Tracked::Early(elsewhere) = world.track(BLUE, &parts[1]) else { panic!("no first one came") };
    assert_eq!(held.hold(at(1), elsewhere, 7), Err(5), "who has most makes room");
    let mut out = Vec::new();
    held.release(&elsewhere, &mut out);
    assert_eq!((out.pop(), held.hold(at(1), two, 5)), (Some(7), Ok(())));
    held.release(&one, &mut out);
    assert_eq!((out, held.len()), (vec![1, 2, 3], 1));
    assert_eq!(held.expire(at(2)), None);
    assert_eq!((held.expire(at(3)), held.is_empty()), (Some(5), true));
    let unfragmented = echo("10.0.0.1", "10.0.0.2", 1, false);
    assert_eq!(world.tracker.datagram(RED, &unfragmented, &parse(&unfragmented)), None);
}
