//! What rules see of packets: NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED; and zones.

use nat::{Advance, Direction, Filter, Reason, Settings, State, Tracked};
use wire::{Frame, Offload};

use crate::packet::{ACK, FIN, RST, SYN, URG, echo, icmp, is_sound, other, parse, segment, tcp, time_exceeded, udp};
use crate::world::{BLUE, RED, World, plain};

const A: &str = "10.0.0.1:1000";
const B: &str = "10.0.0.2:53";

#[test]
fn ct_03_new_until_an_answer_then_established_both_ways() {
    for (a, b) in [(A, B), ("[fd00::1]:1000", "[fd00::2]:53")] {
        let mut world = World::new();
        let (ask, answer) = (udp(a, b, b"q"), udp(b, a, b"a"));
        assert_eq!(world.see(RED, &ask), Some((State::New, Direction::Original)));
        assert_eq!(world.see(RED, &ask), Some((State::New, Direction::Original)));
        assert_eq!(world.see(RED, &answer), Some((State::Established, Direction::Reply)));
        assert_eq!(world.see(RED, &ask), Some((State::Established, Direction::Original)));
        let rows = world.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].original.traffic.frames, rows[0].reply.traffic.frames), (3, 1));
        assert_eq!(rows[0].original.traffic.bytes, 3 * ask.len() as u64);
    }
}

#[test]
fn ct_03_other_protocols_are_tracked_by_address() {
    let mut world = World::new();
    assert_eq!(world.see(RED, &other("10.0.0.1", "10.0.0.2", 47, b"gre")), Some((State::New, Direction::Original)));
    let back = other("10.0.0.2", "10.0.0.1", 47, b"gre");
    assert_eq!(world.see(RED, &back), Some((State::Established, Direction::Reply)));
    assert!(matches!(world.track(RED, &other("10.0.0.2", "10.0.0.1", 50, b"esp")), Tracked::New(_)));
}

#[test]
fn ct_03_invalid_by_checksum_unless_somebody_vouches() {
    let mut world = World::new();
    let mut frame = udp(A, B, b"abc");
    let last = frame.len() - 1;
    frame.bytes_mut()[last] ^= 1;
    assert!(matches!(world.track(RED, &frame), Tracked::Invalid(Reason::Checksum)));
    assert_eq!(world.tracker.refused(Reason::Checksum), 1);
    frame.offload = Offload::VALID;
    assert!(matches!(world.track(RED, &frame), Tracked::New(_)), "a device has verified it");
    frame.offload = Offload::NONE;
    let mut lenient = World::with(Settings { verify_checksums: false, ..Settings::RFC });
    assert!(matches!(lenient.track(RED, &frame), Tracked::New(_)));
}

#[test]
fn ip_02_invalid_by_header_checksum() {
    let mut world = World::new();
    let mut frame = udp(A, B, b"abc");
    frame.bytes_mut()[22] ^= 1;
    frame.offload = Offload::VALID;
    assert!(matches!(world.track(RED, &frame), Tracked::Invalid(Reason::HeaderChecksum)));
}

#[test]
fn ct_03_invalid_by_flags_and_by_segments_that_begin_nothing() {
    let mut world = World::new();
    for flags in [0, FIN, SYN | FIN, SYN | RST, SYN | ACK | URG, RST | URG, FIN | SYN | ACK | RST | URG] {
        let frame = tcp(A, B, segment(flags, 1, 1));
        assert!(matches!(world.track(RED, &frame), Tracked::Invalid(Reason::TcpFlags)), "{flags:#x}");
    }
    for flags in [SYN | ACK, RST, RST | ACK, FIN | ACK] {
        let frame = tcp(A, B, segment(flags, 1, 1));
        assert!(matches!(world.track(RED, &frame), Tracked::Invalid(Reason::TcpState)), "{flags:#x}");
    }
    assert_eq!(world.tracker.usage().connections, 0);
}

#[test]
fn ct_03_untracked_is_talk_on_one_link() {
    let mut world = World::new();
    for kind in [133, 134, 135, 136, 143] {
        let frame = icmp("fe80::1", "ff02::1", (kind, 0), [0; 4], &[0; 16]);
        assert!(matches!(world.track(RED, &frame), Tracked::Untracked), "{kind}");
    }
    let arp = Frame::from_bytes(&[&[0xff; 12][..], &[8, 6], &[0; 28]].concat());
    assert!(matches!(world.track(RED, &arp), Tracked::Untracked));
}

#[test]
fn ct_03_a_mapped_address_on_the_wire_is_invalid() {
    let mut world = World::new();
    let frame = udp("[::ffff:10.0.0.1]:1", "[fd00::2]:53", b"abc");
    assert!(matches!(world.track(RED, &frame), Tracked::Invalid(Reason::Address)));
}

/// IP-19 and CT-03: RELATED needs a connection of that zone, and an error that goes to the sender of what it quotes.
#[test]
fn ip_19_errors_about_connections_are_related_and_forged_ones_are_invalid() {
    for (a, b, host, router) in
        [(A, B, "10.0.0.1", "10.0.0.254"), ("[fd00::1]:1000", "[fd00::2]:53", "fd00::1", "fd00::ff")]
    {
        let mut world = World::new();
        let sent = udp(a, b, b"abc");
        let forged = time_exceeded(router, host, &sent);
        assert!(matches!(world.track(RED, &forged), Tracked::Invalid(Reason::IcmpUnrelated)));
        let hit = world.open(RED, &sent);
        match world.track(RED, &forged) {
            Tracked::Related(related) => {
                assert_eq!((related.conn, related.direction), (hit.conn, Direction::Reply));
                let passed = world.apply_error(related, &forged);
                assert_eq!(passed.bytes(), forged.bytes(), "nothing was translated");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(world.track(BLUE, &forged), Tracked::Invalid(Reason::IcmpUnrelated)), "another zone");
        let (other_host, about) = if host.contains(':') { ("fd00::9", &sent) } else { ("10.0.0.9", &sent) };
        let astray = time_exceeded(router, other_host, about);
        assert!(matches!(world.track(RED, &astray), Tracked::Invalid(Reason::IcmpUnrelated)), "to a third host");
    }
}

#[test]
fn ct_03_answers_without_a_question_and_odd_types_are_invalid() {
    let mut world = World::new();
    for answer in [echo("10.0.0.1", "10.0.0.2", 8, true), echo("fd00::1", "fd00::2", 128, true)] {
        assert!(matches!(world.track(RED, &answer), Tracked::Invalid(Reason::IcmpAnswer)));
    }
    let quench = icmp("10.0.0.1", "10.0.0.2", (4, 0), [0; 4], &[0; 28]);
    assert!(matches!(world.track(RED, &quench), Tracked::Invalid(Reason::IcmpType)), "RFC 6633");
}

#[test]
fn ct_07_zones_never_share_state() {
    let mut world = World::new();
    let (ask, answer) = (udp(A, B, b"q"), udp(B, A, b"a"));
    let red = world.open(RED, &ask);
    let blue = world.open(BLUE, &ask);
    assert_ne!(red.conn, blue.conn);
    assert_eq!(world.see(RED, &answer), Some((State::Established, Direction::Reply)));
    assert_eq!(world.known(BLUE, &ask).state, State::New, "the answer in the other network is none here");
    let filter = Filter { zone: Some(RED), ..Filter::default() };
    assert_eq!(world.tracker.flush(&filter), 1);
    assert!(!world.lives(red.conn) && world.lives(blue.conn));
}

#[test]
fn ct_08_two_first_packets_make_one_connection() {
    let mut world = World::new();
    let (there, back) = (udp(A, B, b"1"), udp(B, A, b"2"));
    let (one, two, three) = (world.fresh(RED, &there), world.fresh(RED, &there), world.fresh(RED, &back));
    let first = world.commit(&one, &plain(RED)).unwrap();
    let second = world.commit(&two, &plain(RED)).unwrap();
    assert_eq!((second.conn, second.direction), (first.conn, Direction::Original));
    let third = world.commit(&three, &plain(RED)).unwrap();
    assert_eq!((third.conn, third.direction, third.state), (first.conn, Direction::Reply, State::Established));
    assert_eq!((world.tracker.usage().connections, world.tracker.counters().merged), (1, 2));
}

#[test]
fn a_cached_flow_advances_without_a_look_up_and_learns_when_its_connection_is_gone() {
    let mut world = World::new();
    let (ask, answer) = (udp(A, B, b"q"), udp(B, A, b"a"));
    let hit = world.open(RED, &ask);
    let advance = |world: &mut World, direction, frame: &Frame| {
        world.tracker.advance(world.now, hit.conn, direction, frame, &parse(frame))
    };
    assert_eq!(advance(&mut world, Direction::Original, &ask), Advance::Pass(State::New));
    assert_eq!(advance(&mut world, Direction::Reply, &answer), Advance::Pass(State::Established));
    world.wait(301);
    assert_eq!(advance(&mut world, Direction::Original, &ask), Advance::Again, "idle for too long");
    world.sweep();
    let next = world.open(RED, &ask);
    assert_ne!(next.conn, hit.conn);
    assert_eq!(advance(&mut world, Direction::Original, &ask), Advance::Again, "an old number names no new connection");
}

#[test]
fn a_mark_stays_with_its_connection() {
    let mut world = World::new();
    let ask = udp(A, B, b"q");
    let hit = world.open(RED, &ask);
    assert_eq!(world.tracker.mark(hit.conn), Some(0));
    assert!(world.tracker.set_mark(hit.conn, 42));
    assert_eq!((world.tracker.mark(hit.conn), world.rows()[0].mark), (Some(42), 42));
    assert_eq!(world.tracker.flush(&Filter { mark: Some(42), ..Filter::default() }), 1);
    assert!(!world.tracker.set_mark(hit.conn, 1) && is_sound(&ask));
}

#[test]
fn rows_come_in_pages() {
    let mut world = World::new();
    for port in 1..=2500 {
        world.open(RED, &udp(&format!("10.0.0.1:{port}"), B, b"q"));
    }
    let (mut from, mut seen) = (Some(0), 0);
    while let Some(at) = from {
        let page = world.tracker.dump(world.now, &Filter::default(), at, 1000);
        seen += page.rows.len();
        from = page.next;
    }
    assert_eq!(seen, 2500);
    let one = Filter { port: Some(77), protocol: Some(17), ..Filter::default() };
    assert_eq!(world.tracker.dump(world.now, &one, 0, usize::MAX).rows.len(), 1);
    let (mut from, mut gone) = (Some(0), 0);
    let mine = Filter { src: Some("10.0.0.0/24".parse().unwrap()), ..Filter::default() };
    while let Some(at) = from {
        let (removed, next) = world.tracker.flush_some(&mine, at, 1000);
        (gone, from) = (gone + removed, next);
    }
    assert_eq!((gone, world.tracker.usage().connections), (2500, 0));
}

#[test]
fn a_message_too_short_for_its_header_is_invalid() {
    let mut world = World::new();
    let short = other("10.0.0.1", "10.0.0.2", 1, &[8, 0, 0xf7, 0xff]);
    assert!(matches!(world.track(RED, &short), Tracked::Invalid(Reason::Short)));
}

/// What steers packets here learns what ended: by expiry, by flushing, and by making room.
#[test]
fn the_ends_of_connections_to_the_outside_are_reported() {
    let mut world = World::with(Settings { report_gone: true, connections: 3, ..Settings::RFC });
    let mut gone = Vec::new();
    let answers: Vec<_> = (1..=3)
        .map(|n| {
            let frame = udp(&format!("10.0.0.1:{}", 5000 + n), "198.51.100.1:53", b"q");
            world.egress(RED, &frame).unwrap();
            let hit = world.known(RED, &frame);
            world.tracker.tuple(hit.conn, Direction::Reply).unwrap()
        })
        .collect();
    assert!(world.tracker.take_gone(&mut gone) && gone.is_empty());
    world.open(RED, &udp(A, B, b"inside"));
    assert!(world.tracker.take_gone(&mut gone));
    assert_eq!(gone, answers[..1], "given up for another");
    world.tracker.flush(&Filter { port: Some(5002), ..Filter::default() });
    world.wait(301);
    world.sweep();
    assert!(world.tracker.take_gone(&mut gone));
    assert_eq!(gone, answers, "and not what stayed inside");
}

#[test]
fn warming_changes_nothing_whatever_is_in_the_batch() {
    let mut world = World::new();
    let mut frames: Vec<Frame> = (1..=150).map(|n| udp(&format!("10.0.0.1:{n}"), B, b"q")).collect();
    let ids: Vec<_> = frames.iter().take(100).map(|frame| world.open(RED, frame).conn).collect();
    frames.push(echo("10.0.0.1", "10.0.0.2", 7, false));
    frames.push(Frame::from_bytes(&[&[0xff; 12][..], &[8, 6], &[0; 28]].concat()));
    frames.push(udp("[::ffff:10.0.0.1]:1", "[fd00::2]:53", b"abc"));
    frames.extend(crate::packet::fragments(&udp(A, B, &[7; 3000]), 1208, 1));
    let headers: Vec<_> = frames.iter().map(parse).collect();
    let before = world.rows();
    world.tracker.warm(headers.iter().map(|headers| (RED, headers)));
    world.tracker.warm(std::iter::empty());
    world.tracker.flush(&Filter { port: Some(3), ..Filter::default() });
    world.tracker.warm_known(ids.iter().copied());
    let after = world.rows();
    assert_eq!((before.len(), after.len()), (100, 99));
    assert!(after.iter().all(|row| before.contains(row)));
}
