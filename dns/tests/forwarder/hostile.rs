//! Servers that guess or send nonsense, clients that ask too much, and everything at random.

use proptest::prelude::*;
use simple_dns::{RCODE, TYPE};

use dns::forward::Source;

use crate::world::{Server, World, address, millis, query};

const GOOD: Server = Server::Knows { ttl: 60, after: 20 };

#[test]
fn what_does_not_belong_to_the_question_is_passed_over() {
    let mut world = World::new(&[Server::Guesses(12), GOOD]);
    let (time, got) = world.ask("a");
    assert_eq!((time, got.source), (millis(2), Source::Upstream(address(1))));
    let mut world = World::new(&[Server::Guesses(40), GOOD]);
    let (_, got) = world.ask("a");
    assert_eq!(got.source, Source::Upstream(address(2)), "a socket that is guessed at is given up");
}

#[test]
fn who_asks_too_much_gives_way_to_others() {
    let mut world = World::new(&[Server::Silent]);
    for client in 0..1_500 {
        world.send(client, &query(&format!("n{client}"), TYPE::A, 1));
    }
    assert_eq!((world.sent.len(), world.got.len()), (1_500, 476));
    assert!(world.got.iter().all(|got| got.rcode() == 2 && got.client < 476), "the oldest first");
    for client in 2_000..2_100 {
        world.forwarder.ask(world.now, 2, client, &query(&format!("n{client}"), TYPE::A, 1));
    }
    world.pass(millis(0));
    assert!(world.got.iter().all(|got| got.client < 2_000), "nobody but who has most");
    assert_eq!(world.forwarder.counters().busy, 576);
    world.pass(millis(10_000));
    assert_eq!(world.got.len(), 1_600);
    assert!(world.open.len() <= 1, "but for a probe");
}

#[test]
fn a_query_that_is_none_is_answered_as_such_or_not_at_all() {
    let mut world = World::new(&[GOOD]);
    world.send(1, &[]);
    world.send(1, &query("a", TYPE::A, 1)[..14]);
    world.pass(millis(0));
    assert_eq!((world.got.len(), world.got[0].rcode(), world.sent.len()), (1, 1, 0));
}

fn server() -> impl Strategy<Value = Server> {
    prop_oneof![
        (0..5_u32, 0..1_500_u64).prop_map(|(ttl, after)| Server::Knows { ttl, after }),
        prop::option::of((0..5_u32, 0..5_u32)).prop_map(|soa| Server::Nothing { soa }),
        Just(Server::Says(RCODE::Refused)),
        any::<bool>().prop_map(|tcp| Server::Long { tcp }),
        Just(Server::Silent),
        Just(Server::Absent),
        (0..30_u32).prop_map(Server::Guesses),
        Just(Server::Broken),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the servers do, and however they change: everybody is answered once and in time, and no socket stays open.
    #[test]
    fn everybody_is_answered(
        servers in prop::collection::vec(server(), 0..4),
        steps in prop::collection::vec((0..6_u8, 0..700_u64, server()), 1..40),
    ) {
        let mut world = World::new(&servers);
        let mut asked = Vec::new();
        for (number, (name, wait, server)) in steps.into_iter().enumerate() {
            if !servers.is_empty() && number % 4 == 3 {
                world.servers.insert(address(1 + (number % servers.len()) as u8), server);
            }
            asked.push(world.now);
            world.send(number as u32, &query(&format!("n{name}"), TYPE::A, number as u16));
            world.pass(millis(wait));
        }
        world.pass(millis(5_000));
        let mut clients: Vec<u32> = world.got.iter().map(|got| got.client).collect();
        clients.sort_unstable();
        prop_assert_eq!(clients, (0..asked.len() as u32).collect::<Vec<_>>());
        for got in &world.got {
            prop_assert!(got.at - asked[got.client as usize] <= millis(4_000));
            prop_assert_eq!(&got.message[..2], (got.client as u16).to_be_bytes());
        }
        prop_assert!(world.open.len() <= servers.len(), "probes alone");
    }

    /// Nothing that a server sends makes it panic, and nothing but a reply reaches a client.
    #[test]
    fn noise_is_not_passed_on(noise in prop::collection::vec(any::<u8>(), 0..200), from in 0..60_usize) {
        let mut world = World::new(&[Server::Silent]);
        world.send(1, &query("a", TYPE::A, 1));
        let tokens: Vec<u64> = world.open.iter().copied().collect();
        let good = crate::world::reply(&query("a", TYPE::A, 1), RCODE::NoError, Some(60), Some((60, 60)));
        let from = from.min(good.len());
        for token in tokens {
            for id in [0_u16, 7_u16.wrapping_mul(25_173).wrapping_add(13_849)] {
                let mut mixed = [&good[..from], &noise].concat();
                if let Some(place) = mixed.first_chunk_mut() {
                    *place = id.to_be_bytes();
                }
                world.forwarder.heard(world.now, token, &mixed);
            }
        }
        world.pass(millis(5_000));
        prop_assert_eq!(world.got.len(), 1);
        prop_assert!(simple_dns::Packet::parse(&world.got[0].message).is_ok() || from > 12);
    }
}
