//! Rules of two networks: what goes from one by a published port of the other meets those of both.

mod world;

use std::net::Ipv4Addr;

use nat::rules::{Family, Program, load};
use switch::{BridgeId, DropReason, PortId, PublishId, Update};
use world::outside::{FAR, HOST, gateway_mac, host, published, refusal, seen, tcp, udp, up};
use world::{BLUE, Host, RED, ip, mac};

const BLUE_2: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 2);
const BLUE_5: PortId = PortId(5);

/// RED with an endpoint at port 1, whose TCP port 80 is published at 8080, and BLUE with one at port 5.
fn two() -> (Host, PortId) {
    let (mut host, a) = host();
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8080, 8080), ip(2), 80) });
    host.gateway(BLUE, "10.20.0.1/24", false, true);
    host.endpoint(5, BLUE, BLUE_2);
    (host, a)
}

/// RED with two endpoints that have mappings, by UDP: port 6000 is that of the one at .2, and 7000 of the one at .3, which
/// has spoken to the other's.
fn mapped() -> (Host, PortId, PortId) {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    let to_gateway = (mac(3), gateway_mac());
    host.send(b, &udp(to_gateway, (ip(3), 7_000), (FAR, 53), 64, 9));
    host.send(a, &udp(up(), (ip(2), 6_000), (FAR, 53), 64, 9));
    host.send(b, &udp(to_gateway, (ip(3), 7_000), (HOST, 6_000), 64, 9));
    (host, a, b)
}

fn rules(host: &mut Host, scope: Option<BridgeId>, text: &str) {
    let set = load(Family::Ipv4, &format!("{text}\nCOMMIT\n")).unwrap_or_else(|error| panic!("{error:?}"));
    host.switch.set_rules(scope, Family::Ipv4, Some(Box::new(Program::new(set))));
}

fn from_blue(port: u16, flags: &str, seq: (u32, u32)) -> Vec<u8> {
    let link = (wire::Mac::from_ipv4(BLUE_2), wire::Mac::from_ipv4(Ipv4Addr::new(10, 20, 0, 1)));
    tcp(link, (BLUE_2, port), (HOST, 8080), flags, seq)
}

fn passes(host: &mut Host, from: PortId, to: PortId, bytes: &[u8]) -> bool {
    seen(&host.send(from, bytes).0).iter().any(|seen| seen.port == to)
}

const NEW_ONLY_FROM_FAR: &str = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 10.20.0.0/16 -p tcp --dport 80 -j DROP";
const NOBODY_MEANT: &str = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 192.0.2.1/32 -j DROP";

#[test]
fn the_rules_of_the_network_that_is_gone_to_are_met_whoever_else_has_some() {
    for others in [None, Some(None), Some(Some(BLUE))] {
        let (mut host, a) = two();
        if let Some(scope) = others {
            rules(&mut host, scope, NOBODY_MEANT);
        }
        rules(&mut host, Some(RED), NEW_ONLY_FROM_FAR);
        host.drops(DropReason::Denied, |host| passes(host, BLUE_5, a, &from_blue(4_000, "S", (1, 0))));
        assert_eq!(host.switch.tracker().usage().connections, 0, "what was refused began nothing");
    }
}

#[test]
fn known_connections_meet_the_rules_of_both_networks() {
    for others in [None, Some(None), Some(Some(BLUE))] {
        let (mut host, a) = two();
        if let Some(scope) = others {
            rules(&mut host, scope, NOBODY_MEANT);
        }
        rules(&mut host, Some(RED), NOBODY_MEANT);
        assert!(passes(&mut host, BLUE_5, a, &from_blue(4_000, "S", (1, 0))));
        let back = tcp((mac(2), gateway_mac()), (ip(2), 80), (BLUE_2, 4_000), "SA", (9, 2));
        assert!(passes(&mut host, a, BLUE_5, &back));
        for _ in 0..3 {
            assert!(passes(&mut host, BLUE_5, a, &from_blue(4_000, "A", (2, 10))));
        }
        rules(&mut host, Some(RED), NEW_ONLY_FROM_FAR);
        host.drops(DropReason::Denied, |host| passes(host, BLUE_5, a, &from_blue(4_000, "A", (2, 10))));
    }
}

#[test]
fn a_first_packet_between_networks_is_asked_where_it_is_to_go_and_whence() {
    let (mut host, _) = two();
    let b = host.endpoint(2, RED, ip(3));
    rules(
        &mut host,
        Some(RED),
        "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
         -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.10.10.3:81\n-A POSTROUTING -p tcp -j MASQUERADE",
    );
    let there = seen(&host.send(BLUE_5, &from_blue(4_000, "S", (1, 0))).0).remove(0);
    assert_eq!((there.port, there.src, there.dst, there.ports.1), (b, ip(1), ip(3), 81));
    let answer = tcp((mac(3), gateway_mac()), (ip(3), 81), (ip(1), there.ports.0), "SA", (9, 2));
    let back = seen(&host.send(b, &answer).0).remove(0);
    assert_eq!((back.port, back.src, back.dst, back.ports), (BLUE_5, HOST, BLUE_2, (8080, 4_000)));
}

#[test]
fn what_turns_around_at_a_mapping_meets_the_rules_on_its_way_out() {
    let refusing =
        format!("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -o vsw0 -d {HOST}/32 -p udp --dport 7000 -j DROP");
    let (mut host, a, b) = mapped();
    let to_gateway = (mac(3), gateway_mac());
    let ask = udp(up(), (ip(2), 6_000), (HOST, 7_000), 64, 9);
    rules(&mut host, Some(RED), &refusing);
    let before = host.switch.tracker().usage().connections;
    host.drops(DropReason::Denied, |host| passes(host, a, b, &ask));
    assert_eq!(host.switch.tracker().usage().connections, before, "what was refused began nothing");
    rules(&mut host, Some(RED), NOBODY_MEANT);
    for _ in 0..2 {
        let there = seen(&host.send(a, &ask).0).remove(0);
        assert_eq!((there.port, there.src, there.dst, there.ttl), (b, HOST, ip(3), 62));
        assert_eq!(there.ports, (6_000, 7_000));
    }
    let refused = refusal(to_gateway, ip(3), HOST, &seen(&host.send(a, &ask).0).remove(0).bytes);
    let error = seen(&host.send(b, &refused).0).remove(0);
    assert_eq!((error.port, error.icmp, error.src, error.dst), (a, Some((3, 3)), HOST, ip(2)));
    assert_eq!(error.bytes[42 + 12..42 + 20], [ip(2).octets(), HOST.octets()].concat());
    rules(&mut host, Some(RED), &refusing);
    host.drops(DropReason::Denied, |host| passes(host, a, b, &ask));
}

#[test]
fn what_a_rule_sends_to_a_mapping_turns_around_from_its_first_packet_on() {
    let (mut host, a, b) = mapped();
    rules(
        &mut host,
        Some(RED),
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 203.0.113.9/32 -p udp --dport 99 -j DNAT --to-destination 198.51.100.1:7000",
    );
    for _ in 0..2 {
        let there = seen(&host.send(a, &udp(up(), (ip(2), 6_000), (FAR, 99), 64, 9)).0).remove(0);
        assert_eq!((there.port, there.src, there.dst, there.ports), (b, HOST, ip(3), (6_000, 7_000)));
    }
}
