//! Rules in the engine, on memory ports: where packets meet them, and what is remembered.

mod world;

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use nat::rules::{Counters, Family, Program, load};
use switch::{BridgeId, DropReason, PortId, Publish, PublishId, Route, Update};
use wire::Mac;
use world::outside::{FAR, HOST, UPLINK, seen, tcp, udp, up};
use world::{BLUE, Host, RED, ip, mac, v6};

fn rules(host: &mut Host, scope: Option<BridgeId>, text: &str) {
    let set = load(Family::Ipv4, text).unwrap_or_else(|error| panic!("{error:?}"));
    host.switch.set_rules(scope, Family::Ipv4, Some(Box::new(Program::new(set))));
}

fn filter(host: &mut Host, lines: &str) {
    rules(host, None, &format!("*filter\n{lines}\nCOMMIT\n"));
}

/// How often each rule and policy was met, in order.
fn counted(host: &Host, scope: Option<BridgeId>) -> Vec<u64> {
    let program = host.switch.rules(scope, Family::Ipv4).unwrap();
    program.counters().iter().map(|counters: &Counters| counters.packets).collect()
}

/// RED with two endpoints at ports 1 and 2, whose names are "endpoint", and a way out.
fn host() -> (Host, PortId, PortId) {
    let mut host = Host::new(1);
    host.gateway(RED, "10.10.10.1/24", false, true);
    host.apply(Update::Uplink { mac: Some(UPLINK) });
    let route = Route { to: "0.0.0.0/0".parse().unwrap(), source: HOST.into(), mtu: 1500 };
    host.apply(Update::Host { addresses: vec![HOST.into()], routes: vec![route] });
    let (a, b) = (host.endpoint(1, RED, ip(2)), host.endpoint(2, RED, ip(3)));
    (host, a, b)
}

fn passes(host: &mut Host, from: PortId, to: PortId, bytes: &[u8]) -> bool {
    let (frames, _) = host.send(from, bytes);
    frames.iter().any(|(port, _)| *port == to)
}

fn there(from: u8, to: u8, flags: &str, seq: (u32, u32)) -> Vec<u8> {
    tcp((mac(from), mac(to)), (ip(from), 4_000), (ip(to), 80), flags, seq)
}

fn back(from: u8, to: u8, flags: &str, seq: (u32, u32)) -> Vec<u8> {
    tcp((mac(from), mac(to)), (ip(from), 80), (ip(to), 4_000), flags, seq)
}

#[test]
fn bridged_packets_pass_forward() {
    let (mut host, a, b) = host();
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp --dport 80 -j DROP");
    host.drops(DropReason::Denied, |host| passes(host, a, b, &there(2, 3, "S", (1, 0))));
    let other = tcp((mac(2), mac(3)), (ip(2), 4_000), (ip(3), 81), "S", (1, 0));
    assert!(passes(&mut host, a, b, &other));
    assert_eq!(host.switch.tracker().usage().connections, 1, "what was refused began nothing");
    host.switch.set_rules(None, Family::Ipv4, None);
    assert!(passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
}

#[test]
fn established_connections_pass_and_new_ones_do_not() {
    let (mut host, a, b) = host();
    filter(
        &mut host,
        ":FORWARD DROP [0:0]\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A FORWARD -s 10.10.10.2/32 -m conntrack --ctstate NEW -j ACCEPT",
    );
    assert!(passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
    assert!(passes(&mut host, b, a, &back(3, 2, "SA", (9, 2))));
    assert!(passes(&mut host, a, b, &there(2, 3, "A", (2, 10))));
    let misses = host.switch.counters().misses;
    for _ in 0..5 {
        assert!(passes(&mut host, a, b, &there(2, 3, "A", (2, 10))));
        assert!(passes(&mut host, b, a, &back(3, 2, "A", (10, 2))));
    }
    assert_eq!(host.switch.counters().misses - misses, 1, "the cache decides; b's first ACK was the exception");
    // INPUT, FORWARD's policy and two rules, OUTPUT: what came out of the cache is counted as well.
    assert_eq!(counted(&host, None), [0, 0, 12, 1, 0]);
    host.drops(DropReason::Denied, |host| {
        passes(host, b, a, &tcp((mac(3), mac(2)), (ip(3), 5_000), (ip(2), 22), "S", (1, 0)))
    });
    // FIN is looked at, cached flow or not.
    assert!(passes(&mut host, a, b, &there(2, 3, "FA", (2, 10))));
    assert_eq!(counted(&host, None), [0, 1, 13, 1, 0]);
}

#[test]
fn new_rules_judge_established_connections_at_once() {
    let (mut host, a, b) = host();
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -s 10.10.10.9/32 -j DROP");
    for (from, to, bytes) in [
        (a, b, there(2, 3, "S", (1, 0))),
        (b, a, back(3, 2, "SA", (9, 2))),
        (a, b, there(2, 3, "A", (2, 10))),
        (a, b, there(2, 3, "A", (2, 10))),
    ] {
        assert!(passes(&mut host, from, to, &bytes));
    }
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -s 10.10.10.2/32 -j DROP");
    host.drops(DropReason::Denied, |host| passes(host, a, b, &there(2, 3, "A", (2, 10))));
}

#[test]
fn a_flow_that_met_more_rules_than_it_remembers_meets_them_again() {
    for (rules, again) in [(200, 1), (300, 10)] {
        let (mut host, a, b) = host();
        let counting = "-A FORWARD -s 10.10.10.0/24\n".repeat(rules);
        filter(&mut host, &format!(":FORWARD ACCEPT [0:0]\n{counting}-A FORWARD -j ACCEPT"));
        for (from, to, bytes) in
            [(a, b, there(2, 3, "S", (1, 0))), (b, a, back(3, 2, "SA", (9, 2))), (a, b, there(2, 3, "A", (2, 10)))]
        {
            assert!(passes(&mut host, from, to, &bytes));
        }
        let misses = host.switch.counters().misses;
        for _ in 0..5 {
            assert!(passes(&mut host, a, b, &there(2, 3, "A", (2, 10))));
            assert!(passes(&mut host, b, a, &back(3, 2, "A", (10, 2))));
        }
        assert_eq!(host.switch.counters().misses - misses, again, "{rules} rules");
        let counted = counted(&host, None);
        assert!(counted[2..].iter().filter(|&&packets| packets == 13).count() > rules, "{counted:?}");
    }
}

#[test]
fn a_rule_that_asks_more_is_asked_for_every_packet() {
    let (mut host, a, b) = host();
    filter(
        &mut host,
        ":FORWARD ACCEPT [0:0]\n-A FORWARD -m limit --limit 1/hour --limit-burst 4 -j ACCEPT\n-A FORWARD -j DROP",
    );
    assert!(passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
    assert!(passes(&mut host, b, a, &back(3, 2, "SA", (9, 2))));
    assert!(passes(&mut host, a, b, &there(2, 3, "A", (2, 10))));
    assert!(passes(&mut host, a, b, &there(2, 3, "A", (2, 10))));
    host.drops(DropReason::Denied, |host| passes(host, a, b, &there(2, 3, "A", (2, 10))));
}

#[test]
fn a_flow_that_is_remembered_says_nothing_about_packets_with_extension_headers() {
    let (mut host, a, b) = host();
    let text = "*filter\n-A FORWARD -m rt --rt-type 0 -j DROP\n-A FORWARD -j ACCEPT\nCOMMIT\n";
    host.switch.set_rules(None, Family::Ipv6, Some(Box::new(Program::new(load(Family::Ipv6, text).unwrap()))));
    let datagram = |from: u8, to: u8| {
        let octets = |last: u8| match v6(ip(last)) {
            std::net::IpAddr::V6(ip) => ip.octets(),
            std::net::IpAddr::V4(_) => panic!("IPv6"),
        };
        let builder = PacketBuilder::ethernet2(mac(from).0, mac(to).0).ipv6(octets(from), octets(to), 64);
        let mut bytes = Vec::new();
        builder.udp(53, 53).write(&mut bytes, b"").unwrap();
        bytes
    };
    assert!(passes(&mut host, a, b, &datagram(2, 3)) && passes(&mut host, b, a, &datagram(3, 2)));
    assert!(passes(&mut host, a, b, &datagram(2, 3)));
    let misses = host.switch.counters().misses;
    assert!(passes(&mut host, a, b, &datagram(2, 3)));
    assert_eq!(host.switch.counters().misses, misses, "it is remembered");
    for (kind, passing) in [(4, true), (0, false)] {
        let mut routed = datagram(2, 3);
        (routed[19], routed[20]) = (routed[19] + 8, 43);
        routed.splice(54..54, [17, 0, kind, 0, 0, 0, 0, 0]);
        assert_eq!(passes(&mut host, a, b, &routed), passing, "type {kind}");
    }
    assert!(passes(&mut host, a, b, &datagram(2, 3)));
}

#[test]
fn the_gateways_own_and_what_it_leads_out_pass_their_hooks() {
    let (mut host, a, _) = host();
    filter(
        &mut host,
        ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A INPUT -p icmp -j DROP\n-A FORWARD -o uplink -p udp --dport 53 -j REJECT",
    );
    let link = (mac(2), Mac::from_ipv4(ip(1)));
    let mut echo = Vec::new();
    let builder = PacketBuilder::ethernet2(link.0.0, link.1.0).ipv4(ip(2).octets(), ip(1).octets(), 64);
    builder.icmpv4_echo_request(7, 1).write(&mut echo, b"ping").unwrap();
    host.drops(DropReason::Denied, |host| !host.send(a, &echo).0.is_empty());
    let udp = |port: u16| {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2(link.0.0, link.1.0).ipv4(ip(2).octets(), FAR.octets(), 64);
        builder.udp(4_000, port).write(&mut bytes, b"query").unwrap();
        bytes
    };
    let (frames, _) = host.send(a, &udp(53));
    assert_eq!((frames.len(), frames[0].0), (1, a));
    assert_eq!((frames[0].1.bytes()[34], frames[0].1.bytes()[35]), (3, 3), "port unreachable, as REJECT says");
    assert_eq!(host.switch.tracker().usage().connections, 0);
    assert!(passes(&mut host, a, PortId::HOST, &udp(54)));
    assert_eq!(host.dropped(DropReason::Rejected), 1);
}

#[test]
fn rules_see_published_connections_behind_their_translation() {
    let (mut host, a, _) = host();
    let rule = Publish {
        protocol: 6,
        at: None,
        via: vec![],
        ports: (8080, 8080),
        bridge: RED,
        to: vec![ip(2).into()],
        to_port: 80,
    };
    host.apply(Update::Publish { id: PublishId(1), rule });
    filter(
        &mut host,
        ":FORWARD DROP [0:0]\n-A FORWARD -i uplink -o endpoint -d 10.10.10.2/32 -p tcp --dport 80 -s 203.0.113.9/32 -j ACCEPT",
    );
    let from = |source: Ipv4Addr| tcp((Mac([2; 6]), Mac([3; 6])), (source, 5_000), (HOST, 8080), "S", (1, 0));
    assert!(passes(&mut host, PortId::HOST, a, &from(FAR)));
    let other = Ipv4Addr::new(203, 0, 113, 10);
    host.drops(DropReason::Denied, |host| passes(host, PortId::HOST, a, &from(other)));
}

#[test]
fn a_reset_is_sent_where_a_rule_wants_one() {
    let (mut host, a, b) = host();
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset");
    let (frames, _) = host.send(a, &there(2, 3, "S", (1, 0)));
    let [(port, reset)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((*port, reset.bytes()[47] & 0x04), (a, 0x04));
    assert_eq!((&reset.bytes()[0..6], &reset.bytes()[6..12]), (&mac(2).0[..], &mac(3).0[..]), "as from the neighbour");
    assert!(!passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
}

#[test]
fn a_networks_rules_are_its_own_and_come_after_those_for_all() {
    let (mut host, a, b) = host();
    rules(&mut host, Some(BLUE), "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n");
    assert!(passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
    assert_eq!(host.switch.tracker().usage().connections, 0, "RED has no rules and pays nothing");
    rules(&mut host, Some(RED), "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n");
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -j ACCEPT");
    host.drops(DropReason::Denied, |host| passes(host, a, b, &there(2, 3, "S", (1, 0))));
    assert_eq!(counted(&host, None), [0, 0, 1, 0]);
    host.apply(Update::RemoveBridge { id: RED });
    assert!(host.switch.rules(Some(RED), Family::Ipv4).is_none());
}

#[test]
fn untracked_packets_are_untracked() {
    let (mut host, a, b) = host();
    rules(
        &mut host,
        None,
        "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 80 -j NOTRACK\nCOMMIT\n*filter\n:FORWARD DROP [0:0]\n\
         -A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT\nCOMMIT\n",
    );
    assert!(passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
    assert_eq!(host.switch.tracker().usage().connections, 0);
    host.drops(DropReason::Denied, |host| passes(host, b, a, &back(3, 2, "SA", (9, 2))));
}

#[test]
fn what_rules_want_written_is_kept_within_bounds() {
    let (mut host, a, b) = host();
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -j LOG --log-prefix \"seen: \"");
    for _ in 0..100 {
        assert!(passes(&mut host, a, b, &there(2, 3, "S", (1, 0))));
    }
    let mut lines = Vec::new();
    let unwritten = host.switch.take_log(&mut lines);
    assert_eq!((lines.len(), unwritten), (64, 36));
    assert_eq!(
        (&*lines[0].prefix, &*lines[0].input, &*lines[0].output, lines[0].len),
        ("seen: ", "endpoint", "endpoint", 40)
    );
}

#[test]
fn frames_from_other_hosts_meet_rules_too() {
    let (mut one, mut two, a, b) = world::pair();
    rules(&mut two, None, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i tunnel -p udp --dport 2000 -j DROP\nCOMMIT\n");
    let (_, wire) = one.send(a, &world::udp(2, 3, 40));
    two.drops(DropReason::Denied, |two| wire.iter().any(|run| !two.receive(run).0.is_empty()));
    rules(&mut two, None, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i tunnel -p udp --dport 2001 -j DROP\nCOMMIT\n");
    for _ in 0..3 {
        let (_, wire) = one.send(a, &world::udp(2, 3, 40));
        let (frames, _) = two.receive(&wire[0]);
        assert_eq!((frames.len(), frames[0].0), (1, b));
        assert_eq!(frames[0].1.bytes(), world::udp(2, 3, 40));
        two.send(b, &world::udp_between(mac(3), mac(2), ip(3), ip(2), 2_000, 9));
    }
}

#[test]
fn the_host_and_what_lies_behind_it_have_names_of_their_own() {
    let (mut host, a, _) = host();
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -o vsw0 -j DROP\n-A FORWARD -i vsw0 -j DROP");
    let link = (mac(2), Mac::from_ipv4(ip(1)));
    let to = |address: Ipv4Addr| tcp(link, (ip(2), 4_000), (address, 80), "S", (1, 0));
    host.drops(DropReason::Denied, |host| passes(host, a, PortId::HOST, &to(HOST)));
    assert!(passes(&mut host, a, PortId::HOST, &to(FAR)));
    let from_host = tcp((UPLINK, Mac([3; 6])), (HOST, 5_000), (ip(2), 80), "S", (1, 0));
    host.drops(DropReason::Denied, |host| passes(host, PortId::HOST, a, &from_host));
}

#[test]
fn a_broadcast_is_no_way_past_rules_that_name_the_way_out() {
    let (mut host, a, b) = host();
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -o endpoint -j DROP");
    let udp = |link: Mac, to: Ipv4Addr| world::udp_between(mac(2), link, ip(2), to, 2_000, 64);
    for group in [Mac::BROADCAST, Mac([0x33, 0x33, 0, 0, 0, 1])] {
        host.drops(DropReason::Denied, |host| passes(host, a, b, &udp(group, ip(3))));
        // The gateway's address is its own, too.
        host.drops(DropReason::Denied, |host| passes(host, a, b, &udp(group, ip(1))));
    }
    assert!(passes(&mut host, a, b, &udp(Mac::BROADCAST, Ipv4Addr::BROADCAST)));
    assert!(passes(&mut host, a, b, &udp(Mac::BROADCAST, Ipv4Addr::new(10, 10, 10, 255))));
    host.switch.set_rules(None, Family::Ipv4, None);
    assert!(passes(&mut host, a, b, &udp(Mac::BROADCAST, ip(3))), "without rules it is none of ours");
}

#[test]
fn floods_from_another_host_meet_the_rules() {
    let (mut one, mut two, a, b) = world::pair();
    let sent = world::udp_between(mac(2), Mac::BROADCAST, ip(2), Ipv4Addr::BROADCAST, 2_000, 64);
    let (_, wire) = one.send(a, &sent);
    let arrives = |two: &mut Host| two.receive(&wire[0]).0.iter().any(|(port, _)| *port == b);
    rules(&mut two, None, "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i tunnel -p udp -j ACCEPT\nCOMMIT\n");
    assert!(arrives(&mut two));
    assert_eq!(counted(&two, None), [0, 0, 1, 0]);
    rules(&mut two, None, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i tunnel -p udp -j DROP\nCOMMIT\n");
    two.drops(DropReason::Denied, arrives);
    two.switch.set_rules(None, Family::Ipv4, None);
    assert!(arrives(&mut two));
}

#[test]
fn what_is_too_long_for_the_next_link_is_told_before_it_meets_forward() {
    let (mut host, a, _) = host();
    // For the outside connections are known once both sides have spoken; this one never is.
    filter(&mut host, ":FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -j ACCEPT");
    let mut bytes = udp(up(), (ip(2), 4_000), (FAR, 53), 64, 1_600);
    bytes[20] = 0x40;
    let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    let (frames, _) = host.send(a, &bytes);
    let told = &seen(&frames)[0];
    assert_eq!((told.port, told.icmp, &told.bytes[40..42]), (a, Some((3, 4)), &1500_u16.to_be_bytes()[..]));
    assert_eq!(told.bytes[42..62], bytes[14..34], "quoted as it was sent, its time to live too");
    assert_eq!((host.dropped(DropReason::TooBig), &counted(&host, None)[1..4]), (1, &[0, 0, 0][..]));
    // What may be split meets the rule whole.
    bytes[20] = 0;
    let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(host.send(a, &bytes).0.len(), 2);
    assert_eq!(counted(&host, None)[1..4], [0, 1, 0]);
}
