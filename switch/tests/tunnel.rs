//! Frames between two hosts over a memory underlay. Rows VX-xx of the standards list.

mod world;

use std::collections::HashSet;
use std::net::IpAddr;

use etherparse::PacketBuilder;
use rstest::rstest;
use switch::{Datagram, DropReason, Place, PortId, Update};
use wire::{Frame, Gso, Mac, Offload, checksum, parse};
use world::{BLUE, Host, OnTheWire, RED, arp, ip, mac, pair, raw, udp, udp_between};

/// Sends one frame in, which must leave as one run.
fn encapsulated(host: &mut Host, port: PortId, bytes: &[u8]) -> OnTheWire {
    let (frames, mut wire) = host.send(port, bytes);
    assert!(frames.is_empty());
    assert_eq!(wire.len(), 1);
    wire.remove(0)
}

fn tcp_super(src: u8, dst: u8, len: usize, size: u16) -> Frame {
    let builder = PacketBuilder::ethernet2(mac(src).0, mac(dst).0)
        .ipv4(ip(src).octets(), ip(dst).octets(), 64)
        .tcp(1000, 2000, 7, 9000)
        .ack(55)
        .psh();
    let payload: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &payload).unwrap();
    // The kernel leaves the pseudo-header's sum in the checksum field.
    let tcp_len = (bytes.len() - 34) as u16;
    let partial = checksum::fold(checksum::pseudo_ipv4(ip(src).octets(), ip(dst).octets(), 6, tcp_len));
    bytes[50..52].copy_from_slice(&partial.to_be_bytes());
    let mut frame = Frame::from_bytes(&bytes);
    frame.offload = Offload::segmented(Gso::Tcp4, size, 54, 34, 16);
    frame
}

#[test]
fn a_frame_arrives_as_it_left() {
    let (mut one, mut two, a, b) = pair();
    for len in [0, 1, 18, 1400] {
        let sent = udp(2, 3, len);
        let run = encapsulated(&mut one, a, &sent);
        assert_eq!(run.1, two.vtep);
        let (frames, wire) = two.receive(&run);
        assert!(wire.is_empty());
        assert_eq!((frames[0].0, frames[0].1.bytes()), (b, &sent[..]));
    }
}

#[test]
fn v3_a_super_frame_leaves_in_one_run_and_arrives_whole() {
    let (mut one, mut two, a, b) = pair();
    let sent = tcp_super(2, 3, 56_000, 1400);
    let copy = Frame::from_bytes(sent.bytes());
    let (_, wire) = one.send_frame(a, sent);
    assert_eq!(wire.len(), 1, "one send");
    assert_eq!(wire[0].4, 8 + 54 + 1400);
    let (frames, _) = two.receive(&wire[0]);
    let [(port, frame)] = frames.as_slice() else { panic!("{} frames", frames.len()) };
    assert_eq!(*port, b);
    assert_eq!(frame.offload.gso(), Gso::Tcp4);
    assert_eq!(frame.offload.gso_size(), 1400);
    assert_eq!(two.switch.counters().joined, 39, "40 segments, 39 of them appended");
    assert_eq!(frame.bytes()[54..], copy.bytes()[54..], "payload");
    assert_eq!(frame.bytes()[..24], copy.bytes()[..24], "headers up to the IP checksum");
    let counted: u64 = two.switch.flow_rows(two.now, 10).iter().map(|row| row.frames).sum();
    assert_eq!(counted, 40, "the flow counts every segment");
}

#[rstest]
#[case::one_byte_flipped_in_payload(8 + 54 + 1400 + 100)]
#[case::one_bit_of_a_sequence_number(8 + 38)]
#[case::one_bit_of_a_time_to_live(8 + 22)]
fn a_corrupted_segment_is_dropped_and_counted(#[case] at: usize) {
    let (mut one, mut two, a, _) = pair();
    let (_, mut wire) = one.send_frame(a, tcp_super(2, 3, 5_600, 1400));
    wire[0].3[at] ^= 1;
    let (frames, _) = two.receive(&wire[0]);
    assert_eq!(two.dropped(DropReason::InnerChecksum), 1);
    let delivered: usize = frames.iter().map(|(_, frame)| frame.len() - 54).sum();
    assert_eq!(delivered, 3 * 1400);
}

#[test]
fn vx_04_vx_19_what_is_not_vxlan_is_dropped() {
    let (mut one, mut two, a, _) = pair();
    let run = encapsulated(&mut one, a, &udp(2, 3, 18));
    let mut no_vni = run.clone();
    no_vni.3[0] = 0;
    two.drops(DropReason::NotVxlan, |host| !host.receive(&no_vni).0.is_empty());
    for len in 1..22 {
        let short = (run.0, run.1, 0, run.3[..len].to_vec(), len);
        two.drops(DropReason::NotVxlan, |host| !host.receive(&short).0.is_empty());
    }
    for len in 22..run.3.len() {
        let short = (run.0, run.1, 0, run.3[..len].to_vec(), len);
        two.drops(DropReason::InnerMalformed, |host| !host.receive(&short).0.is_empty());
    }
    assert_eq!(two.switch.fdb(two.now).len(), 2, "nothing was learned");
}

#[test]
fn vx_05_unknown_vni_is_dropped() {
    let (mut one, mut two, a, _) = pair();
    let mut run = encapsulated(&mut one, a, &udp(2, 3, 18));
    run.3[6] = 43;
    two.drops(DropReason::UnknownVni, |host| !host.receive(&run).0.is_empty());
}

#[test]
fn vx_06_networks_do_not_mix_over_the_tunnel() {
    let (mut one, mut two, a, _) = pair();
    two.bridge(BLUE, Some(0xff_ffff));
    let blue = two.open_port(9, BLUE);
    two.apply(Update::Peer { bridge: BLUE, vtep: one.vtep });
    let run = encapsulated(&mut one, a, &raw(mac(2), Mac::BROADCAST, 0x88b5, &[0; 46]));
    let (frames, _) = two.receive(&run);
    assert!(frames.iter().all(|(port, _)| *port != blue));
    let mut relabelled = run.clone();
    relabelled.3[4..7].copy_from_slice(&[0xff; 3]);
    let (frames, _) = two.receive(&relabelled);
    assert_eq!(frames.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [blue]);
}

#[test]
fn vx_08_a_thousand_flows_use_at_least_500_source_ports_and_each_its_own() {
    let (mut one, _, a, _) = pair();
    let lane = |host: &mut Host, port: u16| {
        let bytes = udp_between(mac(2), mac(3), ip(2), ip(3), port, 18);
        host.switch.process(host.now, a, &mut vec![Frame::from_bytes(&bytes)], &mut host.out);
        let lane = host.out.trains.iter().next().unwrap().entropy;
        host.out.clear();
        lane
    };
    let lanes: HashSet<u32> = (1..=1000).map(|port| lane(&mut one, port)).collect();
    assert!(lanes.len() >= 500, "{} lanes", lanes.len());
    for port in [1, 500, 1000] {
        assert_eq!(lane(&mut one, port), lane(&mut one, port));
    }
}

#[test]
fn vx_13_stations_are_learned_from_valid_frames_of_known_vteps_only() {
    let (mut one, mut two, a, b) = pair();
    let run = encapsulated(&mut one, a, &udp(2, 3, 18));
    let mut stranger = run.clone();
    stranger.0 = "192.0.2.99".parse().unwrap();
    stranger.3[8 + 11] = 77;
    two.drops(DropReason::UnknownVtep, |host| !host.receive(&stranger).0.is_empty());
    assert!(two.switch.fdb(two.now).iter().all(|row| row.mac != mac(77)));
    let mut group = run.clone();
    group.3[8 + 6] |= 1;
    two.drops(DropReason::BadSource, |host| !host.receive(&group).0.is_empty());
    let mut known = run;
    known.3[8 + 11] = 77;
    assert_eq!(two.receive(&known).0.len(), 1);
    let learned = two.switch.fdb(two.now).into_iter().find(|row| row.mac == mac(77)).unwrap();
    assert_eq!(learned.place, Place::Tunnel(one.vtep));
    let back = udp_between(mac(3), mac(77), ip(3), ip(77), 1, 18);
    assert_eq!(encapsulated(&mut two, b, &back).1, one.vtep);
}

#[test]
fn vx_14_v2_floods_go_once_to_each_peer_and_never_back_into_the_tunnel() {
    let (mut one, mut two, a, _) = pair();
    let third: IpAddr = "192.0.2.3".parse().unwrap();
    one.apply(Update::Peer { bridge: RED, vtep: third });
    two.apply(Update::Peer { bridge: RED, vtep: third });
    let (_, wire) = one.send(a, &raw(mac(2), Mac::BROADCAST, 0x88b5, &[0; 46]));
    let to: Vec<IpAddr> = wire.iter().map(|run| run.1).collect();
    assert_eq!(to, [two.vtep, third]);
    let (frames, wire) = two.receive(&wire[0]);
    assert_eq!((frames.len(), wire.len()), (1, 0), "split horizon");
    one.apply(Update::RemovePeer { bridge: RED, vtep: third });
    let (_, wire) = one.send(a, &raw(mac(2), Mac::BROADCAST, 0x88b5, &[0; 46]));
    assert_eq!(wire.len(), 1);
}

#[test]
fn vx_15_too_long_for_the_network_is_dropped_not_fragmented() {
    let (mut one, _, a, _) = pair();
    assert_eq!(one.send(a, &udp(2, 3, 1450 - 28)).1.len(), 1);
    one.drops(DropReason::TooBig, |host| !host.send(a, &udp(2, 3, 1450 - 27)).1.is_empty());
    one.drops(DropReason::TooBig, |host| !host.send_frame(a, tcp_super(2, 3, 5_000, 1411)).1.is_empty());
}

#[test]
fn vx_17_vx_18_tags_do_not_enter_or_leave_a_tunnel() {
    let (mut one, mut two, a, _) = pair();
    let tagged = raw(mac(2), mac(3), 0x8100, &[&[0, 5, 8, 0][..], &udp(2, 3, 18)[14..]].concat());
    one.drops(DropReason::TunnelTag, |host| !host.send(a, &tagged).1.is_empty());
    let mut run = encapsulated(&mut one, a, &udp(2, 3, 18));
    run.3.splice(20..20, [0x81, 0, 0, 5]);
    run.4 += 4;
    two.drops(DropReason::TunnelTag, |host| !host.receive(&run).0.is_empty());
}

#[rstest]
#[case::not_capable(0, 3, None)]
#[case::marked_on_the_way(2, 3, Some(3))]
#[case::unmarked(2, 2, Some(2))]
#[case::marked_inside(3, 0, Some(3))]
fn vx_20_congestion_on_the_way_reaches_the_inner_packet(#[case] inner: u8, #[case] outer: u8, #[case] out: Option<u8>) {
    let (mut one, mut two, a, _) = pair();
    let mut bytes = udp(2, 3, 18);
    let headers = parse(&bytes).unwrap();
    wire::set_ecn(&mut bytes, &headers, inner);
    let mut run = encapsulated(&mut one, a, &bytes);
    assert_eq!(run.2, inner, "copied to the outer header");
    run.2 = outer;
    let Some(wanted) = out else {
        return two.drops(DropReason::Congestion, |host| !host.receive(&run).0.is_empty());
    };
    let (frames, _) = two.receive(&run);
    let headers = parse(frames[0].1.bytes()).unwrap();
    assert_eq!(wire::ecn(frames[0].1.bytes(), &headers), Some(wanted));
    assert_eq!(checksum::ipv4_header(&frames[0].1.bytes()[14..34]).to_be_bytes(), frames[0].1.bytes()[24..26]);
}

#[test]
fn vx_22_a_peer_that_left_is_a_stranger() {
    let (mut one, mut two, a, _) = pair();
    let run = encapsulated(&mut one, a, &udp(2, 3, 18));
    assert_eq!(two.receive(&run).0.len(), 1);
    two.apply(Update::RemovePeer { bridge: RED, vtep: one.vtep });
    two.drops(DropReason::UnknownVtep, |host| !host.receive(&run).0.is_empty());
}

#[test]
fn vx_23_an_endpoint_of_this_host_does_not_speak_from_outside() {
    let (mut one, mut two, a, _) = pair();
    let mut run = encapsulated(&mut one, a, &udp(2, 3, 18));
    run.3[8 + 11] = 3;
    two.drops(DropReason::SourceHere, |host| !host.receive(&run).0.is_empty());
}

#[test]
fn partial_checksums_of_a_linux_sender_are_completed_by_the_receiver() {
    let (mut one, mut two, a, _) = pair();
    let frame = tcp_super(2, 3, 56_000, 1400);
    let run = encapsulated(&mut one, a, &udp(2, 3, 18));
    // As over veth: the super-frame whole, in one datagram, its checksum partial.
    let datagram = [&run.3[..8], frame.bytes()].concat();
    let len = datagram.len();
    let (frames, _) = two.receive(&(run.0, run.1, 0, datagram, len));
    let [(_, got)] = frames.as_slice() else { panic!("{} frames", frames.len()) };
    assert_eq!(got.bytes(), frame.bytes());
    assert_eq!((got.offload.gso(), got.offload.gso_size()), (Gso::Tcp4, 1410), "cut to the network's MTU");
    assert_eq!(got.offload.partial_checksum(), Some((34, 16)));
    assert_eq!(two.switch.counters().partial, 1);
}

/// A handshake has no payload to join; it would end in the receiver if its checksum passed for a complete one.
#[rstest]
#[case::unmarked(0, 0)]
#[case::marked_on_the_way(2, 3)]
fn a_partial_checksum_is_known_in_frames_that_are_not_joined(#[case] inner: u8, #[case] outer: u8) {
    let (mut one, mut two, a, _) = pair();
    let run = encapsulated(&mut one, a, &udp(2, 3, 18));
    let (src, dst) = (ip(2).octets(), ip(3).octets());
    let mut syn = Vec::new();
    let builder = PacketBuilder::ethernet2(mac(2).0, mac(3).0).ipv4(src, dst, 64).tcp(1000, 2000, 7, 9000).syn();
    builder.write(&mut syn, &[]).unwrap();
    syn[50..52].copy_from_slice(&checksum::fold(checksum::pseudo_ipv4(src, dst, 6, 20)).to_be_bytes());
    let headers = parse(&syn).unwrap();
    wire::set_ecn(&mut syn, &headers, inner);
    let mut datagram = [&run.3[..8], &syn[..]].concat();
    let len = datagram.len();
    let (frames, _) = two.receive(&(run.0, run.1, outer, datagram.clone(), len));
    assert_eq!(frames[0].1.offload.partial_checksum(), Some((34, 16)));
    assert_eq!(two.switch.counters().partial, 1);
    datagram[8 + 50] ^= 1;
    two.drops(DropReason::InnerChecksum, |host| !host.receive(&(run.0, run.1, outer, datagram, len)).0.is_empty());
}

#[test]
fn a_udp_super_frame_of_unknown_segment_size_is_dropped() {
    let (mut one, mut two, a, _) = pair();
    let run = encapsulated(&mut one, a, &udp(2, 3, 18));
    let mut bytes = udp(2, 3, 4_000);
    let len = (bytes.len() - 34) as u16;
    let partial = checksum::fold(checksum::pseudo_ipv4(ip(2).octets(), ip(3).octets(), 17, len));
    bytes[40..42].copy_from_slice(&partial.to_be_bytes());
    let datagram = [&run.3[..8], &bytes[..]].concat();
    let len = datagram.len();
    two.drops(DropReason::InnerSuperFrame, |host| !host.receive(&(run.0, run.1, 0, datagram, len)).0.is_empty());
}

#[test]
fn offload_metadata_that_contradicts_the_frame_is_refused() {
    let (mut one, _, a, _) = pair();
    let mut frame = tcp_super(2, 3, 5_000, 1400);
    frame.offload = Offload::segmented(Gso::Tcp4, 0, 54, 34, 16);
    one.drops(DropReason::BadOffload, |host| !host.send_frame(a, frame).1.is_empty());
    let mut frame = tcp_super(2, 3, 5_000, 1400);
    frame.offload = Offload::from_bytes(&[1, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    one.drops(DropReason::BadOffload, |host| !host.send_frame(a, frame).1.is_empty());
}

#[test]
fn an_endpoint_that_moves_to_another_host_is_followed_at_once() {
    let (mut one, two, a, _) = pair();
    let third: IpAddr = "192.0.2.3".parse().unwrap();
    assert_eq!(encapsulated(&mut one, a, &udp(2, 3, 18)).1, two.vtep);
    let moved =
        Update::Endpoint { bridge: RED, mac: mac(3), addresses: vec![ip(3).into()], place: Place::Tunnel(third) };
    one.apply(moved);
    assert_eq!(encapsulated(&mut one, a, &udp(2, 3, 18)).1, third);
    let late = Update::RemoveEndpoint { bridge: RED, mac: mac(3), place: Place::Tunnel(two.vtep) };
    one.apply(late);
    assert_eq!(encapsulated(&mut one, a, &udp(2, 3, 18)).1, third, "a late removal of the old place changes nothing");
}

#[test]
fn arp_from_a_foreign_vtep_reaches_the_endpoint() {
    let (mut one, mut two, a, b) = pair();
    let run = encapsulated(&mut one, a, &arp(1, mac(2), ip(2), Mac::ZERO, ip(99), Mac::BROADCAST));
    let (frames, _) = two.receive(&run);
    assert_eq!(frames.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [b]);
}

#[test]
fn a_vni_that_went_to_another_bridge_stays_there() {
    let (mut one, mut two, a, _) = pair();
    let run = encapsulated(&mut one, a, &raw(mac(2), Mac::BROADCAST, 0x88b5, &[0; 46]));
    two.bridge(BLUE, Some(42));
    let blue = two.open_port(9, BLUE);
    two.apply(Update::Peer { bridge: BLUE, vtep: one.vtep });
    two.apply(Update::RemoveBridge { id: RED });
    let (frames, _) = two.receive(&run);
    assert_eq!(frames.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [blue]);
}

#[test]
fn the_engine_pauses_before_frames_that_cannot_be_joined_take_much_memory() {
    let (mut one, mut two, a, _) = pair();
    let mut frame = udp(2, 3, 18);
    // Without a checksum: nothing says that it is whole.
    frame[40..42].fill(0);
    let (from, _, ecn, bytes, segment) = encapsulated(&mut one, a, &frame);
    let run = bytes.repeat(8);
    let mut runs = std::iter::repeat_n(Datagram { from, ecn, bytes: &run, segment }, 64).peekable();
    let mut received = 0;
    while runs.peek().is_some() {
        two.switch.decapsulate(two.now, &mut runs, &mut two.out);
        assert!((1..=136).contains(&two.out.frames.len()), "{} at once", two.out.frames.len());
        received += two.out.frames.len();
        two.out.clear();
    }
    assert_eq!(received, 64 * 8);
}
