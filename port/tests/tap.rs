//! TAP links against the running kernel.

mod namespace;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use nix::sched::{CloneFlags, unshare};
use port::{Error, Received, Sent, Tap, TapOptions};
use wire::{Frame, Gso, Offload};

use namespace::{eventually, ip, within};

const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn create(name: &str) -> Tap {
    Tap::create(name, &TapOptions::default()).unwrap()
}

/// Reads until a frame satisfies `wanted`.
fn read_until(tap: &mut Tap, what: &str, mut wanted: impl FnMut(&Frame) -> bool) -> Frame {
    let mut frame = Frame::new();
    eventually(what, || match tap.receive(&mut frame).unwrap() {
        Received::Frame if wanted(&frame) => Some(()),
        Received::Gone => panic!("the link is gone"),
        _ => None,
    });
    frame
}

fn mac_of(name: &str) -> [u8; 6] {
    let output = Command::new("ip").args(["-br", "link", "show", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut mac = [0; 6];
    for (byte, digits) in mac.iter_mut().zip(text.split_whitespace().nth(2).unwrap().split(':')) {
        *byte = u8::from_str_radix(digits, 16).unwrap();
    }
    mac
}

/// Where the calling thread's namespace can be opened by others.
fn namespace_path() -> String {
    format!("/proc/{}/task/{}/ns/net", std::process::id(), nix::unistd::gettid())
}

#[test]
fn what_the_kernel_sends_is_read() {
    within(|| {
        let mut tap = create("t0");
        let mut frame = Frame::new();
        assert_eq!(tap.receive(&mut frame).unwrap(), Received::Empty);
        ip("link set t0 up");
        // Multicast listener reports: IPv6 with a hop-by-hop header.
        let report = read_until(&mut tap, "listener report", |frame| frame.bytes().get(12..14) == Some(&[0x86, 0xdd]));
        assert_eq!(report.bytes()[..2], [0x33, 0x33]);
        assert_eq!(report.offload.gso(), Gso::None);
    });
}

#[test]
fn an_arp_request_written_is_answered() {
    for napi in [false, true] {
        within(|| {
            let mut tap = Tap::create("t0", &TapOptions { napi }).unwrap();
            ip("addr add 10.9.0.1/24 dev t0");
            ip("link set t0 up");
            let mac = mac_of("t0");
            let request = PacketBuilder::ethernet2(PEER_MAC, [0xff; 6]).arp(
                etherparse::ArpPacket::new(
                    etherparse::ArpHardwareId::ETHERNET,
                    etherparse::EtherType::IPV4,
                    etherparse::ArpOperation::REQUEST,
                    &PEER_MAC,
                    &[10, 9, 0, 2],
                    &[0; 6],
                    &[10, 9, 0, 1],
                )
                .unwrap(),
            );
            let mut bytes = Vec::new();
            request.write(&mut bytes).unwrap();
            assert_eq!(tap.send(&mut Frame::from_bytes(&bytes)).unwrap(), Sent::Done);
            let answer = read_until(&mut tap, "ARP answer", |frame| frame.bytes().get(12..14) == Some(&[8, 6]));
            assert_eq!(answer.bytes()[..6], PEER_MAC);
            assert_eq!(answer.bytes()[20..28], [&[0, 2][..], &mac].concat());
            assert_eq!(answer.bytes()[28..32], [10, 9, 0, 1]);
        });
    }
}

/// Gives `t0` an address and a neighbour 10.9.0.2, so that the kernel sends without asking.
fn with_neighbour() -> Tap {
    let tap = create("t0");
    ip("addr add 10.9.0.1/24 dev t0");
    ip("link set t0 up");
    ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev t0");
    tap
}

#[test]
fn a_udp_super_frame_comes_whole_where_the_kernel_can() {
    within(|| {
        let mut tap = with_neighbour();
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGsoSegment, &1000).unwrap();
        socket.send_to(&[7; 20_000], "10.9.0.2:9").unwrap();
        let of_ours = |frame: &Frame| frame.bytes()[12..14] == [8, 0] && frame.bytes()[23] == 17;
        let frame = read_until(&mut tap, "datagram", of_ours);
        if tap.offloads().uso {
            assert_eq!((frame.offload.gso(), frame.offload.gso_size()), (Gso::Udp, 1000));
            assert_eq!(frame.len(), 14 + 20 + 8 + 20_000);
        } else {
            assert_eq!((frame.offload.gso(), frame.len()), (Gso::None, 14 + 20 + 8 + 1000));
        }
        assert_eq!(frame.offload.partial_checksum(), Some((34, 6)));
    });
}

/// Two links joined by hand; TCP in both directions through super-frames that pass untouched.
#[test]
fn tcp_super_frames_pass_from_tap_to_tap() {
    const LEN: usize = 4 << 20;
    within(|| {
        let (mut left, mut right) = (create("t0"), create("t1"));
        assert!(left.offloads().csum && left.offloads().tso4 && left.offloads().tso6);
        let (ready, wait) = mpsc::channel();
        let (done, finished) = mpsc::channel::<()>();
        thread::scope(|scope| {
            // The far host: its own namespace, entered by a thread that takes `t1` with it.
            let server = scope.spawn(move || {
                let home = namespace_path();
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                ready.send(home).unwrap();
                eventually("t1 here", || {
                    Command::new("ip").args(["link", "show", "t1"]).output().unwrap().status.success().then_some(())
                });
                ip("addr add 10.9.0.2/24 dev t1");
                ip("link set t1 up");
                let listener = TcpListener::bind("10.9.0.2:5000").unwrap();
                ready.send(String::new()).unwrap();
                let (mut stream, _) = listener.accept().unwrap();
                let mut received = vec![0; LEN];
                stream.read_exact(&mut received).unwrap();
                stream.write_all(b"!").unwrap();
                assert!(received.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
                finished.recv().unwrap();
            });
            ip(&format!("link set t1 netns {}", wait.recv().unwrap()));
            ip("addr add 10.9.0.1/24 dev t0");
            ip("link set t0 up");
            wait.recv().unwrap();

            let stop = AtomicBool::new(false);
            let largest = thread::scope(|inner| {
                let wires = inner.spawn(|| {
                    let (mut frame, mut largest) = (Frame::new(), 0);
                    let end = Instant::now() + Duration::from_secs(20);
                    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
                        let mut idle = true;
                        for forth in [true, false] {
                            let (from, to) = if forth { (&mut left, &mut right) } else { (&mut right, &mut left) };
                            while from.receive(&mut frame).unwrap() == Received::Frame {
                                idle = false;
                                largest = largest.max(frame.len());
                                assert_ne!(to.send(&mut frame).unwrap(), Sent::Refused);
                            }
                        }
                        if idle {
                            thread::sleep(Duration::from_micros(50));
                        }
                    }
                    largest
                });
                let mut stream = TcpStream::connect("10.9.0.2:5000").unwrap();
                let data: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
                stream.write_all(&data).unwrap();
                stream.read_exact(&mut [0]).unwrap();
                stop.store(true, Ordering::Relaxed);
                wires.join().unwrap()
            });
            assert!(largest > 10_000, "no super-frame seen: {largest} bytes at most");
            done.send(()).unwrap();
            server.join().unwrap();
        });
    });
}

#[test]
fn a_bad_offload_header_and_a_runt_are_refused() {
    within(|| {
        let mut tap = create("t0");
        ip("link set t0 up");
        let mut frame = Frame::from_bytes(&[0; 60]);
        frame.offload = Offload::partial(200, 16);
        assert_eq!(tap.send(&mut frame).unwrap(), Sent::Refused);
        assert_eq!(tap.send(&mut Frame::from_bytes(&[0; 13])).unwrap(), Sent::Refused);
        assert_eq!(tap.send(&mut Frame::new()).unwrap(), Sent::Refused);
        assert_eq!(tap.send(&mut Frame::from_bytes(&[0; 60])).unwrap(), Sent::Done);
    });
}

#[test]
fn a_link_that_is_down_says_so() {
    within(|| {
        let mut tap = create("t0");
        assert_eq!(tap.send(&mut Frame::from_bytes(&[0; 60])).unwrap(), Sent::Down);
    });
}

#[test]
fn a_name_in_use_is_an_error_that_says_so() {
    within(|| {
        let _tap = create("t0");
        let error = Tap::create("t0", &TapOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Tap { step: "create the link", .. }));
        assert!(error.to_string().contains("delete it or choose another name"), "{error}");
        ip("link add v0 type veth peer name v1");
        assert!(Tap::create("v0", &TapOptions::default()).is_err());
    });
}

#[test]
fn a_deleted_link_is_gone() {
    within(|| {
        let mut tap = create("t0");
        ip("link del t0");
        let mut frame = Frame::from_bytes(&[0; 60]);
        assert_eq!(tap.send(&mut frame).unwrap(), Sent::Gone);
        assert_eq!(tap.receive(&mut frame).unwrap(), Received::Gone);
    });
}

/// The life of a container's link: made here, moved and renamed, gone with the container's namespace although the
/// descriptor is still open.
#[test]
fn a_link_goes_with_the_namespace_it_was_moved_to() {
    within(|| {
        let mut tap = create("t0");
        assert!(tap.as_raw_fd() > 2);
        let (told, container) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            told.send(namespace_path()).unwrap();
            left.recv().unwrap();
            ip("link set eth0 up");
        });
        ip(&format!("link set t0 netns {} name eth0", container.recv().unwrap()));
        let mut frame = Frame::new();
        assert_eq!(tap.receive(&mut frame).unwrap(), Received::Empty);
        leave.send(()).unwrap();
        thread.join().unwrap();
        eventually("end of the link", || (tap.receive(&mut frame).unwrap() == Received::Gone).then_some(()));
        assert_eq!(tap.send(&mut Frame::from_bytes(&[0; 60])).unwrap(), Sent::Gone);
    });
}
