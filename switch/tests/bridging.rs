//! Bridges on memory ports: learning, flooding, ageing, limits, isolation. Rows BR-xx of the standards list.

mod world;

use std::time::Duration;

use rstest::rstest;
use switch::{BridgeSettings, DropReason, FdbKind, Place, Update};
use wire::{Frame, Mac};
use world::{BLUE, Host, RED, arp, ip, mac, raw, udp, udp_between};

fn three_open_ports() -> Host {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    for port in 1..=3 {
        host.open_port(port, RED);
    }
    host
}

fn frame(src: u8, dst: u8) -> Vec<u8> {
    udp(src, dst, 18)
}

const PORTS: [switch::PortId; 4] = [switch::PortId(0), switch::PortId(1), switch::PortId(2), switch::PortId(3)];

#[test]
fn br_01_br_02_unknown_destinations_flood_to_all_others_once() {
    let mut host = three_open_ports();
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2, 3]);
    assert_eq!(host.ports(PORTS[2], &raw(mac(12), Mac::BROADCAST, 0x88b5, &[0; 46])), [1, 3]);
    assert_eq!(host.ports(PORTS[3], &raw(mac(13), Mac([0x33, 0x33, 0, 0, 0, 1]), 0x88b5, &[0; 46])), [1, 2]);
}

#[test]
fn learned_destinations_get_the_frame_alone_and_the_flow_is_cached() {
    let mut host = three_open_ports();
    host.ports(PORTS[2], &frame(22, 11));
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2]);
    let misses = host.switch.counters().misses;
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2]);
    assert_eq!(host.switch.counters().misses, misses, "the second frame of a flow is a hit");
}

#[test]
fn br_01_a_frame_for_its_own_port_is_dropped() {
    let mut host = three_open_ports();
    host.ports(PORTS[1], &frame(22, 99));
    host.drops(DropReason::SamePort, |host| !host.ports(PORTS[1], &frame(11, 22)).is_empty());
}

#[test]
fn br_03_group_and_zero_sources_are_dropped_and_not_learned() {
    let mut host = three_open_ports();
    for source in [Mac::BROADCAST, Mac([1, 0, 0x5e, 0, 0, 1]), Mac::ZERO] {
        let bytes = raw(source, mac(22), 0x88b5, &[0; 46]);
        host.drops(DropReason::BadSource, |host| !host.ports(PORTS[1], &bytes).is_empty());
    }
    assert!(host.switch.fdb(host.now).is_empty());
}

#[test]
fn br_04_stations_age_out_unless_they_talk() {
    let mut host = three_open_ports();
    host.ports(PORTS[1], &frame(11, 99));
    host.ports(PORTS[2], &frame(22, 11));
    for _ in 0..400 {
        host.later(Duration::from_secs(1));
        // 22 keeps talking, by hits in the cache only.
        host.ports(PORTS[2], &frame(22, 11));
        host.switch.maintain(host.now);
    }
    let macs: Vec<Mac> = host.switch.fdb(host.now).iter().map(|row| row.mac).collect();
    assert_eq!(macs, [mac(22)], "11 was silent for 400 s");
}

#[test]
fn br_05_a_station_that_moves_gets_its_frames_at_once() {
    let mut host = three_open_ports();
    host.ports(PORTS[2], &frame(22, 99));
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2]);
    host.ports(PORTS[3], &frame(22, 99));
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [3]);
}

#[test]
fn br_06_static_entries_stay() {
    let mut host = three_open_ports();
    host.apply(Update::Static { bridge: RED, mac: mac(22), place: Place::Port(PORTS[3]) });
    host.ports(PORTS[2], &frame(22, 99));
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [3]);
    for _ in 0..400 {
        host.later(Duration::from_secs(1));
        host.switch.maintain(host.now);
    }
    let rows = host.switch.fdb(host.now);
    assert!(matches!(rows.as_slice(), [row] if row.kind == FdbKind::Static && row.mac == mac(22)));
    host.apply(Update::RemoveStatic { bridge: RED, mac: mac(22) });
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2, 3]);
}

#[test]
fn br_07_link_local_control_is_never_forwarded() {
    let mut host = three_open_ports();
    for last in 0..16 {
        let bytes = raw(mac(11), Mac([1, 0x80, 0xc2, 0, 0, last]), 0x88cc, &[0; 46]);
        host.drops(DropReason::LinkLocalControl, |host| !host.ports(PORTS[1], &bytes).is_empty());
    }
    assert_eq!(host.ports(PORTS[1], &raw(mac(11), Mac([1, 0x80, 0xc2, 0, 0, 16]), 0x88cc, &[0; 46])), [2, 3]);
}

#[rstest]
#[case::per_port(usize::MAX, 10)]
#[case::per_network(10, usize::MAX)]
fn br_12_a_noisy_port_evicts_only_its_own(#[case] station_limit: usize, #[case] place_limit: usize) {
    let mut host = three_open_ports();
    let mut settings = BridgeSettings::new("net", None, 1500);
    (settings.station_limit, settings.place_limit) = (station_limit, place_limit);
    host.apply(Update::Bridge { id: RED, settings });
    for quiet in [11, 12, 13] {
        host.ports(PORTS[1], &frame(quiet, 99));
    }
    for noise in 0..10_000u32 {
        let [_, b, c, d] = noise.to_be_bytes();
        host.later(Duration::from_millis(1));
        host.ports(PORTS[2], &raw(Mac([6, 1, 1, b, c, d]), mac(99), 0x88b5, &[0; 46]));
    }
    let rows = host.switch.fdb(host.now);
    assert!(rows.len() <= 13, "{} stations", rows.len());
    for quiet in [11, 12, 13] {
        assert!(rows.iter().any(|row| row.mac == mac(quiet)), "{quiet} was evicted");
    }
    assert!(rows.iter().any(|row| row.mac == Mac([6, 1, 1, 0, 0x27, 0x0f])), "the newest is there");
}

#[test]
fn br_13_a_removed_port_takes_its_stations_and_flows_along() {
    let mut host = three_open_ports();
    host.ports(PORTS[2], &frame(22, 99));
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2]);
    host.apply(Update::RemovePort { id: PORTS[2] });
    assert!(host.switch.fdb(host.now).iter().all(|row| row.mac != mac(22)));
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [3]);
    host.drops(DropReason::NoNetwork, |host| !host.ports(PORTS[2], &frame(22, 11)).is_empty());
}

#[test]
fn n3_frames_never_pass_between_networks() {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    host.bridge(BLUE, None);
    let (red, other, blue) = (host.open_port(1, RED), host.open_port(2, RED), host.open_port(3, BLUE));
    // The same addresses in both: each network has its own table.
    host.ports(blue, &frame(22, 11));
    assert_eq!(host.ports(red, &frame(11, 22)), [2]);
    assert_eq!(host.ports(other, &frame(22, 11)), [1]);
    host.drops(DropReason::NobodyThere, |host| {
        !host.ports(blue, &raw(mac(22), Mac::BROADCAST, 0x88b5, &[])).is_empty()
    });
}

#[test]
fn vl_05_tags_pass_within_a_host() {
    let mut host = three_open_ports();
    let tagged = raw(mac(11), mac(22), 0x8100, &[&[0x20, 5, 8, 0][..], &frame(11, 22)[14..]].concat());
    let (frames, _) = host.send(PORTS[1], &tagged);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].1.bytes(), tagged);
}

#[test]
fn malformed_frames_are_dropped_by_name() {
    let mut host = three_open_ports();
    let whole = frame(11, 22);
    for len in 1..whole.len() {
        host.drops(DropReason::Malformed, |host| !host.ports(PORTS[1], &whole[..len]).is_empty());
    }
    assert_eq!(host.ports(PORTS[1], &whole), [2, 3]);
}

#[test]
fn counters_are_exact() {
    let mut host = three_open_ports();
    host.ports(PORTS[1], &frame(11, 22));
    host.ports(PORTS[1], &arp(1, mac(11), ip(11), Mac::ZERO, ip(22), Mac::BROADCAST));
    let row = host.switch.port_counters().into_iter().find(|row| row.port == PORTS[1]).unwrap();
    assert_eq!((row.rx_frames, row.rx_bytes, row.drops), (2, 60 + 42, 0));
    assert_eq!((host.switch.counters().misses, host.switch.counters().floods), (2, 2));
}

#[test]
fn an_address_used_by_two_networks_is_two_flows() {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    host.bridge(BLUE, None);
    for (port, bridge) in [(1, RED), (2, RED), (3, BLUE), (4, BLUE)] {
        host.open_port(port, bridge);
    }
    let bytes = udp_between(mac(11), mac(22), ip(11), ip(22), 5, 18);
    assert_eq!(host.ports(switch::PortId(1), &bytes), [2]);
    assert_eq!(host.ports(switch::PortId(3), &bytes), [4]);
}

#[test]
fn n3_a_port_that_changes_its_network_leaves_no_way_behind() {
    let mut host = three_open_ports();
    host.bridge(BLUE, None);
    // Entries that stay when the port goes: the flow between them depends on nothing behind the port.
    for (last, port) in [(11, 2), (22, 3)] {
        host.apply(Update::Static { bridge: RED, mac: mac(last), place: Place::Port(PORTS[port]) });
    }
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [3]);
    host.open_port(1, BLUE);
    host.drops(DropReason::NobodyThere, |host| !host.ports(PORTS[1], &frame(11, 22)).is_empty());
}

#[test]
fn n3_an_entry_with_a_port_of_another_network_leads_nowhere() {
    let mut host = three_open_ports();
    host.bridge(BLUE, None);
    let blue = host.open_port(9, BLUE);
    host.apply(Update::Static { bridge: RED, mac: mac(22), place: Place::Port(blue) });
    host.drops(DropReason::NoNetwork, |host| !host.ports(PORTS[1], &frame(11, 22)).is_empty());
}

#[test]
fn a_static_entry_hides_an_endpoint_and_no_longer() {
    let mut host = three_open_ports();
    let place = Place::Port(PORTS[2]);
    let row = Update::Endpoint { bridge: RED, mac: mac(22), addresses: vec![ip(22).into()], place };
    let entry = Update::Static { bridge: RED, mac: mac(22), place: Place::Port(PORTS[3]) };
    host.apply(row.clone());
    host.apply(entry.clone());
    host.apply(row.clone());
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [3]);
    host.apply(Update::RemoveStatic { bridge: RED, mac: mac(22) });
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [2], "the endpoint's row applies again");
    host.apply(entry);
    host.apply(Update::RemoveEndpoint { bridge: RED, mac: mac(22), place });
    assert!(host.switch.neighbours().is_empty(), "nobody answers for an endpoint that is gone");
    assert_eq!(host.ports(PORTS[1], &frame(11, 22)), [3]);
}

#[test]
fn an_address_claimed_twice_is_the_later_ones() {
    let mut host = three_open_ports();
    let row = |last: u8| {
        let (addresses, place) = (vec![ip(22).into()], Place::Port(PORTS[2]));
        Update::Endpoint { bridge: RED, mac: mac(last), addresses, place }
    };
    host.apply(row(22));
    host.apply(row(23));
    host.apply(Update::RemoveEndpoint { bridge: RED, mac: mac(22), place: Place::Port(PORTS[2]) });
    assert_eq!(host.switch.neighbours().iter().map(|row| row.mac).collect::<Vec<_>>(), [mac(23)]);
    host.apply(Update::RemovePort { id: PORTS[2] });
    assert!(host.switch.neighbours().is_empty());
}

#[test]
fn a_burst_of_floods_is_taken_in_portions() {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    for port in 1..=101 {
        host.open_port(port, RED);
    }
    let frame = || Frame::from_bytes(&raw(mac(11), Mac::BROADCAST, 0x88b5, &[0; 46]));
    let mut batch: Vec<Frame> = (0..64).map(|_| frame()).collect();
    let (mut calls, mut copies) = (0, 0);
    while !batch.is_empty() {
        host.switch.process(host.now, PORTS[1], &mut batch, &mut host.out);
        assert!(host.out.frames.len() < 300, "{} frames wait", host.out.frames.len());
        copies += host.out.frames.len();
        calls += 1;
        host.out.clear();
    }
    assert_eq!((calls, copies), (32, 6_400));
    let row = host.switch.port_counters().into_iter().find(|row| row.port == PORTS[1]).unwrap();
    assert_eq!(row.rx_frames, 64);
}

#[test]
fn nothing_is_due_while_nothing_ages() {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    host.endpoint(1, RED, ip(2));
    assert_eq!(host.switch.next_deadline(), None);
    host.open_port(2, RED);
    host.ports(PORTS[2], &frame(22, 99));
    assert!(host.switch.next_deadline().is_some());
    host.apply(Update::RemovePort { id: PORTS[2] });
    assert_eq!(host.switch.next_deadline(), None);
}
