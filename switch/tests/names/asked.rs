//! What is answered at once, and what goes to the control plane and comes back.

use simple_dns::TYPE;
use switch::{Asker, DropReason, PortId, Question, Resolved, Return, Update};

use crate::sandbox::{GATEWAY, GATEWAY6, ask, ask_as, datagram, host, message, name, query, read, told};
use crate::world::{Host, RED, ip, v6};

fn questions(host: &mut Host) -> Vec<Question> {
    host.switch.take_questions().collect()
}

fn answer(host: &mut Host, via: Return, answer: Vec<u8>) -> Vec<(PortId, wire::Frame)> {
    host.switch.answer(host.now, via, answer, &mut host.out);
    std::mem::take(&mut host.out.frames)
}

#[test]
fn names_are_answered_over_both_families() {
    let (mut host, me) = host();
    assert_eq!(ask(&mut host, me, "web", TYPE::A), told(&["10.10.10.3"]));
    assert_eq!(ask(&mut host, me, "WWW.Net", TYPE::AAAA), told(&["fd00::3"]));
    let ends = (v6(ip(2)), GATEWAY6.into());
    assert_eq!(ask_as(&mut host, me, ends, "web", TYPE::A), told(&["10.10.10.3"]));
    assert_eq!(ask_as(&mut host, me, ends, "4.10.10.10.in-addr.arpa", TYPE::PTR), told(&["db.net"]));
    assert_eq!(ask_as(&mut host, me, ends, "_80._tcp.db", TYPE::SRV), told(&["db.net:80"]));
    assert_eq!(ask(&mut host, me, "db", TYPE::AAAA), told(&[]), "known, and not asked elsewhere");
    let counters = host.switch.counters();
    assert_eq!((counters.named, counters.asked, counters.replies, counters.dropped_in_all()), (6, 0, 6, 0));
    assert_eq!(host.switch.tracker().connections(), 0, "nothing is remembered of a query");
}

#[test]
fn names_follow_their_holders() {
    let (mut host, me) = host();
    name(&mut host, RED, 3, &["web"], &[ip(9).into()]);
    assert_eq!(ask(&mut host, me, "web", TYPE::A), told(&["10.10.10.9"]));
    host.apply(Update::Names { bridge: RED, holder: 3, entry: None });
    assert_eq!(ask(&mut host, me, "web", TYPE::A), None);
    assert_eq!(host.switch.counters().asked, 1);
}

#[test]
fn other_names_are_asked_elsewhere() {
    let (mut host, me) = host();
    for (ends, gateway) in [(ip(2).into(), GATEWAY.into()), (v6(ip(2)), GATEWAY6.into())] {
        assert_eq!(ask_as(&mut host, me, (ends, gateway), "example.org", TYPE::A), None);
        let [question] = questions(&mut host).try_into().unwrap();
        let asked = query("example.org", TYPE::A);
        assert_eq!((question.network, question.tcp, &question.query), (RED, false, &asked));
        let mut failure = Vec::new();
        assert!(dns::fail(&asked, dns::Rcode::ServerFailure, &mut failure));
        let frames = answer(&mut host, question.via, failure);
        assert_eq!(frames[0].0, me);
        assert_eq!(read(&message(&frames[0].1, ends, gateway)), (2, false, Vec::new()));
    }
    let counters = host.switch.counters();
    assert_eq!((counters.named, counters.asked, counters.replies, counters.dropped_in_all()), (0, 2, 2, 0));
}

#[test]
fn a_long_answer_is_made_short() {
    let (mut host, me) = host();
    ask(&mut host, me, "example.org", TYPE::TXT);
    let question = questions(&mut host).pop().unwrap();
    let mut long = question.query.clone();
    long[2] |= 0x80;
    long.resize(600, 0);
    let frames = answer(&mut host, question.via, long);
    let told = message(&frames[0].1, ip(2).into(), GATEWAY.into());
    assert_eq!((told.len(), read(&told)), (question.query.len(), (0, true, Vec::new())));
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let (mut host, me) = host();
    ask(&mut host, me, "example.org", TYPE::A);
    ask(&mut host, me, "example.org", TYPE::A);
    let mut open = questions(&mut host);
    let question = open.pop().unwrap();
    host.drops(DropReason::NoQuestion, |host| !answer(host, question.via, vec![0xff; 5_000]).is_empty());
    host.apply(Update::RemovePort { id: me });
    let question = open.pop().unwrap();
    host.drops(DropReason::NoQuestion, |host| !answer(host, question.via, question.query).is_empty());
    assert!(answer(&mut host, Return::nowhere(), vec![1, 2, 3]).is_empty());
}

#[test]
fn open_questions_are_few() {
    let (mut host, me) = host();
    let ends = (ip(2).into(), GATEWAY.into());
    let mut refused = 0;
    for _ in 0..600 {
        refused += usize::from(ask_as(&mut host, me, ends, "example.org", TYPE::A) == Some((5, false, Vec::new())));
    }
    assert_eq!((refused, host.dropped(DropReason::TooManyQuestions)), (88, 88));
    let mut open = questions(&mut host);
    assert_eq!(open.len(), 512);
    open.truncate(500);
    refused = 0;
    for _ in 0..20 {
        refused += usize::from(ask_as(&mut host, me, ends, "example.org", TYPE::A).is_some());
    }
    assert_eq!((refused, questions(&mut host).len()), (8, 12), "what is answered or given up makes room");
    assert_eq!(ask(&mut host, me, "web", TYPE::A), told(&["10.10.10.3"]), "names of its networks are always answered");
}

#[test]
fn what_is_no_query_is_dropped_or_refused() {
    let (mut host, me) = host();
    let mut response = query("web", TYPE::A);
    response[2] |= 0x80;
    for nothing in [&b""[..], b"short", &response] {
        let bytes = datagram(ip(2).into(), GATEWAY.into(), nothing);
        host.drops(DropReason::NoQuery, |host| !host.send(me, &bytes).0.is_empty());
    }
    let cut = &query("web", TYPE::A)[..14];
    let (frames, _) = host.send(me, &datagram(ip(2).into(), GATEWAY.into(), cut));
    assert_eq!(read(&message(&frames[0].1, ip(2).into(), GATEWAY.into())).0, 1);
    assert_eq!((host.dropped(DropReason::QueryRefused), host.switch.counters().dropped_in_all()), (1, 4));
}

#[test]
fn the_control_plane_may_ask_too() {
    let (host, me) = host();
    let Resolved::Answer(answer) = host.switch.resolve(Asker::Port(me), &query("web", TYPE::A)) else { panic!() };
    assert_eq!(Some(read(&answer)), told(&["10.10.10.3"]));
    let Resolved::Answer(answer) = host.switch.resolve(Asker::Network(RED), &query("web", TYPE::A)) else { panic!() };
    assert_eq!(Some(read(&answer)), told(&["10.10.10.3"]));
    assert_eq!(host.switch.resolve(Asker::Port(me), &query("example.org", TYPE::A)), Resolved::Forward);
    assert_eq!(host.switch.resolve(Asker::Port(PortId(9)), &query("web", TYPE::A)), Resolved::Nothing);
}
