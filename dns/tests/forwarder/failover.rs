//! Several servers: who is asked when, what a silent one costs, and how one comes back.

use simple_dns::{RCODE, TYPE};

use dns::forward::Source;

use crate::world::{Server, World, address, millis, query};

const GOOD: Server = Server::Knows { ttl: 60, after: 20 };

#[test]
fn the_first_is_asked_alone_while_it_answers() {
    let mut world = World::new(&[GOOD, GOOD]);
    let (time, got) = world.ask("a.example");
    assert_eq!((time, got.rcode(), got.source), (millis(20), 0, Source::Upstream(address(1))));
    assert_eq!(got.record(), (u32::from_be_bytes([10, 0, 0, b'e']), 60));
    assert_eq!((world.sent.len(), world.open.len()), (1, 0));
}

#[test]
fn a_silent_one_costs_a_moment_once() {
    let mut world = World::new(&[Server::Silent, GOOD]);
    assert_eq!(world.ask("a").0, millis(620));
    assert!(world.changed.is_empty(), "one loss is none");
    for name in ["b", "c", "d"] {
        assert_eq!(world.ask(name).0, millis(20), "{name}");
        world.pass(millis(1_000));
    }
    assert_eq!(world.changed, [(address(1), true)]);
    assert!(world.forwarder.upstreams()[0].down && !world.forwarder.upstreams()[1].down);
    // Probed at growing intervals meanwhile: after 1, 2, 4, 8, 16 s and then every 30.
    let before = world.forwarder.upstreams()[0].asked;
    world.pass(millis(600_000));
    let probes = world.forwarder.upstreams()[0].asked - before;
    assert!((15..30).contains(&probes), "{probes}");
    world.servers.insert(address(1), GOOD);
    world.pass(millis(35_000));
    assert_eq!(world.changed, [(address(1), true), (address(1), false)]);
    let (_, got) = world.ask("e");
    assert_eq!(got.source, Source::Upstream(address(1)), "first again");
    world.pass(millis(5_000));
    assert!(world.open.is_empty() && world.forwarder.next_deadline().is_none(), "nothing goes on without need");
}

#[test]
fn one_that_is_not_there_costs_nothing() {
    let mut world = World::new(&[Server::Absent, Server::Absent, GOOD]);
    assert_eq!(world.ask("a").0, millis(22));
    assert_eq!(world.ask("b").0, millis(20));
}

#[test]
fn one_that_could_not_be_asked_for_want_of_sockets_is_not_blamed() {
    let mut world = World::new(&[Server::Unasked, Server::Unasked]);
    let (time, got) = world.ask("a");
    assert_eq!((time, got.rcode(), got.source), (millis(0), 2, Source::Nobody));
    world.pass(millis(10_000));
    assert!(world.changed.is_empty() && world.forwarder.upstreams().iter().all(|one| one.silent == 0 && !one.down));
    world.servers.insert(address(1), GOOD);
    assert_eq!(world.ask("a").1.source, Source::Upstream(address(1)));
    // One that was silent is not called down before a probe went out.
    let mut world = World::new(&[Server::Silent, GOOD]);
    world.send(1, &query("b", TYPE::A, 1));
    world.servers.insert(address(1), Server::Unasked);
    world.pass(millis(120_000));
    assert!(world.changed.is_empty() && !world.forwarder.upstreams()[0].down);
    world.servers.insert(address(1), Server::Silent);
    world.pass(millis(5_000));
    assert_eq!(world.changed, [(address(1), true)]);
    world.servers.insert(address(1), GOOD);
    world.pass(millis(60_000));
    assert!(!world.forwarder.upstreams()[0].down && world.open.is_empty());
}

#[test]
fn refusals_and_failures_lead_to_the_next() {
    for code in [RCODE::ServerFailure, RCODE::Refused, RCODE::NotImplemented, RCODE::FormatError] {
        let mut world = World::new(&[Server::Says(code), Server::Broken, GOOD]);
        let (time, got) = world.ask("a");
        assert_eq!((time, got.rcode()), (millis(40), 0), "{code:?}");
        let mut world = World::new(&[Server::Says(code), Server::Says(code)]);
        let (time, got) = world.ask("a");
        assert_eq!((time, got.rcode(), got.source), (millis(20), 2, Source::Nobody), "{code:?}");
        assert_eq!((world.sent.len(), world.forwarder.counters().failed), (2, 1), "each once");
    }
}

#[test]
fn when_nobody_answers_that_is_said_in_time_and_remembered_for_a_second() {
    let mut world = World::new(&[Server::Silent, Server::Silent]);
    let (time, got) = world.ask("a");
    assert_eq!((time, got.rcode()), (millis(4_000), 2));
    let (time, got) = world.ask("a");
    assert_eq!((time, got.rcode(), got.source), (millis(0), 2, Source::Cache));
    world.servers.insert(address(2), GOOD);
    world.pass(millis(1_000));
    let (time, got) = world.ask("a");
    assert_eq!((time, got.rcode()), (millis(20), 0), "all are asked at once when none was there");
    let none = World::new(&[]).ask("a").0;
    assert_eq!(none, millis(0));
}

#[test]
fn a_slow_one_is_helped_out_and_stays_the_first() {
    let mut world = World::new(&[Server::Knows { ttl: 60, after: 700 }, Server::Knows { ttl: 60, after: 300 }]);
    assert_eq!(world.ask("a").0, millis(700), "the first good answer");
    world.pass(millis(5_000));
    world.servers.insert(address(1), GOOD);
    assert_eq!(world.ask("b").1.source, Source::Upstream(address(1)));
}

/// The first server knows names of the inside; the second one, of the outside, says that there is nothing.
#[test]
fn who_goes_before_has_the_last_word_about_what_is_not_there() {
    let nothing = Server::Nothing { soa: Some((300, 300)) };
    let mut world = World::new(&[Server::Knows { ttl: 60, after: 700 }, nothing]);
    let (time, got) = world.ask("db.corp.example");
    assert_eq!((time, got.rcode(), got.source), (millis(700), 0, Source::Upstream(address(1))));
    // Also where it is passed over for the moment: it is asked besides.
    assert_eq!(world.ask("x.corp.example").1.source, Source::Upstream(address(1)));
    // Where it says nothing at all that counts, but not for long.
    world.servers.insert(address(1), Server::Silent);
    let (time, got) = world.ask("y.corp.example");
    assert_eq!((time, got.rcode()), (millis(1_800), 3));
    assert_eq!(world.ask("y.corp.example").1.source, Source::Cache);
    world.servers.insert(address(1), GOOD);
    world.pass(millis(5_500));
    assert_eq!(world.ask("y.corp.example").1.rcode(), 0);
    // One that refuses leaves the word to the next.
    let mut world = World::new(&[Server::Says(RCODE::Refused), nothing]);
    let (time, got) = world.ask("z.example");
    assert_eq!((time, got.rcode()), (millis(20), 3));
}

#[test]
fn one_alone_is_asked_again_after_a_loss() {
    let mut world = World::new(&[Server::Silent]);
    world.send(1, &query("a", TYPE::A, 1));
    world.pass(millis(500));
    world.servers.insert(address(1), GOOD);
    world.pass(millis(1_000));
    assert_eq!((world.got.len(), world.got[0].rcode()), (1, 0));
    assert!(world.changed.is_empty());
}

#[test]
fn what_does_not_fit_is_asked_for_over_tcp() {
    let mut world = World::new(&[Server::Long { tcp: true }, GOOD]);
    let (time, got) = world.ask("a");
    assert_eq!((time, got.rcode(), got.message[2] & 2), (millis(20), 0, 0));
    assert_eq!(world.sent.iter().map(|sent| sent.2).collect::<Vec<_>>(), [false, true]);
    let mut world = World::new(&[Server::Long { tcp: false }]);
    let (_, got) = world.ask("a");
    assert_eq!((got.rcode(), got.message[2] & 2), (0, 2), "where TCP does not work, that there is more");
    assert_eq!(world.forwarder.cached().0, 0);
    let before = world.sent.len();
    assert_eq!(world.ask("a").0, millis(10), "and it is not tried again for a while");
    assert!(world.sent[before..].iter().all(|sent| !sent.2));
}
