//! Whatever comes: no panic, no answer that is longer than it may be, none that another implementation cannot read.

use dns::{Query, Responder, Response, Transport, View};
use proptest::prelude::*;

use crate::world::{World, query};

fn check(message: &[u8], transport: Transport, limit: usize) {
    let mut world = World::new();
    let view = View { networks: world.networks.iter(), covers: |_| true, forwards: message.len().is_multiple_of(2) };
    match world.responder.respond(message, transport, &view) {
        Response::Answer(answer) => {
            assert!(answer.len() <= limit);
            assert_eq!(answer[..2], message[..2]);
            // A type that it does not know is more than it can read.
            if matches!(Query::parse(message).unwrap().kind, 1 | 2 | 5 | 6 | 12 | 15 | 16 | 28 | 33) {
                simple_dns::Packet::parse(answer).unwrap();
            }
            assert_eq!(Query::parse(answer), Err(dns::Fault::Silent));
        }
        Response::Refused(answer) => assert!(answer.len() <= limit && answer[3] & 0xf != 0 || message.len() > 12),
        Response::Forward { limit: allowed } => assert!(allowed <= limit && Query::parse(message).is_ok()),
        Response::Ignore => assert!(message.len() < 12 || message[2] & 0x80 != 0),
    }
}

proptest! {
    #[test]
    fn anything(message in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&message, Transport::Udp { room: 1_472 }, 1_232);
        check(&message, Transport::Tcp, 65_535);
    }

    #[test]
    fn almost_a_query(
        name in prop::sample::select(vec!["web", "db.red", "_80._tcp.web", "2.0.1.10.in-addr.arpa", "example.org"]),
        kind in any::<u16>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        room in 512usize..2_000,
    ) {
        let mut message = query(name, simple_dns::TYPE::A.into()).build_bytes_vec().unwrap();
        let end = message.len();
        message[end - 4..end - 2].copy_from_slice(&kind.to_be_bytes());
        for (at, value) in damage {
            let at = at.index(message.len());
            message[at] = value;
        }
        if message[0].is_multiple_of(4) {
            message.truncate(cut.index(message.len() + 1));
        }
        check(&message, Transport::Udp { room }, room.min(1_232));
    }

    #[test]
    fn replies_are_made_short(mut reply in prop::collection::vec(any::<u8>(), 0..2_000), limit in 512usize..1_500) {
        let before = reply.clone();
        match dns::truncate(&mut reply, limit) {
            true => prop_assert!(reply.len() <= before.len()),
            false => prop_assert_eq!(reply, before),
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_order() {
    let world = World::new();
    let view = View { networks: world.networks.iter(), covers: |_| true, forwards: true };
    let message = query("web", simple_dns::TYPE::A.into()).build_bytes_vec().unwrap();
    let ask = |seed| format!("{:?}", Responder::new(seed).respond(&message, Transport::Tcp, &view));
    assert_eq!(ask(1), ask(1));
}
