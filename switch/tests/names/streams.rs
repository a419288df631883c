//! Names over TCP: pipelined, long, late, lost, too many, idle.

use nat::rules::{Family, Program};
use simple_dns::TYPE;
use smoltcp::socket::tcp::State;
use switch::{DropReason, Question, Update};

use crate::client::Client;
use crate::sandbox::{GATEWAY, GATEWAY6, host, name, query, read, told};
use crate::world::{Host, RED, ip, v6};

fn ends() -> (std::net::IpAddr, std::net::IpAddr) {
    (ip(2).into(), GATEWAY.into())
}

fn questions(host: &mut Host) -> Vec<Question> {
    host.switch.take_questions().collect()
}

fn is_quiet(host: &Host) -> bool {
    host.switch.next_deadline().is_none_or(|next| next > host.now + std::time::Duration::from_secs(1))
}

#[test]
fn names_are_answered_over_both_families() {
    for ends in [ends(), (v6(ip(2)), GATEWAY6.into())] {
        for partial in [false, true] {
            let (mut host, me) = host();
            let mut client = Client::connect(&mut host, me, ends, 5_000);
            client.partial = partial;
            client.ask("web", TYPE::A);
            client.run(&mut host);
            let answers = client.hear();
            assert_eq!(answers.iter().map(|answer| Some(read(answer))).collect::<Vec<_>>(), [told(&["10.10.10.3"])]);
            assert_eq!(client.state(), State::Established, "there may be more to ask");
            client.ask("db", TYPE::AAAA);
            client.run(&mut host);
            assert_eq!(Some(read(&client.hear()[0])), told(&[]));
            client.socket().close();
            client.run(&mut host);
            assert_eq!(client.state(), State::TimeWait, "both have ended it");
            let counters = host.switch.counters();
            assert_eq!((counters.named, counters.dropped_in_all()), (2, 0));
            assert_eq!(host.switch.tracker().connections(), 0);
        }
    }
}

#[test]
fn queries_need_not_wait_for_answers() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    let (web, db, other) = (query("web", TYPE::A), query("db", TYPE::A), query("example.org", TYPE::A));
    client.say(&[&web, &other, &db]);
    client.run(&mut host);
    let answers: Vec<_> = client.hear().iter().map(|answer| Some(read(answer))).collect();
    assert_eq!(answers, [told(&["10.10.10.3"]), told(&["10.10.10.4"])], "the one that is not known comes later");
    let question = questions(&mut host).pop().unwrap();
    assert!(question.tcp && question.query == other);
    let mut answer = other.clone();
    answer[2] |= 0x80;
    answer.resize(9_000, 0);
    host.switch.answer(host.now, question.via, answer.clone(), &mut host.out);
    let frames = std::mem::take(&mut host.out.frames);
    client.take(frames);
    client.run(&mut host);
    assert_eq!(client.hear(), [answer], "as long as it is");
}

#[test]
fn a_long_answer_is_sent_whole() {
    let (mut host, me) = host();
    for holder in 0..3_000u64 {
        let address = std::net::Ipv4Addr::new(10, 10, (holder >> 8) as u8, holder as u8);
        name(&mut host, RED, 100 + holder, &["many"], &[address.into()]);
    }
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.ask("many", TYPE::A);
    client.run(&mut host);
    let (_, truncated, answers) = read(&client.hear()[0]);
    assert_eq!((truncated, answers.len()), (false, 3_000));
}

#[test]
fn a_client_that_has_asked_may_close_and_still_hear() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.ask("example.org", TYPE::A);
    client.run(&mut host);
    client.socket().close();
    client.later(&mut host, 100);
    assert_eq!(client.state(), State::FinWait2);
    let question = questions(&mut host).pop().unwrap();
    let answer = question.query.clone();
    host.switch.answer(host.now, question.via, answer.clone(), &mut host.out);
    let frames = std::mem::take(&mut host.out.frames);
    client.take(frames);
    client.run(&mut host);
    assert_eq!((client.hear(), client.state()), (vec![answer], State::TimeWait));
}

#[test]
fn a_question_that_nobody_answers_makes_room() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    let other = query("example.org", TYPE::A);
    for _ in 0..3 {
        client.say(&[&other[..]; 20]);
        client.later(&mut host, 100);
        assert!(client.hear().is_empty());
        assert_eq!(questions(&mut host).len(), 20);
    }
    client.socket().close();
    client.later(&mut host, 1_000);
    assert_eq!(client.state(), State::TimeWait, "both have ended it");
}

#[test]
fn what_is_lost_is_sent_again() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.run(&mut host);
    client.lose = 2;
    client.ask("web", TYPE::A);
    client.run(&mut host);
    assert!(client.hear().is_empty());
    client.later(&mut host, 5_000);
    assert_eq!(Some(read(&client.hear()[0])), told(&["10.10.10.3"]));
}

#[test]
fn a_silent_connection_is_ended() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.ask("web", TYPE::A);
    client.run(&mut host);
    client.later(&mut host, 9_000);
    assert_eq!(client.state(), State::Established);
    client.later(&mut host, 2_000);
    assert_eq!(client.state(), State::CloseWait);
    // The client does not end its half: it is cut.
    client.later(&mut host, 6_000);
    assert_eq!(client.state(), State::Closed);
    assert!(is_quiet(&host), "nothing is left to do");
}

#[test]
fn an_answer_to_a_connection_that_is_gone_is_nobodys() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.ask("example.org", TYPE::A);
    client.run(&mut host);
    client.socket().abort();
    client.run(&mut host);
    // Another one with the same ends.
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.run(&mut host);
    assert_eq!(client.state(), State::Established);
    let question = questions(&mut host).pop().unwrap();
    host.drops(DropReason::NoQuestion, |host| {
        host.switch.answer(host.now, question.via, question.query, &mut host.out);
        !host.out.frames.is_empty()
    });
    host.apply(Update::RemovePort { id: me });
    host.later(std::time::Duration::from_secs(60));
    host.switch.tend_streams(host.now, &mut host.out);
    assert!(host.out.frames.is_empty(), "a port takes its connections with it");
}

#[test]
fn connections_of_a_port_are_few() {
    let (mut host, me) = host();
    let mut clients: Vec<Client> =
        (0..17).map(|number| Client::connect(&mut host, me, ends(), 5_000 + number)).collect();
    let states: Vec<State> = clients.iter_mut().map(Client::state).collect();
    assert!(states[..16].iter().all(|state| *state == State::Established));
    assert_eq!((states[16], host.dropped(DropReason::TooManyStreams)), (State::Closed, 1));
    clients[0].socket().close();
    clients[0].run(&mut host);
    let mut client = Client::connect(&mut host, me, ends(), 6_000);
    client.run(&mut host);
    assert_eq!(client.state(), State::Established, "there is room again");
}

#[test]
fn what_is_no_query_ends_the_connection() {
    let (mut host, me) = host();
    for (number, nonsense) in [&b"\x00\x00"[..], b"\xff\xff\x00"].into_iter().enumerate() {
        let mut client = Client::connect(&mut host, me, ends(), 5_000 + number as u16);
        client.socket().send_slice(nonsense).unwrap();
        client.run(&mut host);
        assert_eq!(client.state(), State::Closed);
    }
    assert_eq!((host.dropped(DropReason::NoQuery), host.switch.counters().dropped_in_all()), (2, 2));
    let mut client = Client::connect(&mut host, me, ends(), 6_000);
    client.say(&[b"short", &query("web", TYPE::A)]);
    client.run(&mut host);
    assert_eq!((client.hear().len(), host.dropped(DropReason::NoQuery)), (1, 3), "the next one may be one");
}

#[test]
fn a_segment_of_no_connection_is_reset() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.run(&mut host);
    host.apply(Update::RemovePort { id: me });
    let me = crate::sandbox::sandbox(&mut host, 1, "me", RED, ip(2));
    assert_eq!(client.state(), State::Established);
    client.ask("web", TYPE::A);
    client.run(&mut host);
    assert_eq!((client.state(), host.dropped(DropReason::NoService), me.0), (State::Closed, 1, 1));
}

#[test]
fn open_questions_of_a_connection_are_few() {
    let (mut host, me) = host();
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    let other = query("example.org", TYPE::A);
    client.say(&[&other[..]; 40]);
    client.run(&mut host);
    let refused = client.hear().iter().filter(|answer| read(answer).0 == 5).count();
    assert_eq!((refused, questions(&mut host).len()), (8, 32));
    assert_eq!(host.dropped(DropReason::TooManyQuestions), 8);
}

#[test]
fn rules_have_a_say() {
    let (mut host, me) = host();
    let rules = "*filter\n-A INPUT -p tcp --dport 53 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT\n-A INPUT -j DROP\n\
                 -A OUTPUT -p tcp --sport 53 -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A OUTPUT -j DROP\nCOMMIT\n";
    let program = Program::new(nat::rules::load(Family::Ipv4, rules).unwrap());
    host.switch.set_rules(Some(RED), Family::Ipv4, Some(Box::new(program)));
    let mut client = Client::connect(&mut host, me, ends(), 5_000);
    client.ask("web", TYPE::A);
    client.run(&mut host);
    assert_eq!(Some(read(&client.hear()[0])), told(&["10.10.10.3"]));
    assert_eq!(crate::sandbox::ask(&mut host, me, "web", TYPE::A), None, "UDP is not let in");
    assert_eq!((host.dropped(DropReason::Denied), host.switch.counters().dropped_in_all()), (1, 1));
}
