//! Sizes: EDNS, truncation, TCP.

use dns::{LONGEST_UDP, Transport};
use simple_dns::TYPE;
use simple_dns::rdata::OPT;

use crate::world::{Reply, Said, UDP, World, entry, query};

fn crowd() -> World {
    let mut world = World::new();
    for host in 0..10_000u64 {
        let address = format!("10.1.{}.{}", 1 + host / 250, 1 + host % 250);
        world.networks[0].insert(100 + host, entry(&["crowd"], &[&address], &[]));
    }
    world
}

fn ask(world: &mut World, edns: Option<(u16, u8)>, transport: Transport) -> Reply {
    let mut message = query("crowd", TYPE::A.into()).build_bytes_vec().unwrap();
    if let Some((size, version)) = edns {
        message[11] = 1;
        let [s0, s1] = size.to_be_bytes();
        message.extend([0, 0, 41, s0, s1, 0, version, 0x80, 0, 0, 8]);
        message.extend(b"\xfd\xe9\x00\x04None");
    }
    match world.send(&message, transport) {
        Said::Answer(reply) | Said::Refused(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn as_much_as_the_client_takes() {
    let world = &mut crowd();
    // Header, question, records; the last is EDNS.
    let fits = |len: usize, edns: usize| (len - 12 - 11 - edns) / 16;
    for (edns, room, len) in [
        (None, 1_472, 512),
        (Some(100), 1_472, 512),
        (Some(700), 1_472, 700),
        (Some(4_096), 1_472, LONGEST_UDP),
        (Some(4_096), 1_200, 1_200),
    ] {
        let reply = ask(world, edns.map(|size| (size, 0)), Transport::Udp { room });
        let opt = if edns.is_some() { 11 } else { 0 };
        assert!(reply.len <= len && reply.flags.1, "{reply:?}");
        assert_eq!(reply.answers.len(), fits(len, opt));
        assert_eq!(reply.edns, edns.map(|_| (LONGEST_UDP as u16, 0, true)), "said only to who speaks it");
    }
    let all = ask(world, None, Transport::Tcp);
    assert_eq!((all.answers.len(), all.flags.1), (fits(65_535, 0), true));
}

#[test]
fn what_fits_is_not_truncated() {
    let world = &mut World::new();
    for host in 0..30 {
        world.networks[0].insert(100 + host, entry(&["crowd"], &[&format!("10.1.2.{host}")], &[]));
    }
    let (short, long) = (ask(world, None, UDP), ask(world, Some((1_232, 0)), UDP));
    assert_eq!((short.answers.len(), short.flags.1), (30, false));
    assert_eq!((long.answers.len(), long.flags.1), (30, false));
    world.networks[0].insert(130, entry(&["crowd"], &["10.1.2.30"], &[]));
    assert!(ask(world, None, UDP).flags.1);
    assert_eq!(ask(world, None, Transport::Tcp).answers.len(), 31);
}

#[test]
fn an_unknown_version_is_said_to_be_one() {
    let reply = ask(&mut World::new(), Some((1_232, 1)), UDP);
    assert_eq!((reply.rcode, reply.edns, reply.answers.len()), (16, Some((LONGEST_UDP as u16, 0, true)), 0));
}

#[test]
fn somebody_elses_answer_is_made_short() {
    let world = &mut crowd();
    let message = query("crowd", TYPE::A.into()).build_bytes_vec().unwrap();
    let covers = |_| false;
    let view = dns::View { networks: world.networks.iter(), covers, forwards: true };
    let mut with_edns = query("crowd", TYPE::A.into());
    *with_edns.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: 1_232, version: 0 });
    for (asked, edns) in [(message, false), (with_edns.build_bytes_vec().unwrap(), true)] {
        let dns::Response::Answer(answer) = world.responder.respond(&asked, Transport::Tcp, &view) else { panic!() };
        let mut reply = answer.to_vec();
        assert!(dns::truncate(&mut reply, 512));
        let short = crate::world::read(&asked, &reply);
        assert_eq!((short.answers.len(), short.flags.1, short.edns.is_some()), (0, true, edns));
        let before = reply.clone();
        assert!(dns::truncate(&mut reply, 512) && reply == before);
    }
    let mut nonsense = vec![0xff; 600];
    assert!(!dns::truncate(&mut nonsense, 512) && nonsense.len() == 600);
}
