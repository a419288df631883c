//! Connections: a packet of a known one, a new one, and the translation that it gets.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Work, packet};
use nat::{
    Advance, ConnId, Destination, Direction, End, Mapping, Plan, Pool, Rewrite, Settings, Source, Tracked, Tracker,
    Zone,
};
use wire::{Frame, Headers, Time, parse};

const RED: Zone = Zone(7);
const NOW: Time = Time::from_secs(1_000);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Connections of a small host, and the most that there may be.
const CONNECTIONS: u32 = 4_096;

fn frame(bytes: &[u8]) -> (Frame, Headers) {
    (Frame::from_bytes(bytes), parse(bytes).expect("a sound frame"))
}

fn inside(port: u16) -> SocketAddr {
    (packet::endpoint(2), port).into()
}

fn outside(number: u32) -> SocketAddr {
    (Ipv4Addr::from(0xc612_0000 | number), 53).into()
}

/// There and back again, so that each time something changes.
fn translate(bytes: &[u8], ends: [IpAddr; 2]) -> Work {
    let (mut frame, headers) = frame(bytes);
    let ways = ends.map(|ip| Rewrite { src: Some(End { ip, port: ip.is_ipv4().into() }), dst: None });
    Work::batch(2, move || {
        for way in &ways {
            nat::translate(black_box(&mut frame), &headers, way).expect("a packet of that family");
        }
    })
}

pub(crate) fn translate_udp4() -> Work {
    let bytes = packet::udp(inside(9_000), outside(1), &packet::payload(22));
    translate(&bytes, [PUBLIC.into(), packet::endpoint(2).into()])
}

pub(crate) fn translate_tcp6() -> Work {
    let [a, b, c] = [1, 2, 3].map(|last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
    let bytes = packet::tcp((a, 9_000).into(), (b, 80).into(), 1, &packet::payload(22));
    translate(&bytes, [a.into(), c.into()])
}

pub(crate) fn decrement_ttl() -> Work {
    let (mut frame, headers) = frame(&packet::udp(inside(9_000), outside(1), &[]));
    Work::new(move || {
        frame.bytes_mut()[22] = 64;
        nat::decrement_ttl(black_box(&mut frame), &headers).expect("hops that are left");
    })
}

fn tracker() -> Tracker {
    let mut state = 7u64;
    let random = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let settings = Settings { connections: CONNECTIONS, connections_per_zone: CONNECTIONS, ..Settings::default() };
    Tracker::new(settings, Box::new(random))
}

/// The connection of a packet to the outside, made if there is none.
fn see(tracker: &mut Tracker, frame: &Frame, headers: &Headers) -> (ConnId, Direction) {
    let hit = match tracker.track(NOW, RED, frame, headers) {
        Tracked::Known(hit) => hit,
        Tracked::New(fresh) => {
            let addresses = [IpAddr::V4(PUBLIC)];
            let mapping = Mapping::EndpointIndependent;
            let source = Source::Map(Pool { addresses: &addresses, ports: None, random: false, mapping });
            let plan = Plan { reply_zone: Zone::OUTSIDE, destination: Destination::Keep, source };
            tracker.commit(NOW, &fresh, &plan, &mut |_, _, _| true).expect("room for it")
        }
        _ => panic!("a packet of a connection"),
    };
    (hit.conn, hit.direction)
}

fn advance(first: &[u8], next: &[u8]) -> Work {
    let mut tracker = tracker();
    let (first, headers) = frame(first);
    let (conn, direction) = see(&mut tracker, &first, &headers);
    let (next, headers) = frame(next);
    Work::new(move || {
        let outcome = tracker.advance(NOW, conn, direction, black_box(&next), &headers);
        assert!(matches!(outcome, Advance::Pass(_)));
    })
}

pub(crate) fn advance_udp() -> Work {
    let bytes = packet::udp(inside(9_000), outside(1), &[0; 22]);
    advance(&bytes, &bytes)
}

/// A stream that was under way before it was first seen.
pub(crate) fn advance_tcp() -> Work {
    let bytes = packet::tcp(inside(9_000), outside(1), 1, &[0; 22]);
    advance(&bytes, &bytes)
}

/// A packet of one of many connections, which is in no cache.
pub(crate) fn track_known() -> Work {
    let mut tracker = tracker();
    let packets: Vec<_> =
        (0..1_000).map(|number| frame(&packet::udp(inside(9_000), outside(number), &[0; 22]))).collect();
    for (frame, headers) in &packets {
        see(&mut tracker, frame, headers);
    }
    Work::batch(packets.len() as u32, move || {
        for (frame, headers) in &packets {
            assert!(matches!(tracker.track(NOW, RED, frame, headers), Tracked::Known(_)));
        }
    })
}

/// A new connection with its mapping, in the place of one that is given up.
pub(crate) fn connection() -> Work {
    let mut tracker = tracker();
    let packets: Vec<Vec<u8>> =
        (0..CONNECTIONS + 1_000).map(|number| packet::udp(inside(9_000), outside(number), &[])).collect();
    let (mut copy, mut next) = (Frame::new(), 0);
    let mut open = move || {
        copy.fill(&packets[next]);
        next = (next + 1) % packets.len();
        let headers = parse(copy.bytes()).expect("a sound frame");
        see(&mut tracker, &copy, &headers);
    };
    (0..=CONNECTIONS).for_each(|_| open());
    Work::new(open)
}
