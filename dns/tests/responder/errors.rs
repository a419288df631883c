//! What is no query that can be answered (RFC 8906, RFC 9619).

use dns::{Fault, Query, Rcode, fail};
use simple_dns::{CLASS, Name, PacketFlag, Question, TYPE};

use crate::world::{Said, UDP, World, query, read};

fn bytes() -> Vec<u8> {
    query("web", TYPE::A.into()).build_bytes_vec().unwrap()
}

#[test]
fn responses_and_scraps_are_not_answered() {
    let world = &mut World::new();
    let mut response = query("web", TYPE::A.into());
    response.set_flags(PacketFlag::RESPONSE);
    assert_eq!(world.send(&response.build_bytes_vec().unwrap(), UDP), Said::Ignore);
    for len in 0..12 {
        assert_eq!(world.send(&bytes()[..len], UDP), Said::Ignore);
    }
}

#[test]
fn one_question_and_no_other_number() {
    let world = &mut World::new();
    let mut two = query("web", TYPE::A.into());
    two.questions.push(Question::new(Name::new("db").unwrap(), TYPE::A.into(), CLASS::IN.into(), false));
    let mut none = query("web", TYPE::A.into());
    none.questions.clear();
    for message in [two, none] {
        assert_eq!(world.send(&message.build_bytes_vec().unwrap(), UDP).refused(), 1);
    }
}

#[test]
fn other_kinds_of_queries() {
    let world = &mut World::new();
    for opcode in 1..16 {
        let mut message = bytes();
        message[2] |= opcode << 3;
        let Said::Refused(reply) = world.send(&message, UDP) else { panic!() };
        assert_eq!((reply.rcode, reply.flags.2), (4, true));
    }
}

#[test]
fn other_classes_and_transfers() {
    let world = &mut World::new();
    for (kind, class) in [(1, 3), (16, 3), (1, 255), (1, 0x8001), (251, 1), (252, 1)] {
        let mut message = bytes();
        let end = message.len();
        message[end - 4..].copy_from_slice(&[0, kind, (class >> 8) as u8, class as u8]);
        let dns::Response::Refused(answer) = world.responder.respond(&message, UDP, &view(&world.networks)) else {
            panic!("{kind} {class}")
        };
        assert_eq!((answer[3] & 0xf, &answer[12..]), (5, &message[12..]));
    }
}

fn view(networks: &[dns::Names]) -> dns::View<std::slice::Iter<'_, dns::Names>, fn(std::net::IpAddr) -> bool> {
    dns::View { networks: networks.iter(), covers: |_| false, forwards: true }
}

#[test]
fn unknown_bits_and_types_change_nothing() {
    let world = &mut World::new();
    // The reserved bit and AD; CD is repeated.
    for (bits, back) in [(0x40, 0), (0x20, 0), (0x10, 0x10)] {
        let mut message = bytes();
        message[3] |= bits;
        let dns::Response::Answer(answer) = world.responder.respond(&message, UDP, &view(&world.networks)) else {
            panic!()
        };
        assert_eq!((answer[3], answer[7]), (0x80 | back, 1));
    }
    for kind in [0u16, 65, 1_000, 65_535] {
        let mut message = bytes();
        let end = message.len();
        message[end - 4..end - 2].copy_from_slice(&kind.to_be_bytes());
        let dns::Response::Answer(answer) = world.responder.respond(&message, UDP, &view(&world.networks)) else {
            panic!("{kind}")
        };
        assert_eq!((answer[3], answer[7]), (0x80, 0), "no error, no record");
    }
}

#[test]
fn names_that_make_no_sense() {
    let world = &mut World::new();
    let head = &bytes()[..12];
    let looped = [head, b"\xc0\x0c\x00\x01\x00\x01"].concat();
    let reserved = [head, b"\x43web\x00\x00\x01\x00\x01"].concat();
    let long = [
        head,
        &b"\x3fxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".repeat(4),
        b"\x00\x00\x01\x00\x01",
    ]
    .concat();
    let cut = bytes()[..bytes().len() - 1].to_vec();
    for message in [looped, reserved, long, cut] {
        assert_eq!(world.send(&message, UDP).refused(), 1);
    }
}

#[test]
fn edns_twice_or_in_the_wrong_place() {
    let world = &mut World::new();
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    for (counts, rest) in [([0, 0, 0, 0, 0, 2], [opt, opt].concat()), ([0, 1, 0, 0, 0, 0], opt.to_vec())] {
        let mut message = [bytes(), rest].concat();
        message[6..12].copy_from_slice(&counts);
        assert_eq!(world.send(&message, UDP).refused(), 1);
    }
    let mut once = [bytes(), opt.to_vec()].concat();
    once[11] = 1;
    assert_eq!(world.send(&once, UDP).answer().answers.len(), 1);
}

#[test]
fn failures_of_others_are_passed_on() {
    let mut out = Vec::new();
    assert!(fail(&bytes(), Rcode::ServerFailure, &mut out));
    let reply = read(&bytes(), &out);
    assert_eq!((reply.rcode, reply.flags), (2, (false, false, true)));
    assert!(!fail(&out.clone(), Rcode::ServerFailure, &mut out) && out.is_empty());
    assert_eq!(Query::parse(&bytes()[..30.min(bytes().len() - 1)]), Err(Fault::Says(Rcode::Malformed)));
}
