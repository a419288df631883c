//! What happens when tables are full, and what a million connections take.

use nat::{Reason, Settings, State};

use crate::packet::{ACK, FIN, SYN, segment, tcp, udp};
use crate::world::{BLUE, OUT, RED, World, plain};

fn small(connections: u32, per_zone: u32) -> World {
    World::with(Settings { connections, connections_per_zone: per_zone, ..Settings::RFC })
}

fn syn(n: u32) -> wire::Frame {
    let [_, a, b, c] = n.to_be_bytes();
    tcp(&format!("203.{a}.{b}.{c}:1000"), "10.0.0.2:80", segment(SYN, n, 0))
}

/// An assured connection of a network.
fn talk(world: &mut World, zone: nat::Zone, port: u16) -> nat::ConnId {
    let (a, b) = (format!("10.0.0.1:{port}"), "10.0.0.2:80");
    let hit = world.open(zone, &tcp(&a, b, segment(SYN, 10, 0)));
    world.known(zone, &tcp(b, &a, segment(SYN | ACK, 20, 11)));
    world.known(zone, &tcp(&a, b, segment(ACK, 11, 21)));
    hit.conn
}

#[test]
fn ct_06_a_flood_gives_up_its_own_and_never_assured_ones() {
    let mut world = small(1_000, 1_000);
    let mine: Vec<_> = (1..=100).map(|port| talk(&mut world, RED, port)).collect();
    for n in 0..20_000 {
        let fresh = world.fresh(OUT, &syn(n));
        world.commit(&fresh, &plain(BLUE)).expect("the oldest gives way");
        assert!(world.tracker.usage().connections <= 1_000);
    }
    assert!(mine.iter().all(|&conn| world.lives(conn)));
    assert_eq!(world.tracker.counters().given_up, 20_000 - 900);
    assert_eq!(world.tracker.zone_usage(BLUE), (900, 900), "the flooded network pays for it, not the outside");
    // A new connection of another network finds room: the flood makes it.
    talk(&mut world, RED, 101);
    assert_eq!(world.tracker.zone_usage(RED), (101, 0));
}

#[test]
fn a_busy_resolver_is_no_flood_of_syns() {
    let mut world = small(100, 100);
    for port in 1..=50 {
        world.open(RED, &udp(&format!("10.0.0.1:{port}"), "10.0.0.2:53", b"?"));
    }
    talk(&mut world, RED, 1);
    assert_eq!(world.tracker.half_open(), 0);
    for n in 0..3 {
        let fresh = world.fresh(OUT, &syn(n));
        world.commit(&fresh, &plain(BLUE)).unwrap();
    }
    assert_eq!((world.tracker.half_open(), world.tracker.usage().unassured), (3, 53));
    world.tracker.flush(&nat::Filter::default());
    assert_eq!((world.tracker.half_open(), world.tracker.usage().unassured), (0, 0));
}

#[test]
fn ct_06_when_all_are_assured_new_ones_are_refused_and_counted() {
    let mut world = small(50, 50);
    let mine: Vec<_> = (1..=50).map(|port| talk(&mut world, RED, port)).collect();
    let fresh = world.fresh(BLUE, &syn(1));
    assert_eq!(world.commit(&fresh, &plain(BLUE)), Err(Reason::TableFull));
    let fresh = world.fresh(RED, &syn(1));
    assert_eq!(world.commit(&fresh, &plain(RED)), Err(Reason::ZoneFull));
    assert_eq!((world.tracker.refused(Reason::TableFull), world.tracker.refused(Reason::ZoneFull)), (1, 1));
    assert!(mine.iter().all(|&conn| world.lives(conn)));
}

#[test]
fn ct_06_what_is_over_gives_way_and_what_lives_does_not() {
    let mut world = small(3, 3);
    let (one, two) = (talk(&mut world, RED, 1), talk(&mut world, RED, 2));
    let (a, b) = ("10.0.0.1:1", "10.0.0.2:80");
    world.known(RED, &tcp(a, b, segment(FIN | ACK, 11, 21)));
    world.known(RED, &tcp(b, a, segment(FIN | ACK, 21, 12)));
    world.known(RED, &tcp(a, b, segment(ACK, 12, 22)));
    let usage = world.tracker.usage();
    assert_eq!((usage.unassured, usage.closed), (1, 1));
    talk(&mut world, RED, 3);
    assert!(world.lives(one), "there was room");
    talk(&mut world, RED, 4);
    assert_eq!((world.lives(one), world.lives(two)), (false, true));
    assert_eq!((world.tracker.usage().unassured, world.tracker.usage().closed), (0, 0));
}

#[test]
fn cg_02_a_networks_limit_leaves_others_alone() {
    let mut world = small(1_000, 1_000);
    world.tracker.set_zone_limit(BLUE, Some(10));
    let red = world.open(RED, &udp("10.0.0.1:1", "10.0.0.2:53", b"q"));
    for n in 0..500 {
        let fresh = world.fresh(BLUE, &syn(n));
        world.commit(&fresh, &plain(BLUE)).unwrap();
    }
    assert_eq!(world.tracker.zone_usage(BLUE), (10, 10));
    assert_eq!((world.tracker.zone_usage(RED), world.lives(red.conn)), ((1, 1), true));
    world.tracker.set_zone_limit(BLUE, None);
    for n in 500..600 {
        let fresh = world.fresh(BLUE, &syn(n));
        world.commit(&fresh, &plain(BLUE)).unwrap();
    }
    assert_eq!(world.tracker.zone_usage(BLUE).0, 110);
}

#[test]
fn ct_06_the_oldest_goes_first() {
    let mut world = small(3, 3);
    let open = |world: &mut World, n| {
        let fresh = world.fresh(RED, &syn(n));
        world.commit(&fresh, &plain(RED)).unwrap().conn
    };
    let (one, two, three) = (open(&mut world, 1), open(&mut world, 2), open(&mut world, 3));
    open(&mut world, 4);
    assert_eq!([one, two, three].map(|conn| world.lives(conn)), [false, true, true]);
    open(&mut world, 5);
    assert_eq!([two, three].map(|conn| world.lives(conn)), [false, true]);
}

/// The promise of the memory: at most 256 bytes for each of a million connections, index included.
#[test]
fn a_million_connections_take_at_most_256_bytes_each() {
    let count: u32 = 1_000_000;
    let mut world = World::with(Settings { connections: count, connections_per_zone: count, ..Settings::RFC });
    let mut frame = udp("10.0.0.1:5000", "203.0.0.1:53", b"q");
    frame.offload = wire::Offload::VALID;
    let headers = crate::packet::parse(&frame);
    let to = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        nat::Rewrite { src: None, dst: Some(nat::End { ip: [198, a, b, c].into(), port: 53 }) }
    };
    let addresses = [crate::packet::ip("192.0.2.1")];
    let mapping = nat::Mapping::EndpointIndependent;
    let pool = nat::Pool { addresses: &addresses, ports: None, random: false, mapping };
    let source = nat::Source::Map(pool);
    let plan = nat::Plan { reply_zone: OUT, destination: nat::Destination::Keep, source };
    for n in 0..count {
        nat::translate(&mut frame, &headers, &to(n)).unwrap();
        let fresh = world.fresh(RED, &frame);
        world.tracker.commit(world.now, &fresh, &plan, &mut |_, _, _| true).unwrap();
    }
    let usage = world.tracker.usage();
    assert_eq!((usage.connections, usage.bindings), (count, 1));
    let each = usage.memory as f64 / f64::from(count);
    println!("{each:.1} bytes for each connection, peers for filtering included");
    assert!(each <= 256.0, "{each}");
    nat::translate(&mut frame, &headers, &to(77)).unwrap();
    assert_eq!(world.known(RED, &frame).state, State::New);
}
