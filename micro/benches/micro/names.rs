//! What a query costs the data thread: an answer from a network's names, and seeing that somebody else is to be asked.

use std::hint::black_box;
use std::net::IpAddr;

use crate::{Case, Work, packet};
use dns::{Entry, Names, Responder, Response, Transport, View, kind};

pub(crate) const CASES: &[Case] = &[
    ("dns/answer-a", || respond(|n| format!("name-{n}.net"), kind::A, true)),
    ("dns/answer-none", || respond(|n| format!("name-{n}.net"), kind::SRV, true)),
    ("dns/answer-ptr", || respond(|n| format!("{}.{}.0.10.in-addr.arpa", n & 255, n >> 8), kind::PTR, true)),
    ("dns/forward", || respond(|n| format!("www-{n}.example.org"), kind::AAAA, false)),
];

/// Queries in a network of a thousand names, for one name after the other: a table of theirs has another seed in each program,
/// and some are found sooner than others.
fn respond(name: fn(u32) -> String, kind: u16, known: bool) -> Work {
    let mut names = Names::new("net");
    for number in 0..1_000 {
        let entry = Entry {
            names: vec![format!("name-{number}")],
            addresses: vec![packet::endpoint(number).into()],
            services: Vec::new(),
        };
        names.insert(number.into(), entry);
    }
    let queries: Vec<Vec<u8>> = (0..1_000).map(|number| query(&name(number), kind)).collect();
    let (mut responder, mut next) = (Responder::new(7), 0);
    Work::batch(10, move || {
        let covers = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.octets()[0] == 10);
        let view = View { networks: std::iter::once(&names), covers, forwards: true };
        for _ in 0..10 {
            let response = responder.respond(black_box(&queries[next]), Transport::Udp { room: 1_472 }, &view);
            assert_eq!(matches!(black_box(response), Response::Answer(_)), known);
            next = (next + 1) % queries.len();
        }
    })
}

/// One question, recursion desired, with EDNS as glibc sends it.
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&kind.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    query.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    query
}
