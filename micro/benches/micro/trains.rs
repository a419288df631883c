//! What encapsulation costs: datagrams put into trains, and their headers taken off.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::{Case, Work, packet};
use vxlan::{Trains, Vni, decode, encode};
use wire::{Frame, Gso, Headers, Offload, parse};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const SEGMENT: usize = 1_398;
const SEGMENTS: usize = 43;

pub(crate) const CASES: &[Case] = &[
    ("vxlan/decode", decoded),
    ("vxlan/train-64", small),
    ("vxlan/train-64-partial", small_partial),
    ("vxlan/train-64k", super_frame),
];

fn ends() -> (SocketAddr, SocketAddr) {
    ((packet::endpoint(2), 9_000).into(), (packet::endpoint(3), 9_000).into())
}

fn vni() -> Vni {
    Vni::new(42).expect("a VNI")
}

fn frame(bytes: &[u8]) -> (Frame, Headers) {
    (Frame::from_bytes(bytes), parse(bytes).expect("a sound frame"))
}

fn decoded() -> Work {
    let (src, dst) = ends();
    let datagram = [&encode(vni())[..], &packet::udp(src, dst, &[0; 22])].concat();
    Work::new(move || _ = black_box(decode(black_box(&datagram))))
}

/// A batch of small frames of one flow: one train.
fn small() -> Work {
    let (src, dst) = ends();
    batch(frame(&packet::udp(src, dst, &[0; 22])))
}

/// The same as a container sends them, their checksums left to a device.
fn small_partial() -> Work {
    let (src, dst) = ends();
    let (mut frame, headers) = frame(&packet::udp(src, dst, &[0; 22]));
    frame.offload = Offload::partial(headers.l4, 6);
    batch((frame, headers))
}

fn batch((frame, headers): (Frame, Headers)) -> Work {
    let mut trains = Trains::default();
    Work::batch(64, move || {
        for _ in 0..64 {
            trains.push(PEER, 7, vni(), black_box(&frame), &headers).expect("a sound frame");
        }
        assert_eq!(trains.len(), 1);
        trains.clear();
    })
}

/// A super-frame: one send.
fn super_frame() -> Work {
    let (src, dst) = ends();
    let (mut frame, headers) = frame(&packet::tcp(src, dst, 1, &packet::payload(SEGMENT * SEGMENTS)));
    frame.offload = Offload::segmented(Gso::Tcp4, SEGMENT as u16, headers.payload, headers.l4, 16);
    let mut trains = Trains::default();
    Work::new(move || {
        trains.push(PEER, 7, vni(), black_box(&frame), &headers).expect("a sound super-frame");
        assert_eq!(trains.iter().map(vxlan::Train::datagrams).sum::<usize>(), SEGMENTS);
        trains.clear();
    })
}
