//! What byte formats cost: parse, flow hash, checksums, cutting and joining super-frames.

use std::hint::black_box;
use std::net::SocketAddr;

use crate::{Case, Work, packet};
use wire::{Frame, Gso, Headers, Joiner, Offload, Pool, Push, checksum, parse};

/// TCP payload of one segment in a tunnelled network (MTU 1450).
const SEGMENT: usize = 1_398;
/// Segments of a super-frame.
const SEGMENTS: usize = 43;

pub(crate) const CASES: &[Case] = &[
    ("wire/parse-udp4", || parsed(packet::udp(v4(2), v4(3), &[0; 22]))),
    ("wire/parse-tcp4", || parsed(packet::tcp(v4(2), v4(3), 1, &[0; SEGMENT]))),
    ("wire/parse-tcp6", || parsed(packet::tcp(v6(2), v6(3), 1, &[0; SEGMENT]))),
    ("wire/parse-arp", || parsed([&[2; 12][..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat())),
    ("wire/key-hash", key_hash),
    ("wire/key-entropy", key_entropy),
    ("wire/sum-20", || sum(20)),
    ("wire/sum-1448", || sum(1_448)),
    ("wire/verify-tcp4", || verify(packet::tcp(v4(2), v4(3), 1, &packet::payload(SEGMENT)))),
    ("wire/verify-udp6", || verify(packet::udp(v6(2), v6(3), &packet::payload(64)))),
    ("wire/complete-tcp4", complete),
    ("wire/cut-tcp4", || cut(packet::tcp(v4(2), v4(3), 1, &packet::payload(SEGMENT * SEGMENTS)), Gso::Tcp4)),
    ("wire/cut-tcp6", || cut(packet::tcp(v6(2), v6(3), 1, &packet::payload(SEGMENT * SEGMENTS)), Gso::Tcp6)),
    ("wire/cut-udp4", || cut(packet::udp(v4(2), v4(3), &packet::payload(SEGMENT * SEGMENTS)), Gso::Udp)),
    ("wire/join-tcp4", || join(v4)),
    ("wire/join-tcp6", || join(v6)),
    ("wire/tag-untag", tag_untag),
];

fn v4(last: u16) -> SocketAddr {
    (packet::endpoint(last.into()), 9_000).into()
}

fn v6(last: u16) -> SocketAddr {
    (std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last), 9_000).into()
}

fn headers(bytes: &[u8]) -> Headers {
    parse(bytes).expect("a sound frame")
}

fn parsed(bytes: Vec<u8>) -> Work {
    Work::new(move || _ = black_box(parse(black_box(&bytes))))
}

fn key_hash() -> Work {
    let key = headers(&packet::udp(v4(2), v4(3), &[0; 22])).key;
    Work::new(move || _ = black_box(black_box(&key).hash(42)))
}

fn key_entropy() -> Work {
    let key = headers(&packet::udp(v4(2), v4(3), &[0; 22])).key;
    Work::new(move || _ = black_box(black_box(&key).entropy()))
}

fn sum(len: usize) -> Work {
    let bytes = packet::payload(len);
    Work::new(move || _ = black_box(checksum::sum(black_box(&bytes))))
}

fn verify(bytes: Vec<u8>) -> Work {
    let headers = headers(&bytes);
    assert_eq!(checksum::verify_transport(&bytes, &headers), Some(true));
    Work::new(move || _ = black_box(checksum::verify_transport(black_box(&bytes), &headers)))
}

/// The partial checksum of a frame that a container left to a device.
fn complete() -> Work {
    let mut frame = Frame::from_bytes(&packet::tcp(v4(2), v4(3), 1, &packet::payload(SEGMENT)));
    let l4 = headers(frame.bytes()).l4;
    Work::new(move || {
        frame.offload = Offload::partial(l4, 16);
        checksum::complete(black_box(&mut frame)).expect("offsets that fit");
    })
}

/// A whole super-frame.
fn cut(bytes: Vec<u8>, gso: Gso) -> Work {
    let mut frame = Frame::from_bytes(&bytes);
    let headers = headers(frame.bytes());
    let offset = if gso == Gso::Udp { 6 } else { 16 };
    frame.offload = Offload::segmented(gso, SEGMENT as u16, headers.payload, headers.l4, offset);
    let mut out = Vec::new();
    Work::new(move || {
        out.clear();
        let cut = wire::cut(black_box(&frame), &headers, &[0; 8], &mut out).expect("a sound super-frame");
        assert_eq!(cut.count, SEGMENTS);
    })
}

/// The segments of a super-frame, as they come from the underlay.
fn join(end: fn(u16) -> SocketAddr) -> Work {
    let segments: Vec<Vec<u8>> =
        (0..SEGMENTS).map(|n| packet::tcp(end(2), end(3), (n * SEGMENT) as u32, &packet::payload(SEGMENT))).collect();
    let first = headers(&segments[0]);
    let (mut joiner, mut pool) = (Joiner::new().with_udp(true), Pool::new(4));
    Work::new(move || {
        assert!(matches!(joiner.push(&segments[0], &first, &mut pool), Push::Taken));
        for segment in &segments[1..] {
            assert!(matches!(joiner.push_next(black_box(segment), &mut pool), Some(Push::Taken)));
        }
        pool.put(joiner.flush().expect("a super-frame"));
    })
}

/// What an access port does to a frame each way.
fn tag_untag() -> Work {
    let mut frame = Frame::from_bytes(&packet::udp(v4(2), v4(3), &[0; 22]));
    Work::new(move || {
        wire::set_tag(black_box(&mut frame), 10);
        wire::untag(black_box(&mut frame));
    })
}
