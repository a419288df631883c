//! Trains: what couples, what does not, and that nothing is lost or reordered.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use vxlan::{Trains, Vni, decode};
use wire::{Frame, Gso, Offload, parse};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn udp(len: usize, fill: u8) -> Frame {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1000, 2000);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &vec![fill; len]).unwrap();
    Frame::from_bytes(&bytes)
}

fn tcp(len: usize, size: u16) -> Frame {
    let builder =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1000, 2000, 7, 9000);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &vec![3; len]).unwrap();
    let mut frame = Frame::from_bytes(&bytes);
    frame.offload = Offload::segmented(Gso::Tcp4, size, 54, 34, 16);
    frame
}

fn push(trains: &mut Trains, lane: u32, frame: &Frame) {
    let headers = parse(frame.bytes()).unwrap();
    trains.push(PEER, lane, Vni::new(42).unwrap(), frame, &headers).unwrap();
}

fn sends(trains: &Trains) -> Vec<(usize, usize)> {
    trains.iter().flat_map(|train| train.sends().map(|(bytes, segment)| (bytes.len(), segment))).collect()
}

#[test]
fn equal_frames_of_a_lane_leave_in_one_send() {
    let mut trains = Trains::default();
    (0..10).for_each(|n| push(&mut trains, 5, &udp(18, n)));
    assert_eq!(sends(&trains), [(10 * 68, 68)]);
    let order: Vec<u8> = trains
        .iter()
        .flat_map(|train| train.sends().flat_map(|(bytes, segment)| bytes.chunks(segment)))
        .map(|datagram| *decode(datagram).unwrap().1.last().unwrap())
        .collect();
    assert_eq!(order, (0..10).collect::<Vec<u8>>());
}

#[test]
fn a_shorter_frame_ends_a_train_and_a_longer_one_starts_another() {
    let mut trains = Trains::default();
    for len in [100, 100, 50, 100, 200] {
        push(&mut trains, 5, &udp(len, 0));
    }
    let head = 8 + 42;
    assert_eq!(sends(&trains), [(3 * head + 250, head + 100), (head + 100, head + 100), (head + 200, head + 200)]);
}

#[test]
fn lanes_do_not_mix() {
    let mut trains = Trains::default();
    for lane in [1, 2, 1, 2] {
        push(&mut trains, lane, &udp(18, 0));
    }
    let lanes: Vec<(u32, usize)> = trains.iter().map(|train| (train.entropy, train.datagrams())).collect();
    assert_eq!(lanes, [(1, 2), (2, 2)]);
}

#[test]
fn a_send_has_at_most_64_segments_and_fits_a_datagram() {
    let mut trains = Trains::default();
    (0..200).for_each(|_| push(&mut trains, 5, &udp(18, 0)));
    push(&mut trains, 6, &tcp(65_000, 1400));
    for (bytes, segment) in sends(&trains) {
        assert!(bytes <= 65_487 && bytes.div_ceil(segment) <= 64, "{bytes} bytes of {segment}");
    }
    let datagrams: usize = trains.iter().map(vxlan::Train::datagrams).sum();
    assert_eq!(datagrams, 200 + 65_000usize.div_ceil(1400));
}

#[test]
fn vx_20_inner_ecn_decides_the_outer_and_separates_trains() {
    let mut trains = Trains::default();
    let mut marked = udp(18, 0);
    let headers = parse(marked.bytes()).unwrap();
    wire::set_ecn(marked.bytes_mut(), &headers, 2);
    push(&mut trains, 5, &udp(18, 0));
    push(&mut trains, 5, &marked);
    assert_eq!(trains.iter().map(|train| train.ecn).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_frame_that_cannot_be_cut_leaves_nothing_behind() {
    let mut trains = Trains::default();
    let mut bad = tcp(5_000, 1400);
    bad.offload = Offload::segmented(Gso::Tcp4, 0, 54, 34, 16);
    let headers = parse(bad.bytes()).unwrap();
    assert!(trains.push(PEER, 5, Vni::new(42).unwrap(), &bad, &headers).is_err());
    assert!(trains.is_empty());
}
