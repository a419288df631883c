//! ICMP through a translator: queries by identifier, errors with what they quote.

use nat::{Reason, Tracked};
use wire::Frame;

use crate::packet::{echo, icmp, is_sound, parse, quote, time_exceeded, udp};
use crate::world::{BLUE, RED, World, source};

fn identifier(frame: &Frame) -> u16 {
    let l4 = usize::from(parse(frame).l4);
    u16::from_be_bytes([frame.bytes()[l4 + 4], frame.bytes()[l4 + 5]])
}

#[test]
fn ni_01_the_identifier_is_translated_alike_for_all_destinations() {
    for (host, other, far, farther, public) in [
        ("10.0.0.1", "10.0.0.2", "198.51.100.1", "198.51.100.2", "192.0.2.1"),
        ("fd00::1", "fd00::2", "2001:db8:9::1", "2001:db8:9::2", "2001:db8::1"),
    ] {
        let mut world = World::new();
        let one = world.egress(RED, &echo(host, far, 7, false)).unwrap();
        let two = world.egress(RED, &echo(host, farther, 7, false)).unwrap();
        assert_eq!((identifier(&one), identifier(&two)), (7, 7), "kept, it was free");
        let third = world.egress(RED, &echo(other, far, 7, false)).unwrap();
        assert_ne!(identifier(&third), 7, "that is another's");
        assert_eq!(identifier(&world.egress(RED, &echo(other, farther, 7, false)).unwrap()), identifier(&third));
        let back = world.ingress(&echo(far, public, identifier(&third), true)).unwrap();
        assert_eq!(back.bytes(), echo(far, other, 7, true).bytes());
        let back = world.ingress(&echo(far, public, 7, true)).unwrap();
        assert_eq!(back.bytes(), echo(far, host, 7, true).bytes());
        assert!(world.ingress(&echo(far, public, 9, true)).is_none(), "nobody asked");
    }
}

#[test]
fn ni_01_timestamp_queries_are_told_from_echo() {
    let mut world = World::new();
    let ask = |kind, id: [u8; 2]| icmp("10.0.0.1", "198.51.100.1", (kind, 0), [id[0], id[1], 0, 1], &[0; 12]);
    let answer = |kind| icmp("198.51.100.1", "192.0.2.1", (kind, 0), [0, 7, 0, 1], &[0; 12]);
    world.egress(RED, &ask(13, [0, 7])).unwrap();
    assert!(world.ingress(&answer(0)).is_none(), "no echo was asked for");
    assert!(world.ingress(&answer(14)).is_some());
}

/// NI-04, NU-15, NT-10: from a router on the way, whatever its address, and with the quotation turned back.
#[test]
fn ni_04_errors_from_outside_reach_the_sender_with_what_it_sent() {
    for (inside, far, router, public, host) in [
        ("10.0.0.1:5000", "198.51.100.1:53", "203.0.113.9", "192.0.2.1", "10.0.0.1"),
        ("[fd00::1]:5000", "[2001:db8:9::1]:53", "2001:db8:77::9", "2001:db8::1", "fd00::1"),
    ] {
        let mut world = World::new();
        world.held = vec![5000];
        let sent = udp(inside, far, b"abc");
        let left = world.egress(RED, &sent).unwrap();
        assert_ne!(parse(&left).key.src_port(), 5000);
        let arrived = world.ingress(&time_exceeded(router, public, &left)).expect("related");
        assert_eq!(arrived.bytes(), time_exceeded(router, host, &sent).bytes());
        let unknown = udp(&source(&left), &far.replace(":53", ":99").replace("]:53", "]:99"), b"x");
        assert!(world.ingress(&time_exceeded(router, public, &unknown)).is_none(), "no such connection");
    }
}

#[test]
fn ni_05_errors_from_inside_leave_with_the_public_address() {
    let mut world = World::new();
    let sent = udp("10.0.0.1:5000", "198.51.100.1:53", b"q");
    world.egress(RED, &sent).unwrap();
    let answer = udp("198.51.100.1:53", "192.0.2.1:5000", b"a");
    let arrived = world.ingress(&answer).unwrap();
    for sender in ["10.0.0.1", "10.0.0.254"] {
        let error = icmp(sender, "198.51.100.1", (3, 3), [0; 4], &quote(&arrived, 28));
        let left = world.egress(RED, &error).unwrap();
        assert_eq!(left.bytes(), icmp("192.0.2.1", "198.51.100.1", (3, 3), [0; 4], &quote(&answer, 28)).bytes());
    }
}

#[test]
fn ni_06_errors_neither_refresh_nor_end_a_query() {
    let mut world = World::new();
    let ping = echo("10.0.0.1", "198.51.100.1", 7, false);
    let left = world.egress(RED, &ping).unwrap();
    world.wait(59);
    let error = time_exceeded("203.0.113.9", "192.0.2.1", &left);
    assert!(world.ingress(&error).is_some());
    assert_eq!((world.rows().len(), world.rows()[0].timeout), (1, 1));
    world.wait(2);
    assert!(world.ingress(&error).is_none(), "it was not kept alive");
}

#[test]
fn ni_03_errors_with_bad_checksums_are_dropped() {
    let mut world = World::new();
    let left = world.egress(RED, &udp("10.0.0.1:5000", "198.51.100.1:53", b"q")).unwrap();
    let mut error = time_exceeded("203.0.113.9", "192.0.2.1", &left);
    error.bytes_mut()[36] ^= 1;
    assert!(matches!(world.track(nat::Zone::OUTSIDE, &error), Tracked::Invalid(Reason::Checksum)));
    let mut quoted = quote(&left, 28);
    quoted[8] ^= 1;
    let error = icmp("203.0.113.9", "192.0.2.1", (11, 0), [0; 4], &quoted);
    assert!(matches!(world.track(nat::Zone::OUTSIDE, &error), Tracked::Invalid(Reason::IcmpQuotation)));
}

/// NI-07: an error about a packet that went from one container to another by its public endpoint.
#[test]
fn ni_07_errors_and_queries_traverse_the_hairpin() {
    let mut world = World::new();
    world.held = vec![6000];
    // Each has sent to the other's public endpoint, as peers behind one translator do.
    let b_public = source(&world.egress(BLUE, &udp("10.0.0.2:6000", "192.0.2.1:5000", b"hello")).unwrap());
    let to_b = udp("10.0.0.1:5000", &b_public, b"hi");
    let at_b = world.hairpin(RED, &to_b).expect("B has sent there");
    assert_eq!(at_b.bytes(), udp("192.0.2.1:5000", "10.0.0.2:6000", b"hi").bytes());
    let error = icmp("10.0.0.2", "192.0.2.1", (3, 3), [0; 4], &quote(&at_b, 28));
    let at_a = world.hairpin(BLUE, &error).expect("related, twice");
    assert_eq!(at_a.bytes(), icmp("192.0.2.1", "10.0.0.1", (3, 3), [0; 4], &quote(&to_b, 28)).bytes());
    assert!(is_sound(&at_a));
}
