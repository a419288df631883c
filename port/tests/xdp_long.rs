//! Frames longer than a chunk of the memory of AF_XDP ports, on veth links against the running kernel, where it has that.

mod namespace;
mod veth;

use std::net::UdpSocket;
use std::time::Duration;

use etherparse::PacketBuilder;
use port::Sent;
use port::kernel::{Feature, probe};
use port::xdp::XdpMode;
use wire::{Frame, Gso, Offload, Pool, checksum, parse};

use namespace::{eventually, ip, within};
use veth::{MODES, STATION, is_numbered, numbered, open, pair, receive, send};

const MTU: usize = 9_000;
/// What of a chunk is written to by the kernel, and what of it is read; a 9,000-byte packet with a tag. Each with its neighbours.
const EDGES: [usize; 7] = [60, 3_840, 2 * 3_840, 4_096, 2 * 4_096, MTU + 14, MTU + 18];

/// The test, if the kernel has it: Linux 6.6.
fn with_long_frames(test: impl FnOnce() + Send) {
    let missing = probe().unwrap().into_iter().find(|(feature, _)| *feature == Feature::AfXdpMultiBuffer).unwrap().1;
    match missing {
        None => within(test),
        Some(reason) => eprintln!("not tested, the kernel does not have it: {reason}"),
    }
}

/// A veth link that carries them.
fn long_pair() {
    pair("x0", "x1");
    ["x0", "x1"].iter().for_each(|end| ip(&format!("link set {end} mtu {MTU}")));
}

/// A frame of its own.
fn long(len: usize, number: u8) -> Frame {
    let mut bytes = numbered(number).bytes().to_vec();
    bytes.extend((bytes.len()..len).map(|at| (at / 11 + usize::from(number)) as u8));
    bytes.truncate(len);
    Frame::from_bytes(&bytes)
}

#[test]
fn frames_of_all_lengths_pass_both_ways_and_in_order() {
    for mode in MODES {
        with_long_frames(|| {
            long_pair();
            let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, mode));
            assert!(one.info().multi_buffer && two.info().multi_buffer);
            assert_eq!(one.info().mode, mode);
            let edges = EDGES.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]);
            let lengths: Vec<usize> = edges.filter(|len| *len <= MTU + 18).collect();
            let mut pool = Pool::new(4);
            for round in 0..20 {
                let (from, to) = if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
                for (number, len) in lengths.iter().enumerate() {
                    assert_eq!(from.send(long(*len, number as u8), &mut pool), Sent::Done);
                    assert_eq!(from.send(numbered(number as u8), &mut pool), Sent::Done);
                }
                eventually("room", || (from.flush() == Sent::Done).then_some(()));
                for (number, len) in lengths.iter().enumerate() {
                    for wanted in [*len, 60] {
                        let frame = receive(to, "frame", is_numbered);
                        assert!(frame.bytes() == long(wanted, number as u8).bytes(), "{wanted}: {frame:?}");
                        assert_eq!(frame.is_lent(), wanted <= 3_840, "{wanted}: copied only where it must be");
                        // By the other end's way back, too.
                        pool.put(frame);
                    }
                }
            }
            assert_eq!(one.send(long(MTU + 19, 1), &mut pool), Sent::TooBig);
            assert_eq!([one.stats(), two.stats()], [Default::default(); 2]);
        });
    }
}

#[test]
fn the_longest_frame_of_all_passes() {
    for mode in MODES {
        with_long_frames(|| {
            pair("x0", "x1");
            ["x0", "x1"].iter().for_each(|end| ip(&format!("link set {end} mtu 65535")));
            let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, mode));
            let frame = long(65_535 + 14, 1);
            assert_eq!(send(&mut one, Frame::from_bytes(frame.bytes())), Sent::Done);
            assert!(receive(&mut two, "frame", is_numbered).bytes() == frame.bytes());
        });
    }
}

#[test]
fn the_kernel_is_heard_and_understood() {
    for mode in MODES {
        with_long_frames(|| {
            long_pair();
            ip("addr add 10.9.0.1/24 dev x1");
            ip("link set x1 address 02:00:00:00:00:01");
            ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev x1");
            let mut port = open("x0", mode);
            let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
            let payload: Vec<u8> = (0..MTU as u32 - 28).map(|at| (at / 3) as u8).collect();
            socket.send_to(&payload, "10.9.0.9:53").unwrap();
            let mut frame = receive(&mut port, "datagram", |frame| frame.len() == MTU + 14);
            assert_eq!(frame.offload.partial_checksum(), Some((34, 6)));
            checksum::complete(&mut frame).unwrap();
            assert_eq!(checksum::verify_transport(frame.bytes(), &parse(frame.bytes()).unwrap()), Some(true));
            assert!(frame.bytes()[42..] == payload);

            let from = socket.local_addr().unwrap().port();
            let mut answer = Vec::new();
            let builder = PacketBuilder::ethernet2(STATION, [2, 0, 0, 0, 0, 1]);
            builder.ipv4([10, 9, 0, 9], [10, 9, 0, 1], 64).udp(53, from).write(&mut answer, &payload).unwrap();
            assert_eq!(send(&mut port, Frame::from_bytes(&answer)), Sent::Done);
            let mut buffer = vec![0; MTU];
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (len, _) = socket.recv_from(&mut buffer).unwrap();
            assert!(buffer[..len] == payload);
        });
    }
}

#[test]
fn long_segments_leave_complete() {
    with_long_frames(|| {
        long_pair();
        let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, XdpMode::Native));
        let payload: Vec<u8> = (0..20_000_u32).map(|at| (at / 5) as u8).collect();
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], STATION);
        builder.ipv4([10, 9, 0, 1], [10, 9, 0, 9], 64).tcp(40_000, 80, 1, 8_000).write(&mut bytes, &payload).unwrap();
        let mut frame = Frame::from_bytes(&bytes);
        frame.offload = Offload::segmented(Gso::Tcp4, 8_960, 54, 34, 16);
        assert_eq!(send(&mut one, frame), Sent::Done);
        for part in payload.chunks(8_960) {
            let segment = receive(&mut two, "segment", |frame| frame.bytes().get(23) == Some(&6));
            let headers = parse(segment.bytes()).unwrap();
            assert_eq!(checksum::verify_transport(segment.bytes(), &headers), Some(true));
            assert!(&segment.bytes()[54..] == part);
        }
    });
}

#[test]
fn a_frame_is_queued_whole_or_not_at_all() {
    with_long_frames(|| {
        long_pair();
        let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, XdpMode::Native));
        // Nothing leaves meanwhile.
        ip("link set x0 down");
        let mut pool = Pool::new(4);
        for number in 0..2_030_u32 {
            assert_eq!(one.send(numbered(1), &mut pool), Sent::Done, "{number}");
        }
        assert_eq!(
            one.send(long(MTU, 2), &mut pool),
            Sent::Full,
            "it takes three places of the 18 that are left, and 16 stay free"
        );
        assert_eq!(one.send(numbered(1), &mut pool), Sent::Down);
        ip("link set x0 up");
        eventually("room", || (one.flush() == Sent::Done).then_some(()));
        // What has come of the others may leave no room for one.
        eventually("a long frame", || {
            let _ = send(&mut one, long(MTU, 3));
            let mut batch = Vec::new();
            while two.receive(&mut batch, 64, &mut pool) {}
            batch.retain(|frame| is_numbered(frame) && frame.bytes() != numbered(1).bytes());
            assert!(batch.iter().all(|frame| frame.bytes() == long(MTU, 3).bytes()), "{batch:?}: no part of another");
            batch.pop()
        });
    });
}

#[test]
fn frames_that_find_no_room_are_counted() {
    for mode in MODES {
        with_long_frames(|| {
            long_pair();
            let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, mode));
            let sent = 500;
            // They take more chunks than a port ever has to receive into.
            for number in 0..sent {
                assert_eq!(one.send(long(MTU, number as u8), &mut Pool::new(1)), Sent::Done);
                eventually("room", || (one.flush() == Sent::Done).then_some(()));
            }
            eventually("what cannot be received", || (two.stats().overrun > 0).then_some(()));
            let (mut batch, mut pool) = (Vec::new(), Pool::new(4));
            let mut got = 0;
            eventually("all frames, here or counted", || {
                two.receive(&mut batch, 64, &mut pool);
                for frame in batch.drain(..).filter(is_numbered) {
                    assert!(frame.bytes() == long(MTU, frame.bytes()[20]).bytes(), "{frame:?}");
                    got += 1;
                    pool.put(frame);
                }
                (got + two.stats().overrun + one.stats().not_sent == sent).then_some(())
            });
            assert_eq!(two.stats().too_long, 0);
        });
    }
}

#[test]
fn it_is_used_from_where_native_mode_needs_it() {
    with_long_frames(|| {
        pair("x0", "x1");
        for (mtu, needed) in [(1_500, false), (3_498, false), (3_499, true), (3_818, true)] {
            ip(&format!("link set x0 mtu {mtu}"));
            ip(&format!("link set x1 mtu {mtu}"));
            let port = open("x0", XdpMode::Native);
            assert_eq!((port.info().mode, port.info().multi_buffer), (XdpMode::Native, needed), "{mtu}");
        }
    });
}
