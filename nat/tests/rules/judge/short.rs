//! Packets that make no sense to a match, and fragments.

use nat::rules::{Family, Hook, Table};
use wire::Frame;

use super::world::{bench, echo, forward, tcp, udp};

/// Makes a fragment of an IPv4 packet: offset in units of 8 bytes, and whether more follow.
fn fragment(mut frame: Frame, offset: u16, more: bool) -> Frame {
    let word = offset | if more { 0x2000 } else { 0 };
    frame.bytes_mut()[20..22].copy_from_slice(&word.to_be_bytes());
    frame
}

#[test]
fn ct_09_later_fragments_have_no_ports() {
    let datagram = || udp("10.0.0.1:1000", "10.0.0.2:53", &[0; 40]);
    for (rule, first, later) in [
        ("-p udp --dport 53", true, false),
        ("-p udp ! --dport 53", false, false),
        ("-p udp -m multiport ! --dports 99", true, false),
        ("-p udp", true, true),
        ("-f", false, true),
        ("! -f", true, false),
        ("-s 10.0.0.1", true, true),
    ] {
        let mut bench = forward(&format!("-A FORWARD {rule} -j DROP"));
        assert_eq!(bench.drops(&fragment(datagram(), 0, true)), first, "{rule}");
        assert_eq!(bench.drops(&fragment(datagram(), 2, true)), later, "{rule}");
    }
}

#[test]
fn a_fragment_inside_the_tcp_header_is_dropped_whatever_the_rule_says() {
    let mut bench = forward("-A FORWARD -p tcp --dport 1 -j ACCEPT");
    let segment = || tcp("10.0.0.1:1000", "10.0.0.2:80", 2, &[], &[0; 40]);
    let outcome = bench.judge(&mut fragment(segment(), 1, false));
    assert!(outcome.malformed && bench.drops(&fragment(segment(), 1, false)));
    assert!(!bench.drops(&fragment(segment(), 2, false)));
}

#[test]
fn short_messages_are_dropped_by_matches_that_look_into_them() {
    // Four bytes of ICMP where eight belong.
    let mut ping = Frame::from_bytes(&echo("10.0.0.1", "10.0.0.2").bytes()[..38]);
    ping.bytes_mut()[16..18].copy_from_slice(&24u16.to_be_bytes());
    let mut bench = forward("-A FORWARD -p icmp --icmp-type 3 -j ACCEPT");
    assert!(bench.judge(&mut ping).malformed);
    let mut bench = forward("-A FORWARD -p icmp -j ACCEPT");
    assert!(!bench.judge(&mut ping).malformed);
}

#[test]
fn a_protocol_that_a_fragment_hides_is_no_protocol() {
    // IPv6, a later fragment whose next header is destination options.
    let mut bytes = udp("[fd00::1]:1", "[fd00::2]:2", &[0; 16]).bytes().to_vec();
    bytes.splice(54..54, [60, 0, 0, 8 | 1, 0, 0, 0, 7]);
    bytes[20] = 44;
    bytes[18..20].copy_from_slice(&32u16.to_be_bytes());
    let mut frame = Frame::from_bytes(&bytes);
    let mut rules = bench(Family::Ipv6, Table::Filter, Hook::Forward, "-A FORWARD -p tcp -j ACCEPT");
    assert!(rules.judge(&mut frame).malformed);
    let mut rules = bench(Family::Ipv6, Table::Filter, Hook::Forward, "-A FORWARD -s fd00::1 -j ACCEPT");
    assert!(!rules.judge(&mut frame).malformed);
}
