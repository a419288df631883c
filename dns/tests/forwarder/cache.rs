//! What is kept, for how long, for whom; and questions that are the same.

use simple_dns::{RCODE, TYPE};

use dns::forward::Source;

use crate::world::{Server, World, address, millis, query};

const GOOD: Server = Server::Knows { ttl: 60, after: 20 };

#[test]
fn an_answer_is_kept_and_counts_down() {
    let mut world = World::new(&[GOOD]);
    world.ask("Web.Example");
    world.pass(millis(30_500));
    let (time, got) = world.ask("wEB.example");
    assert_eq!((time, got.source), (millis(0), Source::Cache));
    assert_eq!(got.record().1, 30);
    assert_eq!(&got.message[13..16], b"wEB", "in the client's letters");
    assert_eq!(got.message[2] & 4, 0, "no authority");
    assert_ne!(got.message[3] & 0x80, 0, "recursion is available");
    world.pass(millis(30_000));
    assert_eq!(world.ask("web.example").1.source, Source::Upstream(address(1)));
    assert_eq!(world.forwarder.flush(), 1);
    assert_eq!(world.ask("web.example").1.source, Source::Upstream(address(1)));
}

#[test]
fn what_is_not_there_is_kept_as_long_as_its_zone_says() {
    for (soa, life) in [(Some((300, 40)), 40), (Some((30, 600)), 30), (Some((1 << 31, 60)), 0), (None, 0)] {
        let mut world = World::new(&[Server::Nothing { soa }]);
        assert_eq!(world.ask("a.b.example").1.rcode(), 3);
        world.pass(millis(u64::max(life, 1) * 1_000 - 500));
        let cached = world.ask("a.b.example").1.source == Source::Cache;
        assert_eq!(cached, life > 0, "{soa:?}");
        world.pass(millis(1_000));
        assert_eq!(world.ask("a.b.example").1.source, Source::Upstream(address(1)), "{soa:?}");
    }
    // A container may get a name of one label, or of two with its network's, at any moment.
    for name in ["a", "a.red"] {
        let mut world = World::new(&[Server::Nothing { soa: Some((300, 300)) }]);
        world.ask(name);
        world.pass(millis(5_000));
        assert_eq!(world.ask(name).1.source, Source::Upstream(address(1)), "{name}");
    }
    let mut world = World::new(&[Server::Says(RCODE::NoError)]);
    world.ask("a");
    assert_eq!(world.forwarder.cached().0, 0, "nothing of that type, and nobody says for how long");
}

#[test]
fn no_life_is_no_place_and_a_day_is_the_longest() {
    for ttl in [0, 1 << 31, u32::MAX] {
        let mut world = World::new(&[Server::Knows { ttl, after: 1 }]);
        world.ask("a");
        assert_eq!(world.forwarder.cached().0, 0, "{ttl}");
    }
    let mut world = World::new(&[Server::Knows { ttl: 1_000_000, after: 1 }]);
    world.ask("a");
    world.pass(millis(86_400_000));
    assert_eq!(world.ask("a").1.source, Source::Upstream(address(1)));
}

#[test]
fn equal_questions_are_asked_once_and_each_gets_its_own_answer() {
    let mut world = World::new(&[GOOD]);
    for client in 0..50_u16 {
        let name = if client % 2 == 0 { "web.example" } else { "WEB.example" };
        world.send(client.into(), &query(name, TYPE::A, client));
    }
    world.pass(millis(20));
    assert_eq!((world.sent.len(), world.got.len()), (1, 50));
    for got in &world.got {
        assert_eq!(u32::from(got.message[1]), got.client);
        assert_eq!(got.message[13].is_ascii_uppercase(), got.client % 2 == 1);
    }
    assert_eq!(world.forwarder.counters().joined, 49);
}

#[test]
fn what_is_asked_in_another_way_is_another_question() {
    let mut world = World::new(&[GOOD]);
    let plain = query("a", TYPE::A, 1);
    let flagged = |at: usize, bit: u8| {
        let mut query = plain.clone();
        query[at] ^= bit;
        query
    };
    let edns = |flags: u8| [&plain[..11], &[1], &plain[12..], &[0, 0, 41, 4, 208, 0, 0, flags, 0, 0, 0]].concat();
    let ways = [plain.clone(), query("a", TYPE::AAAA, 1), flagged(2, 1), flagged(3, 0x10), edns(0), edns(0x80)];
    for (client, way) in ways.iter().enumerate() {
        world.send(client as u32, way);
    }
    assert_eq!(world.sent.len(), ways.len());
    // But not with another identifier, or with options that nobody but the client understands.
    world.send(9, &flagged(1, 8));
    let cookie = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    world.send(9, &[&plain[..11], &[1], &plain[12..], &cookie].concat());
    assert_eq!(world.sent.len(), ways.len());
}

#[test]
fn other_servers_other_answers() {
    let mut world = World::new(&[GOOD, Server::Nothing { soa: None }]);
    world.ask("a");
    world.forwarder.set_upstreams(&[address(1), address(2)]);
    assert_eq!(world.ask("a").1.source, Source::Cache, "the same ones");
    world.forwarder.set_upstreams(&[address(2)]);
    assert_eq!(world.ask("a").1.rcode(), 3);
    // What comes from the old one after the change is passed on, and not kept.
    world.forwarder.set_upstreams(&[address(1)]);
    world.send(1, &query("late.example", TYPE::A, 1));
    world.forwarder.set_upstreams(&[address(2)]);
    world.pass(millis(100));
    assert_eq!(world.got.last().unwrap().rcode(), 0);
    assert_eq!(world.ask("late.example").1.rcode(), 3);
}
