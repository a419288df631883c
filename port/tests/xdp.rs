//! AF_XDP ports on veth links against the running kernel, in both modes.

mod namespace;
mod veth;

use std::net::UdpSocket;
use std::process::Command;

use etherparse::PacketBuilder;
use nix::sched::{CloneFlags, unshare};
use port::Sent;
use port::xdp::{Xdp, XdpMode, XdpOptions, memory_usage};
use wire::{Frame, Gso, Offload, Pool, checksum, parse};

use namespace::{eventually, ip, within};
use veth::{MODES, STATION, is_numbered, numbered, open, pair, receive, send};

fn link(ifname: &str) -> String {
    let output = Command::new("ip").args(["-d", "link", "show", ifname]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn frames_pass_from_port_to_port_without_a_copy_and_in_order() {
    for mode in MODES {
        within(|| {
            pair("a0", "a1");
            pair("b0", "b1");
            let [mut a0, mut a1, mut b0, mut b1] = ["a0", "a1", "b0", "b1"].map(|name| open(name, mode));
            let mut pool = Pool::new(64);
            // More than any ring holds, in parts that the socket buffers of generic mode take.
            for part in 0..60_u32 {
                for number in 0..50_u32 {
                    let mut frame = numbered(7);
                    frame.bytes_mut()[20..24].copy_from_slice(&(part * 50 + number).to_be_bytes());
                    assert_eq!(a0.send(frame, &mut pool), Sent::Done);
                }
                assert_eq!(a0.flush(), Sent::Done);
                let mut batch = Vec::new();
                eventually("frames", || {
                    a1.receive(&mut batch, 64, &mut pool);
                    (batch.iter().filter(|frame| is_numbered(frame)).count() >= 50).then_some(())
                });
                for frame in batch {
                    assert!(frame.is_lent());
                    assert_eq!(b0.send(frame, &mut pool), Sent::Done);
                }
                assert_eq!(b0.flush(), Sent::Done);
                for number in 0..50_u32 {
                    let mut batch = Vec::new();
                    eventually("a frame", || {
                        b1.receive(&mut batch, 1, &mut pool);
                        batch.retain(is_numbered);
                        batch.pop().map(|frame| {
                            let got = u32::from_be_bytes(*frame.bytes()[20..24].first_chunk().unwrap());
                            assert_eq!(got, part * 50 + number);
                        })
                    });
                }
            }
            assert_eq!(a1.stats(), Default::default());
            assert_eq!(b1.info().mode, mode);
            assert!(!b1.info().zero_copy, "veth has none");
        });
    }
}

#[test]
fn the_kernel_is_heard_and_its_partial_checksums_are_told() {
    for mode in MODES {
        within(|| {
            pair("x0", "x1");
            ip("addr add 10.9.0.1/24 dev x1");
            ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev x1");
            let mut port = open("x0", mode);
            let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
            socket.send_to(&[7; 1000], "10.9.0.9:53").unwrap();
            let mut frame = receive(&mut port, "datagram", |frame| frame.len() == 1042);
            assert_eq!(frame.offload.partial_checksum(), Some((34, 6)), "the sender was not told to finish");
            checksum::complete(&mut frame).unwrap();
            let headers = parse(frame.bytes()).unwrap();
            assert_eq!(checksum::verify_transport(frame.bytes(), &headers), Some(true));
            // As the switch does it with its own links.
            port::ethtool::finish_frames("x1").unwrap();
            socket.send_to(&[8; 1001], "10.9.0.9:53").unwrap();
            let frame = receive(&mut port, "datagram", |frame| frame.len() == 1043);
            assert_eq!(frame.offload, Offload::NONE);
            let headers = parse(frame.bytes()).unwrap();
            assert_eq!(checksum::verify_transport(frame.bytes(), &headers), Some(true));
        });
    }
}

#[test]
fn queues_are_driven_by_calls_where_that_is_asked_for() {
    within(|| {
        pair("x0", "x1");
        let busy = XdpOptions { busy_poll: true, ..XdpOptions::default() };
        let [mut one, mut two] = ["x0", "x1"].map(|name| Xdp::open(name, &busy).unwrap());
        assert!(one.info().busy_poll && two.info().busy_poll);
        for number in 0..100 {
            assert_eq!(send(&mut one, numbered(number)), Sent::Done);
            assert_eq!(receive(&mut two, "frame", is_numbered).bytes()[20], number);
        }
        drop((one, two));
        let whole = XdpOptions { zero_copy: Some(true), ..XdpOptions::default() };
        let said = Xdp::open("x0", &whole).unwrap_err().to_string();
        assert!(said.ends_with("(the driver cannot do this: leave out --xdp-zerocopy)"), "{said}");
    });
}

#[test]
fn what_leaves_is_complete() {
    for mode in MODES {
        within(|| {
            pair("x0", "x1");
            let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, mode));
            let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], STATION);
            let mut bytes = Vec::new();
            let payload: Vec<u8> = (0..4000_u32).map(|index| index as u8).collect();
            builder
                .ipv4([10, 9, 0, 1], [10, 9, 0, 9], 64)
                .tcp(40_000, 80, 1, 8_000)
                .write(&mut bytes, &payload)
                .unwrap();
            let mut frame = Frame::from_bytes(&bytes);
            frame.offload = Offload::segmented(Gso::Tcp4, 1400, 54, 34, 16);
            assert_eq!(send(&mut one, frame), Sent::Done);
            for len in [1400, 1400, 1200] {
                let segment = receive(&mut two, "segment", |frame| frame.bytes().get(23) == Some(&6));
                let headers = parse(segment.bytes()).unwrap();
                assert_eq!(segment.len(), 54 + len);
                assert_eq!(checksum::verify_transport(segment.bytes(), &headers), Some(true));
            }
            let mut whole = Frame::from_bytes(&bytes[..1000]);
            assert_eq!(send(&mut one, Frame::from_bytes(&bytes)), Sent::TooBig);
            whole.offload = Offload::partial(990, 16);
            assert_eq!(send(&mut one, whole), Sent::Refused, "offsets that do not fit");
            assert_eq!(send(&mut one, Frame::from_bytes(&bytes[..13])), Sent::Refused);
            let mut frame = Frame::from_bytes(&bytes);
            frame.offload = Offload::segmented(Gso::Tcp4, 1480, 54, 34, 16);
            assert_eq!(send(&mut one, frame), Sent::TooBig, "segments that the link does not carry");
        });
    }
}

#[test]
fn an_interface_is_given_back_unharmed() {
    for mode in MODES {
        within(|| {
            pair("x0", "x1");
            let port = open("x0", mode);
            assert!(link("x0").contains("xdp") && link("x0").contains("promiscuity 1"), "{}", link("x0"));
            let busy = Xdp::open("x0", &XdpOptions::default()).unwrap_err().to_string();
            assert!(busy.starts_with("interface x0: cannot attach an XDP program in native mode: "), "{busy}");
            assert!(busy.ends_with("(another XDP program is attached: see `ip link`)"), "{busy}");
            drop(port);
            // A child of another test has copies of all descriptors until it runs its program.
            eventually("interface as it was", || {
                let link = link("x0");
                (!link.contains("xdp") && link.contains("promiscuity 0")).then_some(())
            });
            // And can be taken again.
            let mut port = open("x0", mode);
            port.own_link().unwrap();
            drop(port);
            assert_eq!(link("x1"), "", "a link of its own goes with it");
        });
    }
}

#[test]
fn an_interface_that_goes_or_is_down_is_noticed() {
    within(|| {
        pair("x0", "x1");
        let mut port = open("x0", XdpMode::Native);
        assert!(!port.is_gone());
        ip("link set x0 down");
        assert_eq!(send(&mut port, numbered(1)), Sent::Down);
        assert_eq!(port.send(numbered(1), &mut Pool::new(1)), Sent::Down, "nothing is kept for later");
        assert!(!port.is_gone());
        ip("link set x0 up");
        assert_eq!(send(&mut port, numbered(1)), Sent::Done);
        ip("link del x1");
        assert!(port.is_gone());
        assert_eq!(send(&mut port, numbered(1)), Sent::Gone);
        let missing = Xdp::open("x0", &XdpOptions::default()).unwrap_err().to_string();
        assert_eq!(missing, "interface x0: no such interface in this network namespace (see `ip link`)");
    });
}

#[test]
fn a_link_of_its_own_keeps_its_mtu_wherever_it_is_looked_at() {
    within(|| {
        pair("x0", "x1");
        let mut port = open("x0", XdpMode::Native);
        let mut long = numbered(1).bytes().to_vec();
        long.resize(1_000, 1);
        port.own_link().unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link add x0 mtu 576 type veth peer name x1");
        assert!(!port.is_gone());
        assert_eq!(send(&mut port, Frame::from_bytes(&long)), Sent::Done, "the other x0 does not count");
    });
}

#[test]
fn frames_that_are_lost_are_counted() {
    within(|| {
        pair("x0", "x1");
        let set_mtu = |mtu| ["x0", "x1"].iter().for_each(|end| ip(&format!("link set {end} mtu {mtu}")));
        ip("link set x1 mtu 3700");
        ip("addr add 10.9.0.1/24 dev x1");
        ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev x1");
        // Native mode does not take such a peer for frames of one piece: the best mode is generic.
        let mut port = Xdp::open("x0", &XdpOptions::default()).unwrap();
        assert_eq!((port.info().mode, port.info().multi_buffer), (XdpMode::Generic, false));
        let why = port.info().why_generic.clone().unwrap();
        assert!(why.starts_with("interface x0: cannot attach an XDP program in native mode"), "{why}");
        set_mtu(9000);
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        socket.send_to(&[7; 6000], "10.9.0.9:53").unwrap();
        eventually("a lost frame", || (port.stats().too_long == 1).then_some(()));
        // Nobody takes these.
        for number in 0..3000 {
            socket.send_to(&[7; 100], "10.9.0.9:53").unwrap();
            // The kernel's queue before the program holds a thousand, and counts elsewhere.
            if number % 100 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        eventually("overruns", || (port.stats().overrun > 0).then_some(()));
        let mut batch = Vec::new();
        while port.receive(&mut batch, 4096, &mut Pool::new(1)) {}
        assert_eq!(batch.len() as u64 + port.stats().overrun, 3000, "each is here or counted");
    });
}

#[test]
fn frames_that_the_link_does_not_send_are_counted() {
    for mode in MODES {
        within(|| {
            pair("x0", "x1");
            let mut port = open("x0", mode);
            assert_eq!(send(&mut port, numbered(1)), Sent::Done);
            ip("link set x1 down");
            // No carrier: the kernel takes them, and drops them.
            for number in 0..10 {
                assert_eq!(port.send(numbered(number), &mut Pool::new(4)), Sent::Done);
            }
            assert_eq!(port.flush(), Sent::Done);
            assert_eq!(port.newly_lost().not_sent, 10);
            ip("link set x1 up");
            assert_eq!((send(&mut port, numbered(1)), port.newly_lost().not_sent), (Sent::Done, 0));
        });
    }
}

#[test]
fn several_queues_are_one_port() {
    within(|| {
        ip("link add x0 numrxqueues 4 numtxqueues 4 type veth peer name x1 numrxqueues 4 numtxqueues 4");
        for end in ["x0", "x1"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1").unwrap();
            ip(&format!("link set {end} up"));
        }
        ip("addr add 10.9.0.1/24 dev x1");
        ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev x1");
        let mut port = open("x0", XdpMode::Native);
        assert_eq!((port.info().queues, port.descriptors().count()), (4, 4));
        // Each sender has a queue of its own, mostly.
        for number in 0..64 {
            UdpSocket::bind("10.9.0.1:0").unwrap().send_to(&[number; 100], "10.9.0.9:53").unwrap();
        }
        let mut seen = [false; 64];
        let mut batch = Vec::new();
        eventually("a frame of each", || {
            port.receive(&mut batch, 64, &mut Pool::new(1));
            batch.drain(..).filter(|frame| frame.len() == 142).for_each(|frame| {
                seen[usize::from(frame.bytes()[141])] = true;
            });
            seen.iter().all(|seen| *seen).then_some(())
        });
    });
}

#[test]
fn chunks_come_back_when_their_port_goes() {
    within(|| {
        pair("x0", "x1");
        let held = {
            let [mut one, mut two] = ["x0", "x1"].map(|name| open(name, XdpMode::Native));
            assert_eq!(send(&mut one, numbered(5)), Sent::Done);
            receive(&mut two, "frame", is_numbered)
        };
        let (used, all) = memory_usage().unwrap();
        assert!((1..=all).contains(&used));
        assert_eq!(held.bytes()[20], 5, "a frame outlives its port");
        // Other tests use the same memory.
        drop(held);
        for _ in 0..5 {
            eventually("interfaces that nobody has", || (!link("x0").contains("xdp")).then_some(()));
            eventually("interfaces that nobody has", || (!link("x1").contains("xdp")).then_some(()));
            drop(["x0", "x1"].map(|name| open(name, XdpMode::Native)));
        }
        // What was lost each time would be felt by now.
        eventually("free memory", || (memory_usage().unwrap().0 < all / 2).then_some(()));
    });
}
