//! What the programs take from an interface and what they leave, frame by frame, at both hooks and in both forms.

mod hosts;
mod namespace;

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use port::{Form, OUT_MAC, Published, SOCKET_MARK, UplinkStats};
use wire::protocol::{ICMP, ICMPV6, TCP, UDP};

use hosts::{
    HOST, HOST6, Host, PEER, PEER_MAC, PEER6, Way, comes, flow, flow6, hooks, in_both_forms, index, read_until,
    says_unreachable, ways,
};
use namespace::{ip, within};

const MOMENT: Duration = Duration::from_millis(60);

#[test]
fn the_hosts_traffic_is_untouched() {
    for way in ways() {
        within(|| {
            let mut host = Host::new(way);
            assert_eq!(host.uplink.hook(), way.hook);
            for frame in [host.udp(53, 4000), host.udp6(53, 4000)] {
                host.passed(&frame);
                read_until(&mut host.nic, "answer of the host", says_unreachable);
            }
            assert!(!comes(&mut host.link, MOMENT, |frame| frame.bytes().get(..6) == Some(&host.nic_mac)));
        });
    }
}

#[test]
fn a_mapping_is_steered_exactly() {
    for way in ways() {
        within(|| {
            let mut host = Host::new(way);
            let flows = [flow(UDP, 4000, 53), flow6(UDP, 4000, 53), flow(TCP, 4001, 80), flow6(TCP, 4001, 80)];
            host.steering.insert(&flows);
            for frame in [host.udp(53, 4000), host.udp6(53, 4000), host.syn(80, 4001), host.syn6(80, 4001)] {
                host.steered(&frame);
            }
            for frame in [host.udp(54, 4000), host.udp(53, 4001), host.udp6(53, 3999), host.syn(53, 4000)] {
                host.passed(&frame);
            }
            host.steering.remove(&flows);
            host.steering.remove(&flows);
            host.passed(&host.udp(53, 4000));
            host.passed(&host.syn6(80, 4001));
        });
    }
}

#[test]
fn an_echo_reply_is_steered_by_its_identifier() {
    in_both_forms(|mut host| {
        host.steering.insert(&[flow(ICMP, 77, 0), flow6(ICMPV6, 77, 0)]);
        for (id, ours) in [(77, true), (78, false)] {
            let (mut v4, mut v6, mut request) = (Vec::new(), Vec::new(), Vec::new());
            let to = |host: &Host| host.ether().ipv4(PEER.octets(), HOST.octets(), 9);
            let to6 = |host: &Host| host.ether().ipv6(PEER6.octets(), HOST6.octets(), 9);
            to(&host).icmpv4_echo_reply(id, 5).write(&mut v4, &[]).unwrap();
            to6(&host).icmpv6_echo_reply(id, 5).write(&mut v6, &[]).unwrap();
            to(&host).icmpv4_echo_request(id, 5).write(&mut request, &[]).unwrap();
            for frame in [v4, v6] {
                if ours { host.steered(&frame) } else { host.passed(&frame) }
            }
            host.passed(&request);
        }
    });
}

#[test]
fn published_ports_are_steered() {
    for way in ways() {
        within(|| {
            let mut host = Host::new(way);
            host.uplink.publish(TCP, Published::AnyV4, 8000..=8999, true).unwrap();
            host.uplink.publish(UDP, Published::AnyV6, 53..=53, true).unwrap();
            host.uplink.publish(UDP, Published::At(HOST.into()), 65_535..=65_535, true).unwrap();
            host.uplink.publish(UDP, Published::At(PEER.into()), 70..=70, true).unwrap();
            for frame in
                [host.syn(1, 8000), host.syn(1, 8500), host.syn(1, 8999), host.udp6(1, 53), host.udp(1, 65_535)]
            {
                host.steered(&frame);
            }
            for frame in [host.syn(1, 7999), host.syn(1, 9000), host.syn6(1, 8000), host.udp(1, 53), host.udp(1, 70)] {
                host.passed(&frame);
            }
            host.uplink.publish(TCP, Published::AnyV4, 8000..=8500, false).unwrap();
            host.uplink.publish(UDP, Published::AnyV6, 53..=53, false).unwrap();
            host.passed(&host.syn(1, 8500));
            host.passed(&host.udp6(1, 53));
            host.steered(&host.syn(1, 8501));
        });
    }
}

#[test]
fn what_claims_to_come_from_the_host_itself_is_not_steered() {
    for way in ways() {
        within(|| {
            let mut host = Host::new(way);
            host.uplink.publish(UDP, Published::AnyV4, 80..=80, true).unwrap();
            let mut bytes = Vec::new();
            host.ether().ipv4(HOST.octets(), HOST.octets(), 64).udp(1, 80).write(&mut bytes, b"it's me").unwrap();
            host.passed(&bytes);
            host.steered(&host.udp(1, 80));
        });
    }
}

#[test]
fn a_large_range_is_published_to_its_ends() {
    in_both_forms(|mut host| {
        host.uplink.publish(TCP, Published::AnyV4, 20_000..=29_999, true).unwrap();
        [20_000, 25_000, 29_999].iter().for_each(|&port| host.steered(&host.syn(1, port)));
        [19_999, 30_000].iter().for_each(|&port| host.passed(&host.syn(1, port)));
        host.uplink.publish(TCP, Published::AnyV4, 20_000..=29_999, false).unwrap();
        host.passed(&host.syn(1, 25_000));
    });
}

#[test]
fn a_socket_of_the_host_goes_before_a_published_port() {
    in_both_forms(|mut host| {
        host.uplink.publish(TCP, Published::AnyV4, 80..=80, true).unwrap();
        host.uplink.publish(UDP, Published::AnyV4, 80..=80, true).unwrap();
        let tcp = TcpListener::bind((HOST, 80)).unwrap();
        let udp = UdpSocket::bind((HOST, 80)).unwrap();
        host.left_to_socket(&host.syn(1, 80));
        host.left_to_socket(&host.udp(1, 80));
        // By this mark the daemon's own sockets are told.
        setsockopt(&tcp, sockopt::Mark, &SOCKET_MARK).unwrap();
        setsockopt(&udp, sockopt::Mark, &SOCKET_MARK).unwrap();
        host.steered(&host.syn(2, 80));
        host.steered(&host.udp(2, 80));
        // The first SYN made a request socket of that listener: its connection stays the host's.
        host.left_to_socket(&host.syn(1, 80));
        // A connected socket owns its flow, marked or not.
        udp.connect((PEER, 3)).unwrap();
        host.left_to_socket(&host.udp(3, 80));
        host.steered(&host.udp(4, 80));
    });
}

#[test]
fn a_dual_stack_socket_goes_before_a_published_port() {
    in_both_forms(|mut host| {
        host.uplink.publish(UDP, Published::AnyV4, 80..=80, true).unwrap();
        host.uplink.publish(UDP, Published::AnyV6, 80..=80, true).unwrap();
        let _udp = UdpSocket::bind("[::]:80").unwrap();
        host.left_to_socket(&host.udp(1, 80));
        host.left_to_socket(&host.udp6(1, 80));
    });
}

#[test]
fn a_socket_of_the_host_goes_before_a_mapping() {
    in_both_forms(|mut host| {
        host.steering.insert(&[flow(UDP, 4000, 53), flow6(UDP, 4000, 53), flow(TCP, 4000, 53)]);
        let _udp = UdpSocket::bind((HOST, 4000)).unwrap();
        let _udp6 = UdpSocket::bind((HOST6, 4000)).unwrap();
        host.left_to_socket(&host.udp(53, 4000));
        host.left_to_socket(&host.udp6(53, 4000));
        // A listener has no part in a flow that the switch began.
        let _tcp = TcpListener::bind((HOST, 4000)).unwrap();
        host.steered(&host.syn(53, 4000));
    });
}

/// The headers of a packet from the host to the peer, as an error quotes them.
fn quoted(host: &Host, protocol: u8, local: u16, remote: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ether = host.ether();
    if protocol == UDP {
        ether.ipv4(HOST.octets(), PEER.octets(), 1).udp(local, remote).write(&mut bytes, b"lost").unwrap();
    } else {
        ether.ipv4(HOST.octets(), PEER.octets(), 1).icmpv4_echo_request(local, 1).write(&mut bytes, &[]).unwrap();
    }
    bytes.split_off(14)
}

#[test]
fn icmp_errors_are_judged_by_what_they_quote() {
    in_both_forms(|mut host| {
        host.steering.insert(&[flow(UDP, 4000, 53), flow(ICMP, 9, 0)]);
        host.uplink.publish(TCP, Published::AnyV6, 443..=443, true).unwrap();
        // From a router on the way.
        let error = |host: &Host, quoted: &[u8], kind| {
            let mut bytes = Vec::new();
            let outer = host.ether().ipv4([192, 0, 2, 1], HOST.octets(), 60);
            outer.icmpv4_raw(kind, 0, [0; 4]).write(&mut bytes, quoted).unwrap();
            bytes
        };
        for kind in [3, 11, 12] {
            host.steered(&error(&host, &quoted(&host, UDP, 4000, 53), kind));
            host.steered(&error(&host, &quoted(&host, ICMP, 9, 0), kind));
        }
        host.passed(&error(&host, &quoted(&host, UDP, 4000, 54), 3));
        host.passed(&error(&host, &quoted(&host, UDP, 4001, 53), 3));
        host.passed(&error(&host, &quoted(&host, ICMP, 8, 0), 11));
        // A redirect is for the host; and a quote that is cut short says nothing.
        host.passed(&error(&host, &quoted(&host, UDP, 4000, 53), 5));
        host.passed(&error(&host, &quoted(&host, UDP, 4000, 53)[..22], 3));
        host.passed(&error(&host, &[], 3));

        let mut inner = Vec::new();
        let back = host.ether().ipv6(HOST6.octets(), PEER6.octets(), 1).tcp(443, 5000, 1, 1);
        back.write(&mut inner, &[]).unwrap();
        for (kind, ours) in [(1, true), (2, true), (3, true), (4, true), (100, false)] {
            let mut bytes = Vec::new();
            let outer = host.ether().ipv6(PEER6.octets(), HOST6.octets(), 60);
            outer.icmpv6_raw(kind, 0, [0, 0, 5, 0]).write(&mut bytes, &inner[14..]).unwrap();
            if ours { host.steered(&bytes) } else { host.passed(&bytes) }
        }
    });
}

/// An IPv4 fragment of a UDP packet: offset in bytes.
fn fragment(host: &Host, id: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut header =
        etherparse::Ipv4Header::new(payload.len() as u16, 60, etherparse::IpNumber::UDP, PEER.octets(), HOST.octets())
            .unwrap();
    header.identification = id;
    header.dont_fragment = false;
    header.more_fragments = more;
    header.fragment_offset = etherparse::IpFragOffset::try_new(offset / 8).unwrap();
    header.header_checksum = header.calc_header_checksum();
    let mut bytes = [&host.nic_mac[..], &PEER_MAC, &[8, 0]].concat();
    header.write_raw(&mut bytes).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn later_fragments_follow_the_first() {
    in_both_forms(|mut host| {
        host.steering.insert(&[flow(UDP, 4000, 53), flow6(UDP, 4000, 53)]);
        let mut first = host.udp(53, 4000).split_off(34);
        first.resize(64, 7);
        host.passed(&fragment(&host, 1, 64, false, &[7; 40]));
        host.steered(&fragment(&host, 1, 0, true, &first));
        for (id, ours) in [(1, 1), (2, 0)] {
            let later = fragment(&host, id, 64, false, &[7; 40]);
            host.arrive(&later);
            assert_eq!(host.counted(), UplinkStats { fragments: ours, ..UplinkStats::default() });
            if ours == 1 {
                host.comes_to_the_switch(&later);
            }
        }

        // The identification of a datagram that was the switch's is used again by one of the host's.
        let mut hosts = host.udp(53, 9).split_off(34);
        hosts.resize(64, 7);
        host.passed(&fragment(&host, 1, 0, true, &hosts));
        host.passed(&fragment(&host, 1, 64, false, &[7; 40]));

        // IPv6: destination options, then the fragment header.
        let udp = host.udp6(53, 4000).split_off(54);
        let fragment6 = |host: &Host, id: u8, offset: u8, more: u8, payload: &[u8]| {
            let options = [44, 0, 1, 4, 0, 0, 0, 0];
            let header = [17, 0, 0, offset | more, 0, 0, 0, id];
            let mut bytes = [&host.nic_mac[..], &PEER_MAC, &[0x86, 0xdd, 0x60, 0, 0, 0, 0]].concat();
            bytes.extend([(16 + payload.len()) as u8, 60, 60]);
            bytes.extend(PEER6.octets().into_iter().chain(HOST6.octets()));
            bytes.extend(options.iter().chain(&header).chain(payload));
            bytes
        };
        host.passed(&fragment6(&host, 1, 16, 0, &[7; 20]));
        host.steered(&fragment6(&host, 1, 0, 1, &udp));
        for (id, ours) in [(1, 1), (2, 0)] {
            host.arrive(&fragment6(&host, id, 16, 0, &[7; 20]));
            assert_eq!(host.counted(), UplinkStats { fragments: ours, ..UplinkStats::default() });
        }
        // Whole, although with a fragment header (RFC 6946).
        host.steered(&fragment6(&host, 3, 0, 0, &udp));
    });
}

#[test]
fn what_is_not_for_the_host_passes() {
    in_both_forms(|mut host| {
        host.uplink.publish(UDP, Published::AnyV4, 1..=65_535, true).unwrap();
        let frame = host.udp(53, 4000);
        host.steered(&frame);
        // Another station's, a VLAN's, one cut short, an address that is not local, a group.
        let mut other = frame.clone();
        other[..6].copy_from_slice(&PEER_MAC);
        host.passed(&other);
        let vlan = [&frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat();
        host.passed(&vlan);
        for len in [14, 20, 34, 37] {
            host.passed(&frame[..len]);
        }
        for to in [[10, 1, 0, 3], [169, 254, 86, 1], [224, 0, 0, 1], [10, 1, 0, 255]] {
            let mut bytes = Vec::new();
            host.ether().ipv4(PEER.octets(), to, 60).udp(53, 4000).write(&mut bytes, &[]).unwrap();
            host.passed(&bytes);
        }
        host.uplink.set_locals(&[PEER.into(), HOST6.into()]).unwrap();
        host.passed(&frame);
        host.uplink.set_locals(&[HOST.into()]).unwrap();
        host.steered(&frame);
    });
}

#[test]
fn a_silent_switch_is_waited_for_and_then_given_up() {
    in_both_forms(|mut host| {
        host.steering.insert(&[flow(UDP, 4000, 53)]);
        let frame = host.udp(53, 4000);
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
        host.steering.beat_at(Duration::from(now).saturating_sub(Duration::from_secs(5)));
        host.arrive(&frame);
        assert_eq!(host.counted(), UplinkStats { held: 1, ..UplinkStats::default() });
        host.steering.beat_at(Duration::from(now).saturating_sub(Duration::from_secs(11)));
        host.arrive(&frame);
        assert_eq!(host.counted(), UplinkStats { stale: 1, ..UplinkStats::default() });
        read_until(&mut host.nic, "answer of the host", says_unreachable);
        host.steering.beat();
        host.steered(&frame);
    });
}

#[test]
fn new_connections_above_the_limit_are_dropped() {
    in_both_forms(|mut host| {
        host.uplink.publish(TCP, Published::AnyV4, 80..=80, true).unwrap();
        host.steering.insert(&[flow(TCP, 4000, 80)]);
        host.steering.limit_new(Some(10));
        for from in 1000..1200 {
            host.arrive(&host.syn(from, 80));
        }
        let counted = host.counted();
        assert_eq!(counted.steered + counted.limited, 200);
        assert!((10..=20).contains(&counted.steered), "{counted:?}");
        // What is no new connection to a published port is not limited.
        host.arrive(&host.syn(80, 4000));
        let mut ack = Vec::new();
        host.ether().ipv4(PEER.octets(), HOST.octets(), 9).tcp(9, 80, 1, 1).ack(1).write(&mut ack, &[]).unwrap();
        host.arrive(&ack);
        assert_eq!(host.counted(), UplinkStats { steered: 2, ..UplinkStats::default() });
        host.steering.limit_new(None);
        host.arrive(&host.syn(2000, 80));
        assert_eq!(host.counted(), UplinkStats { steered: 1, ..UplinkStats::default() });
    });
}

#[test]
fn interfaces_come_and_go() {
    for hook in hooks() {
        within(|| {
            let mut host = Host::new(Way { hook, form: Form::Tc });
            host.steering.insert(&[flow(UDP, 4000, 53)]);
            let nic = index("nic0");
            host.uplink.attach(nic).unwrap();
            assert_eq!(host.uplink.attached().collect::<Vec<_>>(), [nic]);
            host.uplink.detach(nic).unwrap();
            host.uplink.detach(nic).unwrap();
            assert_eq!(host.uplink.attached().count(), 0);
            host.passed(&host.udp(53, 4000));
            host.uplink.attach(nic).unwrap();
            host.steered(&host.udp(53, 4000));

            ip("link add v0 type veth peer name v1");
            let veth = index("v0");
            host.uplink.attach(veth).unwrap();
            assert_eq!(host.uplink.attached().count(), 2);
            ip("link del v0");
            assert_eq!(host.uplink.attached().collect::<Vec<_>>(), [nic]);
            host.uplink.detach(veth).unwrap();
            let error = host.uplink.attach(veth).unwrap_err();
            assert!(error.to_string().contains("it is gone"), "{error}");
            assert!(host.uplink.attach(host.uplink.link()).is_err());
            assert_ne!(host.nic_mac, OUT_MAC.0);
        });
    }
}
