//! Whatever is asked, the answer fits, is an answer to that, and to nothing else; what is not known is not made up.

use std::net::IpAddr;

use dns::{
    Entry, Fault, LONGEST_UDP, Names, Query, Rcode, Responder, Response, Service, Transport, View, fail, truncate,
};

/// The input is a message; its first byte, which is part of its identifier, says whether the client may ask for more.
pub fn run(data: &[u8]) {
    let networks = [network("RED", 1), network("Blue", 2)];
    let forwards = data.first().is_none_or(|byte| byte & 1 == 0);
    let mut responder = Responder::new(1);
    for (transport, limit) in [(Transport::Udp { room: 1_000 }, 1_000), (Transport::Tcp, 65_535)] {
        let view = View { networks: networks.iter(), covers: |address: IpAddr| address.is_ipv4(), forwards };
        match responder.respond(data, transport, &view) {
            Response::Answer(answer) | Response::Refused(answer) => {
                assert!(answer.len() <= limit && answer.len() >= 12);
                is_answer(data, answer);
            }
            Response::Forward { limit: allowed } => {
                assert!(forwards && allowed <= limit && allowed >= 512.min(limit));
                assert_eq!(Query::parse(data).expect("what is passed on makes sense").class, 1);
            }
            Response::Ignore => assert!(data.len() < 12 || data[2] & 0x80 != 0),
        }
    }
    let mut out = Vec::new();
    if fail(data, Rcode::ServerFailure, &mut out) {
        is_answer(data, &out);
    } else {
        assert!(out.is_empty());
    }
    // The same bytes as somebody else's answer.
    let mut answer = data.to_vec();
    if truncate(&mut answer, 40) {
        assert!(answer.len() <= data.len());
    } else {
        assert_eq!(answer, data);
    }
}

fn is_answer(asked: &[u8], answer: &[u8]) {
    assert_eq!(answer[..2], asked[..2], "its identifier");
    assert_eq!(Query::parse(answer), Err(Fault::Silent), "nobody answers an answer");
    // Read as a query it makes sense, with the same question.
    let mut again = answer.to_vec();
    again[2] &= !0x80;
    match (Query::parse(asked), Query::parse(&again)) {
        (Ok(asked), Ok(again)) => {
            assert_eq!((asked.labels, asked.kind, asked.class), (again.labels, again.kind, again.class));
            assert_eq!(asked.edns.is_some(), again.edns.is_some(), "EDNS for those who speak it");
            assert!(again.edns.is_none_or(|edns| usize::from(edns.size) == LONGEST_UDP && edns.version == 0));
        }
        (Err(Fault::Says(_)), _) => assert_eq!(answer.len(), 12),
        (asked, again) => panic!("{asked:?} became {again:?}"),
    }
}

fn network(name: &str, number: u8) -> Names {
    let mut names = Names::new(name);
    for holder in 0..50 {
        names.insert(
            holder,
            Entry {
                names: vec![format!("c{holder}"), "web".into(), "a.b".into()],
                addresses: vec![
                    [10, 1, number, holder as u8].into(),
                    [0xfd00, 0, 0, 0, 0, 0, number.into(), holder as u16].into(),
                ],
                services: vec![Service { port: 80, tcp: true }],
            },
        );
    }
    names
}
