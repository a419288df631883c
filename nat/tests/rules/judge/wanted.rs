//! Every stateless match, with packets that it wants and packets that it does not.

use nat::rules::Family;
use nat::rules::{Hook, Table};
use wire::Frame;

use super::world::{bench, echo, forward, tcp, udp};

fn matches(family: Family, rule: &str, frame: &Frame) -> bool {
    let mut bench = bench(family, Table::Filter, Hook::Forward, &format!("-A FORWARD {rule} -j DROP"));
    bench.world.local = vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
    bench.world.random = 1 << 30;
    bench.mark = 0x15;
    bench.drops(frame)
}

#[test]
fn fw_05_fw_06_fw_07_fw_08_fw_12_ipv4() {
    let datagram = udp("10.0.0.1:1000", "10.0.0.2:53", &[0; 72]);
    let segment = tcp("10.0.0.1:1000", "10.0.0.2:80", 0x12, &[1, 2, 4, 5, 180, 1, 1, 0], b"");
    let ping = echo("10.0.0.1", "224.0.0.9");
    for (rule, frame, wanted) in [
        ("-s 10.0.0.0/24", &datagram, true),
        ("! -s 10.0.0.0/24", &datagram, false),
        ("-d 10.0.1.2/255.255.0.255", &datagram, true),
        ("-i eth+ -o eth1", &datagram, true),
        ("-i eth", &datagram, false),
        ("! -o eth+", &datagram, false),
        ("-i +", &datagram, true),
        ("-p udp --sport 1000: --dport :53", &datagram, true),
        ("-p udp ! --dport 53", &datagram, false),
        ("-p tcp", &datagram, false),
        ("-p tcp --tcp-flags SYN,ACK SYN,ACK", &segment, true),
        ("-p tcp ! --syn", &segment, true),
        ("-p tcp --tcp-option 2", &segment, true),
        ("-p tcp --tcp-option 4", &segment, false),
        ("-p tcp ! --tcp-option 3", &segment, true),
        ("-p tcp -m multiport --ports 22,70:90", &segment, true),
        ("-p tcp -m multiport ! --sports 1000", &segment, false),
        ("-p udp -m multiport --dports 52:54", &datagram, true),
        ("-p icmp --icmp-type echo-request", &ping, true),
        ("-p icmp --icmp-type 8/1", &ping, false),
        ("-p icmp ! --icmp-type any", &ping, false),
        ("-m iprange --src-range 10.0.0.0-10.0.0.1 ! --dst-range 10.0.0.3-10.0.0.9", &datagram, true),
        ("-m mac --mac-source 02:00:00:00:00:01", &datagram, true),
        ("-m mac ! --mac-source 02:00:00:00:00:01", &datagram, false),
        ("-m mark --mark 0x5/0xf", &datagram, true),
        ("-m mark ! --mark 0x15", &datagram, false),
        ("-m addrtype --src-type UNICAST --dst-type LOCAL", &datagram, true),
        ("-m addrtype --dst-type MULTICAST,BROADCAST", &ping, true),
        ("-m addrtype --dst-type LOCAL --limit-iface-in", &datagram, true),
        ("-m addrtype --dst-type LOCAL --limit-iface-out", &datagram, false),
        ("-m length --length 100", &datagram, true),
        ("-m length ! --length 101:", &datagram, true),
        ("-m ttl --ttl-eq 64", &datagram, true),
        ("-m ttl --ttl-lt 64", &datagram, false),
        ("-m ttl --ttl-gt 63", &datagram, true),
        ("-m dscp --dscp 0", &datagram, true),
        ("-m tos ! --tos 0x10", &datagram, true),
        ("-m statistic --mode random --probability 0.6", &datagram, true),
        ("-m statistic --mode random --probability 0.4", &datagram, false),
        ("-m statistic --mode random ! --probability 0.4", &datagram, true),
        ("-m comment --comment x", &datagram, true),
        ("-f", &datagram, false),
        ("! -f", &datagram, true),
    ] {
        assert_eq!(matches(Family::Ipv4, rule, frame), wanted, "{rule}");
    }
}

#[test]
fn routing_headers_are_asked_for_by_type_segments_left_and_length() {
    let plain = udp("[fd00::1]:1000", "[fd00::2]:53", &[0; 32]);
    // Behind the Ethernet and IPv6 headers: destination options of 8 bytes, a routing header of 24 (type 3, 2 left).
    let (headers, rest) = plain.bytes().split_at(54);
    let mut bytes = headers.to_vec();
    bytes[20] = 60;
    bytes[19] += 32;
    bytes.extend([43, 0, 1, 4, 0, 0, 0, 0]);
    bytes.extend([17, 2, 3, 2]);
    bytes.extend([0; 20]);
    bytes.extend(rest);
    let routed = Frame::from_bytes(&bytes);
    for (rule, wanted) in [
        ("-m rt", true),
        ("-m rt --rt-type 3", true),
        ("-m rt ! --rt-type 3", false),
        ("-m rt --rt-type 259", false),
        ("-m rt --rt-segsleft 2", true),
        ("-m rt --rt-segsleft 3:", false),
        ("-m rt ! --rt-segsleft 3:9", true),
        ("-m rt --rt-len 24", true),
        ("-m rt --rt-type 3 ! --rt-len 24", false),
        ("-m rt -p udp --dport 53", true),
    ] {
        assert_eq!(matches(Family::Ipv6, rule, &routed), wanted, "{rule}");
        assert!(!matches(Family::Ipv6, rule, &plain), "it has none: {rule}");
    }
}

#[test]
fn ipv6_has_the_same_and_its_own() {
    let datagram = udp("[fd00::1]:1000", "[fd00::2]:53", &[0; 32]);
    let ping = echo("fd00::1", "ff02::5");
    for (rule, frame, wanted) in [
        ("-s fd00::/64 -d ::2/::f", &datagram, true),
        ("-p udp --dport 53", &datagram, true),
        ("-p ipv6-icmp --icmpv6-type 128/0", &ping, true),
        ("-p ipv6-icmp ! --icmpv6-type 128", &ping, false),
        ("-p icmp", &ping, false),
        ("-m hl --hl-eq 64", &ping, true),
        ("-m length --length 80", &datagram, true),
        ("-m iprange --dst-range fd00::2-fd00::2", &datagram, true),
        ("-m addrtype --dst-type MULTICAST", &ping, true),
        ("-m addrtype --dst-type MULTICAST", &datagram, false),
        ("-m addrtype --dst-type UNICAST,LOCAL", &datagram, true),
        ("-m addrtype --src-type LOCAL", &datagram, false),
        ("-m addrtype ! --src-type UNSPEC", &datagram, true),
    ] {
        assert_eq!(matches(Family::Ipv6, rule, frame), wanted, "{rule}");
    }
}

#[test]
fn no_interface_is_no_name() {
    let mut bench = forward("-A FORWARD ! -i eth0 -j DROP\n-A FORWARD -m mac ! --mac-source 02:00:00:00:00:09 -j DROP");
    bench.input = "";
    assert!(bench.drops(&udp("10.0.0.1:1", "10.0.0.2:2", b"")));
    let mut bench = forward("-A FORWARD -m mac ! --mac-source 02:00:00:00:00:09 -j DROP\n-A FORWARD -i e+ -j DROP");
    bench.input = "";
    assert!(!bench.drops(&udp("10.0.0.1:1", "10.0.0.2:2", b"")));
}
