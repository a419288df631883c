//! Rules of the table nat on memory ports: first packets are sent elsewhere or from elsewhere, answers find back, and no rule
//! leads from one network to another.

mod world;

use std::net::Ipv4Addr;
use std::time::Duration;

use nat::rules::{Family, Program, load};
use switch::{BridgeId, DropReason, PortId, Update};
use world::outside::{FAR, HOST, Seen, echo, gateway_mac, host, in_, own, published, seen, tcp, udp, up};
use world::{BLUE, Host, RED, ip, mac};

fn nat(host: &mut Host, scope: Option<BridgeId>, lines: &str) {
    let text = format!("*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n{lines}\nCOMMIT\n");
    let set = load(Family::Ipv4, &text).unwrap_or_else(|error| panic!("{error:?}"));
    host.switch.set_rules(scope, Family::Ipv4, Some(Box::new(Program::new(set))));
}

fn send(host: &mut Host, from: PortId, bytes: &[u8]) -> Vec<Seen> {
    seen(&host.send(from, bytes).0)
}

fn one(host: &mut Host, from: PortId, bytes: &[u8]) -> Seen {
    let mut all = send(host, from, bytes);
    assert_eq!(all.len(), 1, "{:?}", host.switch.drops());
    all.remove(0)
}

fn ends(seen: &Seen) -> (Ipv4Addr, u16, Ipv4Addr, u16) {
    (seen.src, seen.ports.0, seen.dst, seen.ports.1)
}

#[test]
fn a_neighbour_is_reached_by_another_address_and_port() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    nat(&mut host, None, "-A PREROUTING -d 10.10.10.9/32 -p tcp --dport 80 -j DNAT --to-destination 10.10.10.3:8080");
    host.endpoint(9, RED, ip(9));
    // Bridged as it comes, routed as it goes.
    let there = one(&mut host, a, &tcp((mac(2), mac(9)), (ip(2), 4_000), (ip(9), 80), "S", (1, 0)));
    assert_eq!((there.port, there.dst_mac, ends(&there)), (b, mac(3), (ip(2), 4_000, ip(3), 8_080)));
    let back = one(&mut host, b, &tcp((mac(3), mac(2)), (ip(3), 8_080), (ip(2), 4_000), "SA", (9, 2)));
    assert_eq!((back.port, ends(&back)), (a, (ip(9), 80, ip(2), 4_000)));
    // Other ports are as they were.
    let other = one(&mut host, a, &tcp((mac(2), mac(9)), (ip(2), 4_000), (ip(9), 81), "S", (1, 0)));
    assert_eq!((other.port, ends(&other)), (PortId(9), (ip(2), 4_000, ip(9), 81)));
}

#[test]
fn what_leaves_gets_the_source_that_a_rule_names() {
    let (mut host, a) = host();
    nat(
        &mut host,
        Some(RED),
        "-A POSTROUTING -o uplink -p udp -j SNAT --to-source 198.51.100.1:7000-7009 --persistent",
    );
    let there = one(&mut host, a, &udp(up(), (ip(2), 4_000), (FAR, 53), 64, 8));
    assert_eq!((there.port, there.src, there.dst), (PortId::HOST, HOST, FAR));
    assert!((7_000..=7_009).contains(&there.ports.0), "{}", there.ports.0);
    let again = one(&mut host, a, &udp(up(), (ip(2), 4_000), (FAR, 54), 64, 8));
    assert_eq!(again.ports.0, there.ports.0, "who speaks from one port keeps its port");
    let back = one(&mut host, PortId::HOST, &udp(in_(), (FAR, 53), (HOST, there.ports.0), 64, 8));
    assert_eq!((back.port, ends(&back)), (a, (FAR, 53, ip(2), 4_000)));
}

#[test]
fn one_hides_behind_the_gateway_from_its_neighbours() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    nat(&mut host, None, "-A POSTROUTING -s 10.10.10.2/32 -d 10.10.10.0/24 -j MASQUERADE");
    let there = one(&mut host, a, &udp((mac(2), mac(3)), (ip(2), 4_000), (ip(3), 53), 64, 8));
    assert_eq!((there.port, there.src_mac, ends(&there)), (b, gateway_mac(), (ip(1), 4_000, ip(3), 53)));
    let back = one(&mut host, b, &udp((mac(3), gateway_mac()), (ip(3), 53), (ip(1), 4_000), 64, 8));
    assert_eq!((back.port, ends(&back)), (a, (ip(3), 53, ip(2), 4_000)));
}

#[test]
fn the_gateway_answers_for_what_is_redirected_to_it() {
    let (mut host, a) = host();
    nat(&mut host, None, "-A PREROUTING -d 203.0.113.9/32 -j REDIRECT");
    let pong = one(&mut host, a, &echo(up(), ip(2), FAR));
    assert_eq!((pong.port, pong.src, pong.dst, pong.icmp), (a, FAR, ip(2), Some((0, 0))));
    let reset = one(&mut host, a, &tcp(up(), (ip(2), 4_000), (FAR, 80), "S", (1, 0)));
    assert_eq!((reset.port, ends(&reset)), (a, (FAR, 80, ip(2), 4_000)));
    let refusal = one(&mut host, a, &udp(up(), (ip(2), 4_000), (FAR, 54), 64, 8));
    assert_eq!((refusal.src, refusal.icmp), (FAR, Some((3, 3))));
    assert_eq!(refusal.bytes[58..62], FAR.octets(), "what was refused is quoted as it was sent");
}

#[test]
fn published_ports_meet_rules_and_stay_in_their_network() {
    let (mut host, _) = host();
    let b = host.endpoint(2, RED, ip(3));
    host.apply(Update::Publish { id: switch::PublishId(1), rule: published(None, (8080, 8080), ip(2), 80) });
    nat(&mut host, None, "-A PREROUTING -i uplink -p tcp --dport 8080 -j DNAT --to-destination 10.10.10.3:81");
    let syn = |port| tcp(in_(), (FAR, port), (HOST, 8_080), "S", (1, 0));
    let there = one(&mut host, PortId::HOST, &syn(5_000));
    assert_eq!((there.port, ends(&there)), (b, (FAR, 5_000, ip(3), 81)));
    let back = one(&mut host, b, &tcp((mac(3), gateway_mac()), (ip(3), 81), (FAR, 5_000), "SA", (9, 2)));
    assert_eq!((back.port, ends(&back)), (PortId::HOST, (HOST, 8_080, FAR, 5_000)));
    // Another network's container is not led to, whatever rules say.
    host.gateway(BLUE, "10.20.0.1/24", false, true);
    let blue = Ipv4Addr::new(10, 20, 0, 2);
    host.endpoint(5, BLUE, blue);
    nat(&mut host, None, "-A PREROUTING -j DNAT --to-destination 10.20.0.2");
    let all = send(&mut host, PortId::HOST, &syn(5_001));
    assert!(all.iter().all(|seen| seen.port == PortId::HOST), "an error at most");
    let from_red = send(&mut host, PortId(1), &udp(up(), (ip(2), 4_000), (FAR, 53), 64, 8));
    assert!(from_red.iter().all(|seen| seen.port == PortId(1)), "an error at most");
    assert_eq!(host.dropped(DropReason::OtherNetwork), 2);
}

#[test]
fn a_connection_is_asked_once_and_keeps_what_it_got() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    nat(&mut host, None, "-A PREROUTING -d 203.0.113.9/32 -j DNAT --to-destination 10.10.10.3");
    let ask = udp(up(), (ip(2), 4_000), (FAR, 53), 64, 8);
    assert_eq!(one(&mut host, a, &ask).port, b);
    nat(&mut host, None, "-A PREROUTING -d 203.0.113.9/32 -j DNAT --to-destination 10.10.10.4");
    assert_eq!(one(&mut host, a, &ask).port, b, "it is known already");
    let rules = host.switch.rules(None, Family::Ipv4).unwrap();
    assert!(rules.counters().iter().all(|count| count.packets == 0), "{:?}", rules.counters());
}

#[test]
fn errors_about_first_packets_show_the_ends_that_their_sender_knows() {
    let (mut host, _) = host();
    host.apply(Update::Publish { id: switch::PublishId(1), rule: published(None, (8080, 8080), ip(2), 80) });
    let filter = |host: &mut Host, with: &str| {
        let lines = format!(
            "*filter\n:FORWARD ACCEPT [0:0]\n\
             -A FORWARD -m conntrack --ctstate DNAT -p tcp --dport 80 -j REJECT --reject-with {with}\nCOMMIT\n"
        );
        let set = load(Family::Ipv4, &lines).unwrap_or_else(|error| panic!("{error:?}"));
        host.switch.set_rules(None, Family::Ipv4, Some(Box::new(Program::new(set))));
    };
    let syn = tcp(in_(), (FAR, 5_000), (HOST, 8_080), "S", (1, 0));
    filter(&mut host, "tcp-reset");
    let reset = one(&mut host, PortId::HOST, &syn);
    assert_eq!((reset.port, ends(&reset)), (PortId::HOST, (HOST, 8_080, FAR, 5_000)));
    filter(&mut host, "icmp-port-unreachable");
    let error = one(&mut host, PortId::HOST, &syn);
    assert_eq!((error.port, error.src, error.dst, error.icmp), (PortId::HOST, HOST, FAR, Some((3, 3))));
    assert_eq!(error.bytes[42 + 12..42 + 24], syn[26..38], "what was refused is quoted as it was sent");
}

#[test]
fn too_long_for_the_way_is_said_about_what_was_sent() {
    // The way of the errors is the same with rules that have nothing to do with them.
    let mut errors = Vec::new();
    for lines in [None, Some("-A POSTROUTING -s 192.0.2.1/32 -j MASQUERADE")] {
        let (mut host, a) = host();
        let gateway = switch::Gateway {
            mac: gateway_mac(),
            addresses: vec!["10.10.10.1/24".parse().unwrap()],
            internal: false,
            host_access: true,
        };
        let settings =
            switch::BridgeSettings { gateway: Some(gateway), ..switch::BridgeSettings::new("net", None, 1300) };
        host.apply(Update::Bridge { id: RED, settings });
        if let Some(lines) = lines {
            nat(&mut host, None, lines);
        }
        let ask = one(&mut host, a, &udp(up(), (ip(2), 4_000), (FAR, 53), 64, 8));
        let long = udp(in_(), (FAR, 53), (HOST, ask.ports.0), 64, 1_400);
        let error = one(&mut host, PortId::HOST, &long);
        assert_eq!((error.port, error.src, error.dst, error.icmp), (PortId::HOST, HOST, FAR, Some((3, 4))));
        assert_eq!(error.bytes[42 + 12..42 + 24], long[26..38]);
        errors.push(error.bytes[..42].to_vec());
    }
    assert_eq!(errors[0], errors[1]);
}

#[test]
fn mappings_stay_with_who_made_them() {
    let (mut host, a) = host();
    host.endpoint(2, RED, ip(3));
    let ask = one(&mut host, a, &udp(up(), (ip(2), 4_000), (FAR, 53), 64, 8));
    nat(&mut host, None, "-A PREROUTING -i uplink -p udp -j DNAT --to-destination 10.10.10.3");
    let other = one(&mut host, PortId::HOST, &udp(in_(), (FAR, 54), (HOST, ask.ports.0), 64, 8));
    assert_eq!((other.port, ends(&other)), (a, (FAR, 54, ip(2), 4_000)));
    let back = one(&mut host, a, &udp(up(), (ip(2), 4_000), (FAR, 54), 64, 8));
    assert_eq!((back.port, ends(&back)), (PortId::HOST, (HOST, ask.ports.0, FAR, 54)));
}

#[test]
fn sources_that_rules_name_are_for_the_way_out() {
    let (mut host, a) = host();
    nat(&mut host, None, "-A POSTROUTING -s 10.10.10.0/24 -j SNAT --to-source 198.51.100.1");
    // The host takes what is for itself: in the kernel nothing of it passes POSTROUTING.
    let to_host = one(&mut host, a, &tcp(up(), (ip(2), 4_000), (HOST, 22), "S", (1, 0)));
    assert_eq!((to_host.port, ends(&to_host)), (PortId::HOST, (ip(2), 4_000, HOST, 22)));
    let answer = tcp(own(), (HOST, 22), (ip(2), 4_000), "SA", (9, 2));
    let back = one(&mut host, PortId::HOST, &answer);
    assert_eq!((back.port, ends(&back)), (a, (HOST, 22, ip(2), 4_000)));
    // To its own published port one comes from elsewhere still.
    host.apply(Update::Publish { id: switch::PublishId(1), rule: published(None, (8080, 8080), ip(2), 80) });
    nat(&mut host, None, "-A POSTROUTING -p tcp --dport 80 -j SNAT --to-source 10.10.10.2");
    let hairpin = one(&mut host, a, &tcp(up(), (ip(2), 4_001), (HOST, 8_080), "S", (1, 0)));
    assert_eq!((hairpin.port, hairpin.src, hairpin.dst, hairpin.ports.1), (a, ip(1), ip(2), 80));
}

#[test]
fn nobody_shows_the_address_of_a_container_elsewhere() {
    let (mut host, a) = host();
    host.gateway(BLUE, "10.20.0.1/24", false, true);
    let blue = Ipv4Addr::new(10, 20, 0, 2);
    host.endpoint(5, BLUE, blue);
    host.apply(Update::Publish { id: switch::PublishId(1), rule: published(None, (8080, 8080), ip(2), 80) });
    let link = (wire::Mac::from_ipv4(blue), wire::Mac::from_ipv4(Ipv4Addr::new(10, 20, 0, 1)));
    let syn = |port| tcp(link, (blue, port), (HOST, 8_080), "S", (1, 0));
    nat(&mut host, Some(BLUE), "-A POSTROUTING -p tcp -j SNAT --to-source 10.10.10.3");
    let refused = one(&mut host, PortId(5), &syn(4_000));
    assert_eq!((refused.port, refused.icmp), (PortId(5), Some((3, 13))), "nothing but an error");
    let out = tcp(link, (blue, 4_001), (FAR, 80), "S", (1, 0));
    assert_eq!(one(&mut host, PortId(5), &out).port, PortId(5), "nothing but an error");
    assert_eq!((host.dropped(DropReason::OtherNetwork), host.switch.tracker().usage().connections), (2, 0));
    nat(&mut host, Some(BLUE), "-A POSTROUTING -p tcp -j SNAT --to-source 10.10.10.1");
    let there = one(&mut host, PortId(5), &syn(4_002));
    assert_eq!((there.port, there.src, there.dst), (a, ip(1), ip(2)));
}

#[test]
fn what_comes_from_outside_and_is_redirected_stays_with_the_gateway() {
    let (mut host, _) = host();
    host.apply(Update::Publish { id: switch::PublishId(1), rule: published(None, (8080, 8080), ip(2), 80) });
    nat(&mut host, Some(RED), "-A PREROUTING -i uplink -p tcp --dport 8080 -j REDIRECT --to-ports 81");
    for _ in 0..3 {
        let reset = one(&mut host, PortId::HOST, &tcp(in_(), (FAR, 5_000), (HOST, 8_080), "S", (1, 0)));
        assert_eq!((reset.port, ends(&reset), reset.bytes[47] & 0x04), (PortId::HOST, (HOST, 8_080, FAR, 5_000), 0x04));
    }
    assert_eq!(host.dropped(DropReason::NoService), 3);
}

#[test]
fn a_source_is_kept_as_long_as_a_connection_has_it() {
    let rule = "-A POSTROUTING -p tcp -j SNAT --to-source 198.51.100.8-198.51.100.15";
    let begin = || {
        let (mut host, a) = host();
        (2..10).for_each(|last| _ = host.endpoint(last.into(), RED, ip(last + 1)));
        nat(&mut host, None, rule);
        (host, a)
    };
    let syn = |to: u8| tcp((mac(2), mac(to)), (ip(2), 4_000), (ip(to), 80), "S", (1, 0));
    let fresh: Vec<Ipv4Addr> = (3..11)
        .map(|to| {
            let (mut host, a) = begin();
            one(&mut host, a, &syn(to)).src
        })
        .collect();
    assert!(fresh.iter().any(|src| *src != fresh[0]), "who is spoken to decides: {fresh:?}");
    let (mut host, a) = begin();
    let first = one(&mut host, a, &syn(3));
    assert_eq!(one(&mut host, a, &syn(4)).src, first.src, "who speaks from one port keeps its address");
    // Both are idle for too long, and still in the table.
    host.later(Duration::from_secs(3_600));
    assert_eq!(host.switch.tracker().connections(), 2);
    let again: Vec<Ipv4Addr> = (5..11)
        .map(|to| {
            host.later(Duration::from_secs(3_600));
            one(&mut host, a, &syn(to)).src
        })
        .collect();
    assert_eq!(again, fresh[2..]);
}

/// Rules under which what .3 sends is not tracked, and refused.
fn refuse_untracked(host: &mut Host, more: &str) {
    let text = format!(
        "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -s 10.10.10.3/32 -j NOTRACK\n\
         -A OUTPUT -j CT --notrack\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n\
         -A INPUT -i lo -p icmp\n-A FORWARD -m conntrack --ctstate UNTRACKED -p tcp -j REJECT --reject-with tcp-reset\n\
         -A FORWARD -m conntrack --ctstate UNTRACKED -j REJECT\nCOMMIT\n{more}"
    );
    let set = load(Family::Ipv4, &text).unwrap_or_else(|error| panic!("{error:?}"));
    host.switch.set_rules(None, Family::Ipv4, Some(Box::new(Program::new(set))));
}

#[test]
fn what_is_said_about_an_untracked_packet_is_tracked_whatever_rules_say() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    refuse_untracked(&mut host, "");
    one(&mut host, a, &tcp((mac(2), mac(3)), (ip(2), 4_000), (ip(3), 80), "S", (1, 0)));
    assert_eq!(host.switch.tracker().connections(), 1);
    let reset = one(&mut host, b, &tcp((mac(3), mac(2)), (ip(3), 80), (ip(2), 4_000), "SA", (9, 2)));
    assert_eq!((reset.port, ends(&reset), reset.bytes[47] & 0x04), (b, (ip(2), 4_000, ip(3), 80), 0x04));
    let conns = host.switch.conns(host.now, &nat::Filter::default(), 0, 10).rows;
    assert_eq!(conns[0].tcp, Some(nat::TcpState::Close), "it has ended what it is of");
}

#[test]
fn an_error_that_is_for_the_gateway_by_translation_is_heard_by_it() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    let redirect =
        "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j REDIRECT\nCOMMIT\n";
    refuse_untracked(&mut host, redirect);
    let refused = one(&mut host, a, &udp((mac(2), mac(3)), (ip(2), 4_000), (ip(3), 54), 64, 8));
    assert_eq!((refused.port, refused.icmp), (a, Some((3, 3))), "the gateway has no such port");
    // What answers that is refused, and the error is about the connection, whose other side is the gateway.
    let out = send(&mut host, b, &udp((mac(3), mac(2)), (ip(3), 54), (ip(2), 4_000), 64, 8));
    assert!(out.is_empty());
    assert_eq!((host.dropped(DropReason::Rejected), host.dropped(DropReason::NotRouted)), (1, 1), "it, and the error");
    let counted = host.switch.rules(None, Family::Ipv4).unwrap().rule_set();
    let text = nat::rules::save(&counted, true);
    assert!(text.contains("[1:64] -A INPUT -i lo -p icmp"), "{text}");
}
