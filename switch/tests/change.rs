//! What a change of the tables does to conversations that are under way, and to flows that are cached.

mod world;

use std::net::{IpAddr, Ipv4Addr};

use switch::{Limits, PortId, Publish, PublishId, Steer, Switch, Update};
use world::outside::{FAR, HOST, gateway_mac, host, in_, published, seen, tcp, udp, up};
use world::{Host, RED, ip, mac, v6};

fn connections(host: &mut Host) -> u32 {
    host.switch.maintain(host.now);
    host.switch.tracker().usage().connections
}

#[test]
fn a_network_that_becomes_internal_has_no_way_out_any_more() {
    let (mut host, port) = host();
    let ask = udp(up(), (ip(2), 4000), (FAR, 53), 64, 30);
    for _ in 0..2 {
        host.send(port, &ask);
        host.send(PortId::HOST, &udp(in_(), (FAR, 53), (HOST, 4000), 60, 9));
    }
    host.gateway(RED, "10.10.10.1/24", true, true);
    assert_eq!(connections(&mut host), 0);
    assert_eq!(seen(&host.send(port, &ask).0)[0].icmp, Some((3, 13)));
}

#[test]
fn a_network_whose_gateway_stays_keeps_its_connections() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    host.gateway(RED, "10.10.10.1/24", false, true);
    assert_eq!(connections(&mut host), 1);
}

#[test]
fn an_address_that_moves_to_a_neighbour_takes_its_routed_flows_along() {
    let (mut host, a) = host();
    host.gateways(RED, &["10.10.10.1/24", "10.20.0.1/24"], false, true);
    let far = Ipv4Addr::new(10, 20, 0, 5);
    let (b, c) = (host.endpoint(2, RED, far), host.endpoint(3, RED, ip(3)));
    let packet = udp(up(), (ip(2), 4000), (far, 53), 64, 9);
    for _ in 0..2 {
        assert_eq!(seen(&host.send(a, &packet).0)[0].port, b);
    }
    let addresses = vec![IpAddr::V4(ip(3)), far.into()];
    host.apply(Update::Endpoint { bridge: RED, mac: mac(3), addresses, place: switch::Place::Port(c) });
    assert_eq!(seen(&host.send(a, &packet).0)[0].port, c);
    // And one that its owner gives up leads nowhere.
    let addresses = vec![IpAddr::V4(ip(3)), v6(ip(3))];
    host.apply(Update::Endpoint { bridge: RED, mac: mac(3), addresses, place: switch::Place::Port(c) });
    assert_eq!(seen(&host.send(a, &packet).0)[0].icmp, Some((3, 1)));
}

#[test]
fn an_endpoint_that_moves_to_another_host_leaves_its_connections_behind() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let vtep = "192.0.2.2".parse().unwrap();
    host.remote(RED, ip(2), vtep);
    assert_eq!(connections(&mut host), 0);
    // There it has none here: nothing to look for when it goes.
    host.send(PortId::HOST, &udp(in_(), (FAR, 53), (HOST, 4000), 60, 9));
    let place = switch::Place::Tunnel(vtep);
    host.apply(Update::RemoveEndpoint { bridge: RED, mac: mac(2), place });
    assert!(host.switch.next_deadline().is_none_or(|deadline| deadline > host.now));
}

#[test]
fn a_udp_mapping_gives_up_the_port_that_is_published() {
    let (mut host, port) = host();
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    host.send(port, &tcp(up(), (ip(2), 4000), (FAR, 53), "S", (1, 0)));
    let rule = Publish { protocol: 17, ..published(None, (4000, 4000), ip(2), 80) };
    host.apply(Update::Publish { id: PublishId(1), rule });
    assert_eq!(connections(&mut host), 1, "TCP's port is another");
}

/// A host without an uplink has nobody to tell.
#[test]
fn nothing_is_kept_for_steering_that_nobody_asks_for() {
    let (mut host, _) = host();
    let settings = nat::Settings { report_gone: false, ..nat::Settings::RFC };
    let random = Box::new(|| 7);
    host.switch = Switch::with_translation(Limits::default(), 1, settings, random, Box::new(|_, _, _| true));
    host.gateway(RED, "10.10.10.1/24", false, true);
    let route = switch::Route { to: "0.0.0.0/0".parse().unwrap(), source: HOST.into(), mtu: 1500 };
    host.apply(Update::Host { addresses: vec![HOST.into()], routes: vec![route] });
    let port = host.endpoint(1, RED, ip(2));
    host.send(port, &udp(up(), (ip(2), 4000), (FAR, 53), 64, 30));
    let mut steering: Vec<Steer> = Vec::new();
    host.switch.take_steering(&mut steering);
    assert!(steering.is_empty(), "{steering:?}");
}

/// What ends and begins again between two looks is steered when they are over.
#[test]
fn steering_hears_ends_before_beginnings_of_the_same_ends() {
    let (mut host, port) = host();
    let syn = tcp(up(), (ip(2), 4000), (FAR, 80), "S", (1, 0));
    host.send(port, &syn);
    host.send(PortId::HOST, &tcp(in_(), (FAR, 80), (HOST, 4000), "RA", (0, 2)));
    host.send(port, &tcp(up(), (ip(2), 4000), (FAR, 80), "S", (900_000, 0)));
    host.send(port, &udp((mac(2), gateway_mac()), (ip(2), 1), (FAR, 2), 64, 1));
    let mut steering = Vec::new();
    host.switch.take_steering(&mut steering);
    let words: Vec<bool> = steering.iter().map(|change| matches!(change, Steer::Opened(_))).collect();
    assert_eq!(words, [true, false, true, true], "{steering:?}");
}
