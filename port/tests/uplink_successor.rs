//! What outlives a daemon that ends without closing its uplink, and what its successor makes of it. And the other kind of
//! interface, without a link-layer header.

mod hosts;
mod namespace;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Duration;

use etherparse::PacketBuilder;
use port::{Form, Hook, Published, Received, Uplink, UplinkStats};
use wire::Frame;
use wire::protocol::{TCP, UDP};

use hosts::{
    HOST, Host, PEER, Way, best, comes, flow, hooks, index, inlet, link, read_until, receive_until, says_unreachable,
    ways,
};
use namespace::{eventually, ip, within};

const MOMENT: Duration = Duration::from_millis(60);

/// As the kernel shows them: filters, and whether there is a qdisc for them.
fn filters(of: &str) -> (usize, bool) {
    let show = |words: &[&str]| {
        let output = Command::new("tc").args(words).args(["dev", of]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let filters = Command::new("tc").args(["filter", "show", "dev", of, "ingress"]).output().unwrap();
    let filters = String::from_utf8(filters.stdout).unwrap();
    (filters.matches("direct-action").count(), show(&["qdisc", "show"]).contains("clsact"))
}

/// As `ip link` shows an interface.
fn link_text(ifname: &str) -> String {
    let output = Command::new("ip").args(["-d", "link", "show", ifname]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The daemon is gone at once: nothing was closed, and with its descriptors the link went.
fn crash(host: Host) -> (port::Tap, [u8; 6]) {
    let Host { nic, nic_mac, link, inlet, uplink, steering, .. } = host;
    drop((link, inlet, uplink, steering));
    (nic, nic_mac)
}

#[test]
fn a_successor_takes_over() {
    let ways = ways();
    for (before, after) in ways.iter().flat_map(|before| ways.iter().map(|after| (*before, *after))) {
        within(|| {
            let mut host = Host::new(before);
            host.steering.insert(&[flow(UDP, 4000, 53), flow(UDP, 4001, 53)]);
            host.uplink.publish(UDP, Published::AnyV4, 80..=81, true).unwrap();
            let frames = [host.udp(53, 4000), host.udp(53, 4001), host.udp(9, 80), host.udp(9, 81)];
            host.steered(&frames[0]);
            let (mut nic, _) = crash(host);

            // What was the switch's is held, what was not is answered by the host.
            for frame in &frames {
                nic.send(&mut Frame::from_bytes(frame)).unwrap();
            }
            assert!(!comes(&mut nic, MOMENT, says_unreachable));

            for round in 0..2 {
                let mut link = link();
                let (mut uplink, mut steering) = Uplink::open_at("vsw0", after.hook, after.form).unwrap();
                let mut inlet = inlet(&uplink, "nic0");
                assert_eq!(uplink.attached().collect::<Vec<_>>(), [index("nic0")]);
                let want = if after.hook == Hook::Filter { (1, true) } else { (0, false) };
                assert_eq!(filters("nic0"), want);
                // All that the predecessor had is in force, before anything is said again.
                for frame in &frames {
                    steering.beat();
                    nic.send(&mut Frame::from_bytes(frame)).unwrap();
                    receive_until(&mut link, inlet.as_mut(), "steered frame", |read| read.bytes() == &frame[..]);
                }
                if round == 0 {
                    // A second crash, before anything was said.
                    drop((link, inlet, uplink, steering));
                    continue;
                }
                uplink.publish(UDP, Published::AnyV4, 80..=80, true).unwrap();
                steering.insert(&[flow(UDP, 4000, 53)]);
                uplink.drop_inherited_ports().unwrap();
                uplink.drop_inherited_mappings().unwrap();
                for (frame, ours) in frames.iter().zip([true, false, true, false]) {
                    steering.beat();
                    nic.send(&mut Frame::from_bytes(frame)).unwrap();
                    if ours {
                        receive_until(&mut link, inlet.as_mut(), "steered frame", |read| read.bytes() == &frame[..]);
                    } else {
                        read_until(&mut nic, "answer of the host", says_unreachable);
                    }
                }
                let stats = uplink.stats();
                assert_eq!(stats, UplinkStats { steered: 6, ..stats });
                // With two programs at the interface, removing one would leave the other.
                uplink.detach(index("nic0")).unwrap();
                for frame in &frames {
                    nic.send(&mut Frame::from_bytes(frame)).unwrap();
                    read_until(&mut nic, "answer of the host", says_unreachable);
                }
            }
        });
    }
}

#[test]
fn close_leaves_nothing() {
    for way in ways() {
        within(|| {
            let mut host = Host::new(way);
            host.steering.insert(&[flow(UDP, 4000, 53)]);
            let frame = host.udp(53, 4000);
            host.steered(&frame);
            let Host { mut nic, uplink, inlet, .. } = host;
            uplink.close().unwrap();
            drop(inlet);
            assert!(!link_text("nic0").contains("xdp"));
            assert_eq!((filters("nic0"), filters("vsw0")), ((0, false), (0, false)));
            nic.send(&mut Frame::from_bytes(&frame)).unwrap();
            read_until(&mut nic, "answer of the host", says_unreachable);
        });
    }
}

/// Somebody else's classifiers, and their qdisc, stay.
#[test]
fn others_filters_are_left_alone() {
    within(|| {
        ip("link add v0 type veth peer name v1");
        let tc = |words: &str| {
            let output = Command::new("tc").args(words.split_whitespace()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        // Of another kind, at the priority that ours would like.
        tc("qdisc add dev v0 clsact");
        tc("filter add dev v0 ingress prio 1 protocol all u32 match u32 0 0");
        ip("link add w0 type veth peer name w1");
        let mut host = Host::new(Way { hook: Hook::Filter, form: Form::Tc });
        host.uplink.attach(index("v0")).unwrap();
        host.uplink.attach(index("w0")).unwrap();
        tc("filter add dev w0 egress prio 1 protocol all u32 match u32 0 0");
        assert_eq!((filters("v0"), filters("w0")), ((1, true), (1, true)));
        host.uplink.close().unwrap();
        assert_eq!((filters("v0"), filters("w0"), filters("nic0")), ((0, true), (0, true), (0, false)));
        let output = Command::new("tc").args(["filter", "show", "dev", "v0", "ingress"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("u32"));
    });
}

/// Each namespace has its own daemon.
#[test]
fn namespaces_do_not_disturb_each_other() {
    within(|| {
        let mut here = Host::new(best());
        here.uplink.publish(TCP, Published::AnyV4, 80..=80, true).unwrap();
        within(|| {
            let mut there = Host::new(best());
            assert_eq!(there.uplink.attached().count(), 1);
            there.passed(&there.syn(1, 80));
            there.uplink.close().unwrap();
        });
        here.steered(&here.syn(1, 80));
    });
}

/// The far end of a link without Ethernet.
fn tun(name: &str) -> File {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun").unwrap();
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&((libc::IFF_TUN | libc::IFF_NO_PI) as u16).to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq` of 40 bytes, which `request` is and outlives.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    file
}

#[test]
fn interfaces_without_ethernet_work_both_ways() {
    for hook in hooks() {
        within(|| {
            let mut far = tun("wg0");
            ip("addr add 10.1.0.1/24 dev wg0");
            ip("addr add fd01::1/64 dev wg0 nodad");
            ip("link set wg0 up");
            let mut link = link();
            let (mut uplink, mut steering) = Uplink::open_at("vsw0", hook, Form::Tc).unwrap();
            uplink.attach(index("wg0")).unwrap();
            uplink.set_locals(&hosts::addresses()).unwrap();
            steering.insert(&[flow(UDP, 4000, 53), hosts::flow6(UDP, 4000, 53)]);

            let (mut v4, mut v6) = (Vec::new(), Vec::new());
            PacketBuilder::ipv4(PEER.octets(), HOST.octets(), 60).udp(53, 4000).write(&mut v4, b"answer").unwrap();
            let six = PacketBuilder::ipv6(hosts::PEER6.octets(), hosts::HOST6.octets(), 60);
            six.udp(53, 4000).write(&mut v6, b"answer").unwrap();
            for (packet, ether_type) in [(v4, [8, 0]), (v6, [0x86, 0xdd])] {
                far.write_all(&packet).unwrap();
                let frame = read_until(&mut link, "steered packet", |frame| frame.bytes().get(14..) == Some(&packet));
                assert_eq!(frame.bytes()[..12], [0; 12]);
                assert_eq!(frame.bytes()[12..14], ether_type);
            }

            let mut bytes = Vec::new();
            PacketBuilder::ethernet2([2, 9, 9, 9, 9, 9], port::OUT_MAC.0)
                .ipv4(HOST.octets(), PEER.octets(), 63)
                .udp(4000, 53)
                .write(&mut bytes, b"question")
                .unwrap();
            link.send(&mut Frame::from_bytes(&bytes)).unwrap();
            let mut packet = [0; 2000];
            eventually("packet without Ethernet header", || {
                far.read(&mut packet).ok().filter(|len| packet[..*len] == bytes[14..])
            });
            let stats = uplink.stats();
            assert_eq!((stats.steered, stats.departed, stats.failed), (2, 1, 0));
            let mut frame = Frame::new();
            assert_ne!(link.receive(&mut frame).unwrap(), Received::Gone);
        });
    }
}
