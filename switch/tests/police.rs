//! Rate limits and storm control on memory ports, with time moved by hand.

mod world;

use std::time::Duration;

use proptest::prelude::*;
use switch::{DropReason, Policing, PortId, Rate, Storm, StormLine, Update};
use wire::{Frame, Mac, Offload};
use world::{BLUE, Host, RED, arp, ip, mac, raw, udp};

const A: PortId = PortId(1);

/// Port 1 with these limits, and two more.
fn limited(limits: Policing) -> Host {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    for port in 1..=3 {
        host.open_port(port, RED);
    }
    host.apply(Update::Policing { id: A, limits });
    host
}

fn ingress(bits: u64, burst: u32) -> Policing {
    Policing { ingress: Some(Rate { bits, burst }), ..Policing::default() }
}

fn port_drops(host: &Host, port: PortId) -> u64 {
    host.switch.port_counters().iter().find(|row| row.port == port).unwrap().drops
}

#[test]
fn a_container_that_sends_too_fast_loses_the_rest_and_only_it() {
    let mut host = limited(ingress(8_000_000, 3_000));
    let frame = udp(11, 22, 958);
    assert_eq!(frame.len(), 1_000);
    (0..3).for_each(|_| assert_eq!(host.ports(A, &frame), [2, 3]));
    host.drops(DropReason::RateExceeded, |host| !host.ports(A, &frame).is_empty());
    assert_eq!((port_drops(&host, A), port_drops(&host, PortId(2))), (1, 0));
    assert_eq!(host.ports(PortId(2), &udp(22, 33, 958)), [1, 3], "others have no limit");
    // A byte takes a microsecond.
    host.later(Duration::from_micros(999));
    host.drops(DropReason::RateExceeded, |host| !host.ports(A, &frame).is_empty());
    host.later(Duration::from_micros(1));
    assert_eq!(host.ports(A, &frame), [2]);
}

#[test]
fn cached_flows_are_limited_and_a_limit_taken_away_is_gone() {
    let mut host = limited(ingress(8_000_000, 3_000));
    host.ports(PortId(2), &udp(22, 11, 18));
    let frame = udp(11, 22, 958);
    let batch = |host: &mut Host| {
        let mut frames: Vec<Frame> = (0..10).map(|_| Frame::from_bytes(&frame)).collect();
        host.switch.process(host.now, A, &mut frames, &mut host.out);
        std::mem::take(&mut host.out.frames).len()
    };
    assert_eq!(batch(&mut host), 3);
    assert_eq!(host.dropped(DropReason::RateExceeded), 7);
    // A change applies to the next frame, and is no new burst: a byte takes a microsecond, then half of one.
    host.apply(Update::Policing { id: A, limits: Policing { broadcast: Some(9), ..ingress(8_000_000, 3_000) } });
    assert_eq!(batch(&mut host), 0);
    host.apply(Update::Policing { id: A, limits: ingress(16_000_000, 6_000) });
    host.later(Duration::from_millis(2));
    assert_eq!(batch(&mut host), 4);
    host.apply(Update::Policing { id: A, limits: Policing::default() });
    assert_eq!(batch(&mut host), 10);
}

#[test]
fn a_super_frame_counts_all_its_bytes_and_passes_a_smaller_burst() {
    let mut host = limited(ingress(80_000_000, 10_000));
    let long = udp(11, 22, 60_000);
    assert_eq!(host.ports(A, &long), [2, 3], "the bucket was full");
    let frame = udp(11, 22, 958);
    host.drops(DropReason::RateExceeded, |host| !host.ports(A, &frame).is_empty());
    // 60,042 bytes were taken out of 10,000: at ten bytes a microsecond it takes 5,005 of them to owe nothing, 100 to have 1,000.
    host.later(Duration::from_micros(5_104));
    host.drops(DropReason::RateExceeded, |host| !host.ports(A, &frame).is_empty());
    host.later(Duration::from_micros(1));
    assert_eq!(host.ports(A, &frame), [2, 3]);
}

#[test]
fn a_super_frame_of_tiny_segments_pays_for_all_its_headers() {
    let mut host = limited(ingress(8_000_000, 20_000));
    let mut send = |len: usize, size: u16| {
        let mut frame = Frame::from_bytes(&udp(11, 22, len));
        frame.offload = Offload::segmented(wire::Gso::Udp, size, 42, 34, 6);
        host.send_frame(A, frame).0.len()
    };
    // 42 + 1,000 bytes in 100 packets: 5,200 of 20,000.
    let passed: Vec<usize> = (0..5).map(|_| send(1_000, 10)).collect();
    assert_eq!(passed, [2, 2, 2, 0, 0]);
    // What it says of itself is taken at its word, whatever it is.
    for size in [0, 1, u16::MAX] {
        send(18, size);
    }
}

#[test]
fn storm_limits_that_stay_are_no_new_burst() {
    let mut host = limited(Policing { unknown: Some(100), ..Policing::default() });
    let passed = |host: &mut Host| (0..20).filter(|_| !host.ports(A, &flood(Storm::Unknown)).is_empty()).count();
    assert_eq!(passed(&mut host), 10);
    host.apply(Update::Policing { id: A, limits: Policing { unknown: Some(100), ..ingress(1_000_000, 20_000) } });
    assert_eq!(passed(&mut host), 0);
}

#[test]
fn a_port_that_changes_its_network_begins_without_limits() {
    let mut host = limited(ingress(8, 1));
    host.bridge(BLUE, None);
    host.drops(DropReason::RateExceeded, |host| {
        host.ports(A, &udp(11, 22, 958));
        !host.ports(A, &udp(11, 22, 958)).is_empty()
    });
    host.open_port(1, BLUE);
    host.open_port(9, BLUE);
    (0..5).for_each(|_| assert_eq!(host.ports(A, &udp(11, 22, 958)), [9]));
}

/// One frame of each kind.
fn flood(kind: Storm) -> Vec<u8> {
    let dst = match kind {
        Storm::Broadcast => Mac::BROADCAST,
        Storm::Multicast => Mac([0x33, 0x33, 0, 0, 0, 1]),
        Storm::Unknown => mac(99),
    };
    raw(mac(11), dst, 0x88b5, &[0; 46])
}

#[test]
fn each_kind_of_flood_has_its_own_limit_and_is_told_once() {
    for kind in [Storm::Broadcast, Storm::Multicast, Storm::Unknown] {
        let (mut limits, reason) = (
            Policing::default(),
            match kind {
                Storm::Broadcast => DropReason::StormBroadcast,
                Storm::Multicast => DropReason::StormMulticast,
                Storm::Unknown => DropReason::StormUnknown,
            },
        );
        match kind {
            Storm::Broadcast => limits.broadcast = Some(100),
            Storm::Multicast => limits.multicast = Some(100),
            Storm::Unknown => limits.unknown = Some(100),
        }
        let mut host = limited(limits);
        (0..10).for_each(|_| assert_eq!(host.ports(A, &flood(kind)), [2, 3], "a tenth of a second's at once"));
        (0..5).for_each(|_| host.drops(reason, |host| !host.ports(A, &flood(kind)).is_empty()));
        for other in [Storm::Broadcast, Storm::Multicast, Storm::Unknown].into_iter().filter(|other| *other != kind) {
            (0..50).for_each(|_| assert_eq!(host.ports(A, &flood(other)), [2, 3]));
        }
        let mut lines = Vec::new();
        host.switch.take_storms(&mut lines);
        assert_eq!(lines, [StormLine { port: "open".into(), kind }]);
        host.later(Duration::from_millis(10));
        assert_eq!(host.ports(A, &flood(kind)), [2, 3], "one in ten milliseconds");
        host.drops(reason, |host| !host.ports(A, &flood(kind)).is_empty());
        host.later(Duration::from_secs(60));
        (0..11).for_each(|_| drop(host.ports(A, &flood(kind))));
        lines.clear();
        host.switch.take_storms(&mut lines);
        assert_eq!(lines.len(), 1, "once a minute");
    }
}

#[test]
fn what_is_answered_or_goes_to_one_place_is_no_flood() {
    let mut host = limited(Policing { broadcast: Some(1), unknown: Some(1), ..Policing::default() });
    host.endpoint(4, RED, ip(40));
    for _ in 0..100 {
        let question = arp(1, mac(11), ip(11), Mac::ZERO, ip(40), Mac::BROADCAST);
        assert_eq!(host.ports(A, &question), [1], "the answer");
        assert_eq!(host.ports(A, &udp(11, 40, 18)), [4]);
    }
    assert_eq!(host.switch.counters().dropped_in_all(), 0);
}

#[test]
fn a_super_frame_is_as_many_packets_as_it_will_be() {
    let mut host = limited(Policing { unknown: Some(100), ..Policing::default() });
    let long = |host: &mut Host| {
        let mut frame = Frame::from_bytes(&udp(11, 22, 5_000));
        frame.offload = Offload::segmented(wire::Gso::Udp, 1_000, 42, 34, 6);
        host.send_frame(A, frame).0.len()
    };
    assert_eq!((long(&mut host), long(&mut host), long(&mut host)), (2, 2, 0), "5 and 5 of 10");
    host.later(Duration::from_millis(50));
    assert_eq!(long(&mut host), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// However frames come, whatever they are: a port passes no more than rate × time + burst.
    #[test]
    fn a_port_passes_no_more_than_its_rate_and_a_burst(
        bits in 100_000u64..1_000_000_000,
        burst in 2_000u32..200_000,
        batches in proptest::collection::vec((0u64..5_000_000, 1usize..20, 18usize..1_900), 1..60),
    ) {
        let mut host = limited(ingress(bits, burst));
        let (start, mut passed, mut sent) = (host.now, 0u128, 0u128);
        for (gap, count, len) in batches {
            host.later(Duration::from_nanos(gap));
            for _ in 0..count {
                let frame = udp(11, 22, len);
                sent += 1;
                if !host.ports(A, &frame).is_empty() {
                    passed += frame.len() as u128;
                }
            }
            let most = u128::from(bits) * host.now.since(start).as_nanos() / 8_000_000_000;
            prop_assert!(passed <= most + u128::from(burst));
        }
        let dropped = host.dropped(DropReason::RateExceeded);
        prop_assert!(u128::from(dropped) <= sent && dropped == host.switch.counters().dropped_in_all());
    }
}
