//! Datagrams in pieces before rules: later fragments share the fate of the first, which alone has ports.

mod world;

use std::net::Ipv4Addr;

use nat::rules::{Counters, Family, Program, load};
use switch::{DropReason, Policing, PortId, Update};
use wire::{Frame, Mac, checksum};
use world::outside::{FAR, gateway_mac, host, pieces, tcp, udp};
use world::{BLUE, Host, RED, ip, mac};

fn filter(host: &mut Host, lines: &str) {
    let set = load(Family::Ipv4, &format!("{lines}\nCOMMIT\n")).unwrap_or_else(|error| panic!("{error:?}"));
    host.switch.set_rules(None, Family::Ipv4, Some(Box::new(Program::new(set))));
}

fn counters(host: &Host) -> Vec<Counters> {
    host.switch.rules(None, Family::Ipv4).unwrap().counters()
}

/// A datagram of 3,000 bytes in three fragments, to a neighbour or out.
fn datagram(to: Ipv4Addr, port: u16) -> Vec<Frame> {
    let link = (mac(2), if to == FAR { gateway_mac() } else { mac(3) });
    pieces(udp(link, (ip(2), 4_000), (to, port), 64, 3_000), 1_500)
}

fn count(host: &mut Host, from: PortId, to: PortId, frames: impl IntoIterator<Item = Frame>) -> usize {
    let mut passed = 0;
    for frame in frames {
        passed += host.send_frame(from, frame).0.iter().filter(|(port, _)| *port == to).count();
    }
    passed
}

const DNS_ONLY: &str = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -p udp -m udp --dport 53 -j ACCEPT";

#[test]
fn a_bridged_datagram_passes_whole_or_not_at_all() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    filter(&mut host, DNS_ONLY);
    assert_eq!(count(&mut host, a, b, datagram(ip(3), 53)), 3);
    // INPUT, FORWARD's policy and rule, OUTPUT: it is one packet, as if nobody had cut it.
    assert_eq!(counters(&host)[2], Counters { packets: 1, bytes: 3_028 });
    assert_eq!(count(&mut host, a, b, datagram(ip(3), 54)), 0);
    assert_eq!(counters(&host)[1], Counters { packets: 1, bytes: 3_028 });
    assert_eq!(host.dropped(DropReason::Denied), 3);
}

#[test]
fn a_routed_datagram_passes_whole_or_not_at_all() {
    let (mut host, a) = host();
    filter(&mut host, DNS_ONLY);
    assert_eq!(count(&mut host, a, PortId::HOST, datagram(FAR, 53)), 3);
    assert_eq!(count(&mut host, a, PortId::HOST, datagram(FAR, 54)), 0);
}

#[test]
fn fragments_that_came_before_the_first_wait_for_what_is_decided_about_it() {
    for (port, expected) in [(53, 3), (54, 0)] {
        let (mut host, a) = host();
        let b = host.endpoint(2, RED, ip(3));
        filter(&mut host, DNS_ONLY);
        assert_eq!(count(&mut host, a, b, datagram(ip(3), port).into_iter().rev()), expected);
    }
}

#[test]
fn fragments_that_waited_are_a_flood_once() {
    let (mut host, a) = host();
    host.open_port(2, RED);
    filter(&mut host, DNS_ONLY);
    // Eight packets a second may be flooded: four datagrams of two fragments to a station that nobody knows.
    let limits = Policing { unknown: Some(8), ..Policing::default() };
    host.apply(Update::Policing { id: a, limits });
    let link = (mac(2), mac(99));
    let datagrams = (0..4).flat_map(|id| {
        let mut whole = udp(link, (ip(2), 4_000), (ip(99), 53), 64, 2_000);
        whole[19] = id;
        pieces(whole, 1_500).into_iter().rev()
    });
    assert_eq!(count(&mut host, a, PortId(2), datagrams), 8);
    assert_eq!(host.switch.counters().dropped_in_all(), 0);
}

#[test]
fn untracked_datagrams_stay_together_as_well() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    filter(
        &mut host,
        "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 53 -j NOTRACK\nCOMMIT\n*filter\n:FORWARD DROP [0:0]\n\
         -A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT",
    );
    assert_eq!(count(&mut host, a, b, datagram(ip(3), 53)), 3);
    assert_eq!(count(&mut host, a, b, datagram(ip(3), 54)), 0);
}

#[test]
fn what_rules_do_to_the_header_of_the_first_is_done_to_all() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    filter(
        &mut host,
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 53 -j DSCP --set-dscp 10\n\
         -A PREROUTING -p udp --dport 53 -j TTL --ttl-set 9",
    );
    let mut left = Vec::new();
    for frame in datagram(ip(3), 53) {
        left.extend(host.send_frame(a, frame).0);
    }
    assert_eq!(left.len(), 3);
    for (port, frame) in left {
        let header = &frame.bytes()[14..34];
        assert_eq!((port, header[1], header[8], checksum::sum(header)), (b, 10 << 2, 9, 0xffff));
    }
}

#[test]
fn the_rest_of_a_datagram_is_not_let_through_by_new_rules() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    filter(&mut host, DNS_ONLY);
    let mut frames = datagram(ip(3), 54).into_iter();
    assert_eq!(count(&mut host, a, b, frames.next()), 0);
    filter(&mut host, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 192.0.2.1/32 -j DROP");
    assert_eq!(count(&mut host, a, b, frames), 0);
}

/// A fragment that says other ports or flags over those of the first (RFC 1858 section 3, RFC 3128).
#[test]
fn what_reaches_into_the_judged_header_never_passes() {
    for to in [ip(3), FAR] {
        let (mut host, a) = host();
        let b = host.endpoint(2, RED, ip(3));
        let out = if to == FAR { PortId::HOST } else { b };
        filter(&mut host, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 22 -j DROP");
        let link = (mac(2), if to == FAR { gateway_mac() } else { mac(3) });
        let mut whole = tcp(link, (ip(2), 4_000), (to, 80), "S", (1, 0));
        whole.extend([7; 2_000]);
        let len = (whole.len() - 14) as u16;
        whole[16..18].copy_from_slice(&len.to_be_bytes());
        let mut frames = pieces(whole, 1_500).into_iter();
        let first = frames.next().unwrap();
        let last = frames.next().unwrap();
        let mut overlap = last.bytes().to_vec();
        // Eight bytes into the datagram, with more to come.
        overlap[20..22].copy_from_slice(&[0x20, 1]);
        overlap[24..26].fill(0);
        let sum = !checksum::sum(&overlap[14..34]) as u16;
        overlap[24..26].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(count(&mut host, a, out, [first]), 1);
        host.drops(DropReason::Invalid, |host| count(host, a, out, [Frame::from_bytes(&overlap)]) > 0);
        host.drops(DropReason::Denied, |host| count(host, a, out, [last]) > 0);
    }
}

#[test]
fn a_flood_of_pieces_costs_its_own_network() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    host.gateway(BLUE, "10.20.0.1/24", false, true);
    let at = |last: u8| Ipv4Addr::new(10, 20, 0, last);
    let (blue, other) = (host.endpoint(5, BLUE, at(2)), host.endpoint(6, BLUE, at(3)));
    filter(&mut host, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 192.0.2.1/32 -j DROP");
    let mut ours = datagram(ip(3), 53).into_iter();
    assert_eq!(count(&mut host, a, b, ours.next()), 1);
    let link = (Mac::from_ipv4(at(2)), Mac::from_ipv4(at(3)));
    for id in 0..5_000u16 {
        let mut whole = udp(link, (at(2), 4_000), (at(3), 53), 64, 2_000);
        whole[18..20].copy_from_slice(&id.to_be_bytes());
        let first = pieces(whole, 1_500).swap_remove(0);
        assert_eq!(count(&mut host, blue, other, [first]), 1);
    }
    assert_eq!(count(&mut host, a, b, ours), 2, "what follows finds its first one still");
}
