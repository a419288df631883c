//! The gateway on memory ports: what it answers, where it routes, what it translates.

mod world;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use etherparse::PacketBuilder;
use switch::{DropReason, PortId, Publish, PublishId, Route, Steer, Update};
use wire::{Frame, Mac};
use world::outside::{FAR, HOST, OUT, UPLINK, echo, gateway_mac, host, in_, own, published, seen, tcp, udp, up};
use world::{BLUE, RED, arp, ip, mac, v6};

#[test]
fn the_gateway_answers_arp_and_echo() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &arp(1, mac(2), ip(2), Mac([0; 6]), ip(1), Mac::BROADCAST));
    assert_eq!((frames.len(), frames[0].0), (1, port));
    assert_eq!(&frames[0].1.bytes()[22..28], &gateway_mac().0, "sender of the reply");

    let (frames, _) = host.send(port, &echo(up(), ip(2), ip(1)));
    let reply = &seen(&frames)[0];
    assert_eq!((reply.port, reply.icmp, reply.src, reply.dst), (port, Some((0, 0)), ip(1), ip(2)));
    assert_eq!((reply.src_mac, reply.dst_mac), (gateway_mac(), mac(2)));
}

#[test]
fn services_that_the_gateway_does_not_offer_are_refused() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 1000), (ip(1), 99), 64, 10));
    assert_eq!(seen(&frames)[0].icmp, Some((3, 3)));
    let (frames, _) = host.send(port, &tcp(up(), (ip(2), 1000), (ip(1), 99), "S", (5, 0)));
    let reset = &seen(&frames)[0];
    assert_eq!((reset.ports, reset.bytes[47] & 0x04), ((99, 1000), 0x04), "RST");
    assert_eq!(host.dropped(DropReason::NoService), 2);
}

#[test]
fn egress_gets_the_hosts_address_and_finds_back() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let sent = &seen(&frames)[0];
    assert_eq!((sent.port, sent.dst_mac, sent.src, sent.dst), (PortId::HOST, OUT, HOST, FAR));
    assert_eq!((sent.ports, sent.ttl), ((4000, 53), 63), "the port is kept where it is free");

    let answer = udp(in_(), (FAR, 53), (HOST, 4000), 60, 100);
    let (frames, _) = host.send(PortId::HOST, &answer);
    let back = &seen(&frames)[0];
    assert_eq!((back.port, back.src, back.dst, back.ports, back.ttl), (port, FAR, ip(2), (53, 4000), 59));
    assert_eq!((back.src_mac, back.dst_mac), (gateway_mac(), mac(2)));

    // Both have spoken: from now on the cache decides.
    let misses = host.switch.counters().misses;
    for _ in 0..2 {
        host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
        host.send(PortId::HOST, &answer);
    }
    assert_eq!(host.switch.counters().misses - misses, 1, "the first answer went before");
    let mut steering = Vec::new();
    host.switch.take_steering(&mut steering);
    let [Steer::Opened(tuple)] = steering[..] else { panic!("{steering:?}") };
    assert_eq!((tuple.src.ip(), tuple.dst.ip(), tuple.src_port, tuple.dst_port), (FAR.into(), HOST.into(), 53, 4000));
}

#[test]
fn strangers_from_outside_are_dropped() {
    let (mut host, port) = host();
    host.drops(DropReason::NoMapping, |host| {
        !host.send(PortId::HOST, &udp(in_(), (FAR, 53), (HOST, 4000), 60, 9)).0.is_empty()
    });
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let other = Ipv4Addr::new(203, 0, 113, 10);
    host.drops(DropReason::Filtered, |host| {
        !host.send(PortId::HOST, &udp(in_(), (other, 53), (HOST, 4000), 60, 9)).0.is_empty()
    });
    // A packet to a container's own address from somebody who is not this host.
    host.drops(DropReason::NoMapping, |host| {
        !host.send(PortId::HOST, &udp(in_(), (FAR, 53), (ip(2), 80), 60, 9)).0.is_empty()
    });
}

#[test]
fn time_exceeded_and_unreachable_are_said() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 1, 30));
    assert_eq!((seen(&frames)[0].icmp, seen(&frames)[0].src), (Some((11, 0)), ip(1)));
    let nowhere = host.send(port, &udp(up(), (ip(2), 4000), (ip(99), 53), 64, 30)).0;
    assert_eq!(seen(&nowhere)[0].icmp, Some((3, 1)));
}

#[test]
fn nu_16_ip_10_what_is_too_big_is_fragmented_or_said_so() {
    let (mut host, port) = host();
    let mut bytes = udp(up(), (ip(2), 4000), (FAR, 53), 64, 1600);
    bytes[20] = 0x40;
    let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    let (frames, _) = host.send(port, &bytes);
    let big = &seen(&frames)[0];
    assert_eq!((big.icmp, &big.bytes[40..42]), (Some((3, 4)), &1500u16.to_be_bytes()[..]));
    assert_eq!(host.dropped(DropReason::TooBig), 1);
    // Without DF it is fragmented.
    bytes[20] = 0;
    let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    let (frames, _) = host.send(port, &bytes);
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|(port, frame)| *port == PortId::HOST && frame.len() <= 1514));
}

#[test]
fn ip_05_errors_are_few_under_a_flood() {
    let (mut host, port) = host();
    let errors: usize = (0..1_000).map(|n| host.send(port, &udp(up(), (ip(2), n), (ip(1), 99), 64, 1)).0.len()).sum();
    assert_eq!(errors, 100);
    host.later(Duration::from_secs(1));
    assert_eq!(host.send(port, &udp(up(), (ip(2), 1), (ip(1), 99), 64, 1)).0.len(), 1);
}

#[test]
fn networks_do_not_reach_each_other_and_internal_ones_nobody() {
    let (mut host, port) = host();
    host.gateway(BLUE, "10.99.0.1/16", true, true);
    let blue = host.endpoint(2, BLUE, Ipv4Addr::new(10, 99, 0, 2));
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (Ipv4Addr::new(10, 99, 0, 2), 53), 64, 9));
    assert_eq!((seen(&frames)[0].icmp, host.dropped(DropReason::OtherNetwork)), (Some((3, 13)), 1));
    let from = Ipv4Addr::new(10, 99, 0, 2);
    let link = (Mac::from_ipv4(from), Mac::from_ipv4(Ipv4Addr::new(10, 99, 0, 1)));
    for to in [FAR, HOST, ip(2)] {
        let (frames, _) = host.send(blue, &udp(link, (from, 4000), (to, 53), 64, 9));
        assert_eq!((frames.len(), seen(&frames)[0].icmp), (1, Some((3, 13))));
    }
    assert_eq!(host.dropped(DropReason::Internal), 3);
    let (frames, _) = host.send(blue, &echo(link, from, Ipv4Addr::new(10, 99, 0, 1)));
    assert_eq!(seen(&frames)[0].icmp, Some((0, 0)), "its own gateway answers");
}

#[test]
fn the_subnets_of_a_network_are_routed_and_nothing_of_that_is_tracked() {
    let (mut host, a) = host();
    host.gateways(RED, &["10.10.10.1/24", "10.20.0.1/24"], false, true);
    let far = Ipv4Addr::new(10, 20, 0, 5);
    let b = host.endpoint(2, RED, far);
    for _ in 0..2 {
        let (frames, _) = host.send(a, &udp(up(), (ip(2), 4000), (far, 53), 64, 9));
        let there = &seen(&frames)[0];
        assert_eq!((there.port, there.src, there.dst, there.ttl), (b, ip(2), far, 63));
        assert_eq!((there.src_mac, there.dst_mac), (gateway_mac(), Mac::from_ipv4(far)));
    }
    assert_eq!(host.switch.tracker().usage().connections, 0);
    assert_eq!(host.switch.counters().hits, 1);
}

#[test]
fn a_published_port_keeps_the_clients_address() {
    let (mut host, port) = host();
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8000, 8009), ip(2), 80) });
    let (frames, _) = host.send(PortId::HOST, &tcp(in_(), (FAR, 5000), (HOST, 8003), "S", (1, 0)));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.src, there.dst, there.ports), (port, FAR, ip(2), (5000, 83)));
    let (frames, _) = host.send(port, &tcp(up(), (ip(2), 83), (FAR, 5000), "SA", (9, 2)));
    let back = &seen(&frames)[0];
    assert_eq!((back.port, back.dst_mac, back.src, back.ports), (PortId::HOST, OUT, HOST, (8003, 5000)));
    host.drops(DropReason::NoMapping, |host| {
        !host.send(PortId::HOST, &tcp(in_(), (FAR, 5000), (HOST, 8010), "S", (1, 0))).0.is_empty()
    });
    host.apply(Update::RemovePublish { id: PublishId(1) });
    host.switch.maintain(host.now);
    assert_eq!(host.switch.tracker().usage().connections, 0, "its connections ended with the rule");
    host.drops(DropReason::NoMapping, |host| {
        !host.send(PortId::HOST, &tcp(in_(), (FAR, 5000), (HOST, 8003), "S", (1, 0))).0.is_empty()
    });
}

#[test]
fn the_host_reaches_rules_by_their_own_addresses_and_others_do_not() {
    let (mut host, port) = host();
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8000, 8000), ip(2), 80) });
    let (link, via) = (Ipv4Addr::new(169, 254, 86, 1), Ipv4Addr::new(169, 254, 86, 3));
    let (frames, _) = host.send(PortId::HOST, &tcp(own(), (link, 5000), (via, 8000), "S", (1, 0)));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.src, there.dst, there.ports.1), (port, ip(1), ip(2), 80), "as from the gateway");
    let answer = tcp(up(), (ip(2), 80), (ip(1), there.ports.0), "SA", (9, 2));
    let back = &seen(&host.send(port, &answer).0)[0];
    assert_eq!((back.port, back.dst_mac, back.src, back.dst), (PortId::HOST, UPLINK, via, link));
    assert_eq!(back.ports, (8000, 5000));
    host.drops(DropReason::NoMapping, |host| {
        !host.send(PortId::HOST, &tcp(in_(), (FAR, 5000), (via, 8000), "S", (1, 0))).0.is_empty()
    });
}

#[test]
fn the_host_reaches_the_containers_of_its_bridge_networks_only() {
    let (mut host, port) = host();
    let (frames, _) = host.send(PortId::HOST, &echo(own(), HOST, ip(2)));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.src, there.dst, there.icmp), (port, ip(1), ip(2), Some((8, 0))));
    host.gateway(RED, "10.10.10.1/24", false, false);
    host.drops(DropReason::NoRoute, |host| {
        host.send(PortId::HOST, &udp(own(), (HOST, 1), (ip(2), 2), 64, 1))
            .0
            .iter()
            .any(|(port, _)| *port != PortId::HOST)
    });
}

#[test]
fn containers_reach_the_host_as_themselves_or_masked() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (HOST, 123), 64, 9));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.dst_mac, there.src, there.dst), (PortId::HOST, UPLINK, ip(2), HOST));
    let (frames, _) = host.send(PortId::HOST, &udp(own(), (HOST, 123), (ip(2), 4000), 64, 9));
    assert_eq!((seen(&frames)[0].port, seen(&frames)[0].src), (port, HOST));

    host.gateway(RED, "10.10.10.1/24", false, false);
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4001), (HOST, 123), 64, 9));
    assert_eq!(seen(&frames)[0].src, Ipv4Addr::new(169, 254, 86, 2), "an overlay's addresses mean nothing to the host");
}

#[test]
fn hairpin_to_a_neighbour_keeps_the_client_and_to_oneself_shows_the_gateway() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    host.apply(Update::Publish { id: PublishId(1), rule: published(Some(HOST.into()), (8000, 8000), ip(3), 80) });
    let (frames, _) = host.send(a, &tcp(up(), (ip(2), 5000), (HOST, 8000), "S", (1, 0)));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.src, there.dst, there.ports), (b, ip(2), ip(3), (5000, 80)));
    // The answer is bridged: to the neighbour's own MAC address. Twice: the second may come out of the cache.
    for flags in ["SA", "A"] {
        let (frames, _) = host.send(b, &tcp((mac(3), mac(2)), (ip(3), 80), (ip(2), 5000), flags, (9, 2)));
        let back = &seen(&frames)[0];
        assert_eq!((back.port, back.src, back.dst, back.ports), (a, HOST, ip(2), (8000, 5000)));
    }
    let (frames, _) = host.send(b, &tcp((mac(3), Mac::from_ipv4(ip(1))), (ip(3), 6000), (HOST, 8000), "S", (1, 0)));
    let own = &seen(&frames)[0];
    assert_eq!((own.port, own.src, own.dst, own.ports.1), (b, ip(1), ip(3), 80));
}

#[test]
fn hairpin_across_networks_goes_by_the_published_port_alone() {
    let (mut host, a) = host();
    host.gateway(BLUE, "10.99.0.1/16", false, true);
    let server = Ipv4Addr::new(10, 99, 0, 2);
    let b = host.endpoint(2, BLUE, server);
    let rule = Publish { bridge: BLUE, ..published(None, (8000, 8000), server, 80) };
    host.apply(Update::Publish { id: PublishId(1), rule });
    let (frames, _) = host.send(a, &tcp(up(), (ip(2), 5000), (HOST, 8000), "S", (1, 0)));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.src, there.dst), (b, ip(2), server));
    let link = (Mac::from_ipv4(server), Mac::from_ipv4(Ipv4Addr::new(10, 99, 0, 1)));
    let (frames, _) = host.send(b, &tcp(link, (server, 80), (ip(2), 5000), "SA", (9, 2)));
    let back = &seen(&frames)[0];
    assert_eq!((back.port, back.src, back.dst, back.ports), (a, HOST, ip(2), (8000, 5000)));
}

#[test]
fn nu_11_hairpin_to_a_mapping_shows_public_ends_to_both() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    host.send(b, &udp((mac(3), gateway_mac()), (ip(3), 7000), (FAR, 53), 64, 9));
    host.send(a, &udp(up(), (ip(2), 6000), (FAR, 53), 64, 9));
    // Only whom b has sent to may answer: it sends to a's public end first.
    let (frames, _) = host.send(b, &udp((mac(3), gateway_mac()), (ip(3), 7000), (HOST, 6000), 64, 9));
    assert!(frames.is_empty(), "filtered at a's mapping: {frames:?}");
    let (frames, _) = host.send(a, &udp(up(), (ip(2), 6000), (HOST, 7000), 64, 9));
    let there = &seen(&frames)[0];
    assert_eq!((there.port, there.src, there.dst, there.ports), (b, HOST, ip(3), (6000, 7000)));
    assert_eq!(there.ttl, 62, "through the translator twice");
    // And so does all that follows, both ways.
    for _ in 0..3 {
        let (frames, _) = host.send(b, &udp((mac(3), gateway_mac()), (ip(3), 7000), (HOST, 6000), 64, 9));
        let back = &seen(&frames)[0];
        assert_eq!((back.port, back.src, back.dst, back.ports), (a, HOST, ip(2), (7000, 6000)));
        let (frames, _) = host.send(a, &udp(up(), (ip(2), 6000), (HOST, 7000), 64, 9));
        let there = &seen(&frames)[0];
        assert_eq!((there.port, there.src, there.dst, there.ports), (b, HOST, ip(3), (6000, 7000)));
    }
}

#[test]
fn an_error_from_outside_is_translated_back() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let sent = frames[0].1.bytes().to_vec();
    let router = Ipv4Addr::new(192, 0, 2, 77);
    let quoted = &sent[14..14 + 28];
    let builder = PacketBuilder::ethernet2([2; 6], [3; 6]).ipv4(router.octets(), HOST.octets(), 60);
    let unreachable = etherparse::icmpv4::DestUnreachableHeader::Host;
    let builder = builder.icmpv4(etherparse::Icmpv4Type::DestinationUnreachable(unreachable));
    let mut bytes = Vec::new();
    builder.write(&mut bytes, quoted).unwrap();
    let (frames, _) = host.send(PortId::HOST, &bytes);
    let error = &seen(&frames)[0];
    assert_eq!((error.port, error.icmp, error.src, error.dst), (port, Some((3, 1)), router, ip(2)));
    assert_eq!(&error.bytes[42 + 12..42 + 16], &ip(2).octets(), "the quoted source is the container's again");
}

#[test]
fn connections_end_with_their_endpoint() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    host.apply(Update::RemovePort { id: port });
    assert!(host.switch.next_deadline().is_some_and(|deadline| deadline <= host.now));
    host.switch.maintain(host.now);
    assert_eq!(host.switch.tracker().usage().connections, 0);
    let mut steering = Vec::new();
    host.switch.take_steering(&mut steering);
    assert!(matches!(steering[..], [Steer::Opened(one), Steer::Ended(other)] if one == other), "{steering:?}");
}

#[test]
fn an_endpoint_row_that_changes_nothing_ends_nothing() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let addresses = vec![IpAddr::V4(ip(2)), v6(ip(2))];
    host.apply(Update::Endpoint { bridge: RED, mac: mac(2), addresses, place: switch::Place::Port(port) });
    host.switch.maintain(host.now);
    assert_eq!(host.switch.tracker().usage().connections, 1);
}

#[test]
fn without_an_uplink_or_route_it_is_said() {
    let (mut host, port) = host();
    host.apply(Update::Host { addresses: vec![HOST.into()], routes: vec![] });
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    assert_eq!((seen(&frames)[0].icmp, host.dropped(DropReason::NoRoute)), (Some((3, 0)), 1));
    host.apply(Update::Uplink { mac: None });
    host.send(port, &udp(up(), (ip(2), 4000), (HOST, 53), 64, 30));
    assert_eq!(host.dropped(DropReason::NoUplink), 1);
}

#[test]
fn idle_connections_are_forgotten() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    for _ in 0..400 {
        host.later(Duration::from_secs(1));
        host.switch.maintain(host.now);
    }
    assert_eq!(host.switch.tracker().usage().connections, 0);
}

#[test]
fn ip_06_a_packet_for_a_host_in_a_frame_for_all_is_not_routed() {
    let (mut host, port) = host();
    host.endpoint(2, RED, ip(3));
    let (frames, _) = host.send(port, &udp((mac(2), Mac::BROADCAST), (ip(2), 4000), (FAR, 53), 64, 9));
    assert!(frames.iter().all(|(port, _)| *port != PortId::HOST));
    assert_eq!(host.switch.tracker().usage().connections, 0);
}

#[test]
fn ip_07_ip_08_martians_are_not_routed() {
    let (mut host, _) = host();
    let open = host.open_port(5, RED);
    let link = (Mac([2, 0, 0, 0, 0, 5]), gateway_mac());
    let sources: [[u8; 4]; 6] =
        [[127, 0, 0, 1], [0, 0, 0, 9], [240, 0, 0, 1], [10, 10, 10, 1], [192, 0, 2, 1], HOST.octets()];
    for from in sources {
        host.drops(DropReason::Martian, |host| {
            !host.send(open, &udp(link, (from.into(), 1), (FAR, 53), 64, 9)).0.is_empty()
        });
    }
    for to in [[127, 0, 0, 1], [0, 0, 0, 9], [240, 0, 0, 1], [224, 0, 0, 9]] {
        host.drops(DropReason::NotRouted, |host| {
            !host.send(open, &udp(link, (ip(9), 1), (to.into(), 53), 64, 9)).0.is_empty()
        });
    }
    let loopback = Ipv4Addr::LOCALHOST;
    host.drops(DropReason::Martian, |host| {
        !host.send(PortId::HOST, &udp(in_(), (loopback, 1), (HOST, 2), 64, 9)).0.is_empty()
    });
}

#[test]
fn ip_09_source_quench_is_neither_sent_nor_passed_on() {
    let (mut host, port) = host();
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let builder = PacketBuilder::ethernet2([2; 6], [3; 6]).ipv4(FAR.octets(), HOST.octets(), 60);
    let mut bytes = Vec::new();
    let quoted = frames[0].1.bytes()[14..42].to_vec();
    builder.icmpv4_raw(4, 0, [0; 4]).write(&mut bytes, &quoted).unwrap();
    host.drops(DropReason::Invalid, |host| !host.send(PortId::HOST, &bytes).0.is_empty());
}

#[test]
fn na_05_connections_end_with_the_hosts_address() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let new = Ipv4Addr::new(198, 51, 100, 7);
    let routes = vec![Route { to: "0.0.0.0/0".parse().unwrap(), source: new.into(), mtu: 1500 }];
    host.apply(Update::Host { addresses: vec![new.into()], routes });
    host.switch.maintain(host.now);
    let (frames, _) = host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    assert_eq!(seen(&frames)[0].src, new);
}

#[test]
fn fragments_wait_for_their_first() {
    let (mut host, port) = host();
    let bytes = udp(up(), (ip(2), 4000), (FAR, 53), 64, 1600);
    let frame = Frame::from_bytes(&{
        let mut bytes = bytes;
        bytes[20] = 0;
        let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        bytes
    });
    let (mut pool, mut pieces) = (wire::Pool::new(4), Vec::new());
    wire::fragment::split(&frame, &wire::parse(frame.bytes()).unwrap(), 600, &mut pool, &mut pieces).unwrap();
    pieces.reverse();
    let first = pieces.pop().unwrap();
    for piece in pieces {
        assert!(host.send_frame(port, piece).0.is_empty(), "held back");
    }
    let (frames, _) = host.send_frame(port, first);
    assert_eq!(frames.len(), 3);
    let translated = |(port, frame): &(PortId, Frame)| *port == PortId::HOST && frame.bytes()[26..30] == HOST.octets();
    assert!(frames.iter().all(translated));
    // One that waits in vain is dropped.
    let (mut pool, mut pieces) = (wire::Pool::new(4), Vec::new());
    let other = udp(up(), (ip(2), 4001), (FAR, 54), 64, 1600);
    let mut other = Frame::from_bytes(&other);
    other.bytes_mut()[18..21].copy_from_slice(&[9, 9, 0]);
    let sum = etherparse::Ipv4Header::from_slice(&other.bytes()[14..]).unwrap().0.calc_header_checksum();
    other.bytes_mut()[24..26].copy_from_slice(&sum.to_be_bytes());
    wire::fragment::split(&other, &wire::parse(other.bytes()).unwrap(), 1500, &mut pool, &mut pieces).unwrap();
    host.send_frame(port, pieces.pop().unwrap());
    host.later(Duration::from_secs(1));
    host.switch.maintain(host.now);
    assert_eq!(host.dropped(DropReason::FirstMissing), 1);
}

#[test]
fn two_rules_share_a_port_of_all_addresses_if_they_lead_to_a_family_each() {
    let (mut host, port) = host();
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8000, 8000), ip(2), 80) });
    let six = Publish { to: vec![v6(ip(2))], via: vec![], ..published(None, (8000, 8000), ip(2), 81) };
    host.apply(Update::Publish { id: PublishId(2), rule: six });
    let (frames, _) = host.send(PortId::HOST, &tcp(in_(), (FAR, 5000), (HOST, 8000), "S", (1, 0)));
    assert_eq!((seen(&frames)[0].port, seen(&frames)[0].ports.1), (port, 80));
}

#[test]
fn nu_01_who_is_reached_at_a_published_port_speaks_from_it() {
    let (mut host, port) = host();
    let rule = Publish { protocol: 17, ..published(None, (8000, 8009), ip(2), 80) };
    host.apply(Update::Publish { id: PublishId(1), rule: rule.clone() });
    let from = |host: &mut world::Host, own| {
        let (frames, _) = host.send(port, &udp(up(), (ip(2), own), (FAR, 53), 64, 9));
        let sent = &seen(&frames)[0];
        assert_eq!((sent.src, sent.dst), (HOST, FAR));
        sent.ports.0
    };
    assert_eq!((from(&mut host, 83), from(&mut host, 79), from(&mut host, 90)), (8003, 79, 90));
    let (frames, _) = host.send(PortId::HOST, &udp(in_(), (FAR, 53), (HOST, 8003), 60, 9));
    assert_eq!((seen(&frames)[0].port, seen(&frames)[0].ports), (port, (53, 83)));
    // Neither where another address is published, nor when it no longer is.
    let other = "198.51.100.2".parse().unwrap();
    host.apply(Update::Publish { id: PublishId(1), rule: Publish { at: Some(other), ..rule } });
    assert_eq!(from(&mut host, 84), 84);
    host.apply(Update::RemovePublish { id: PublishId(1) });
    assert_eq!(from(&mut host, 85), 85);
}

#[test]
fn a_published_connection_that_is_picked_up_goes_on_whoever_speaks() {
    let (mut host, port) = host();
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8000, 8000), ip(2), 80) });
    let (frames, _) = host.send(port, &tcp(up(), (ip(2), 80), (FAR, 5000), "A", (9, 2)));
    assert_eq!(seen(&frames)[0].ports, (8000, 5000));
    let (frames, _) = host.send(PortId::HOST, &tcp(in_(), (FAR, 5000), (HOST, 8000), "A", (2, 9)));
    assert_eq!((seen(&frames)[0].port, seen(&frames)[0].ports), (port, (5000, 80)));
}

#[test]
fn nobody_outside_is_a_container() {
    let (mut host, port) = host();
    host.endpoint(2, RED, ip(3));
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8000, 8000), ip(2), 80) });
    let forged = tcp(in_(), (ip(3), 5000), (HOST, 8000), "S", (1, 0));
    host.drops(DropReason::Martian, |host| !host.send(PortId::HOST, &forged).0.is_empty());
    let honest = tcp(in_(), (FAR, 5000), (HOST, 8000), "S", (1, 0));
    assert_eq!(seen(&host.send(PortId::HOST, &honest).0)[0].port, port);
}
