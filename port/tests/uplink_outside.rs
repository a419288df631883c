//! The uplink on a veth pair with the kernel at its far end: what leaves by routes and neighbours, connections of the host
//! beside it, super-frames.

mod hosts;
mod namespace;

use std::io::ErrorKind;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use nix::sys::socket::{setsockopt, sockopt};
use port::xdp::{Xdp, set_memory};
use port::{FiveTuple, Form, OUT_MAC, Published, Sent, Steering, Tap, Uplink};
use wire::protocol::{TCP, UDP};
use wire::{Frame, Gso, Offload};

use hosts::{
    HOST, HOST6, Outside, PEER, PEER6, Way, addresses, best, hooks, index, inlet, link, read_until, receive_until,
    ways, wire_up,
};
use namespace::{eventually, ip, within};

fn open(way: Way) -> (Tap, Uplink, Steering, Option<Xdp>) {
    set_memory(8 << 20);
    let link = link();
    let (mut uplink, steering) = Uplink::open_at("vsw0", way.hook, way.form).unwrap();
    uplink.attach(index("nic0")).unwrap();
    uplink.set_locals(&addresses()).unwrap();
    let inlet = inlet(&uplink, "nic0");
    (link, uplink, steering, inlet)
}

/// A datagram from the switch to the outside, as the engine writes it.
fn leaving(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let ether = PacketBuilder::ethernet2([2, 9, 9, 9, 9, 9], OUT_MAC.0);
    let mut bytes = Vec::new();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let packet = ether.ipv4(source.octets(), destination.octets(), 63).udp(from.port(), to.port());
            packet.write(&mut bytes, payload).unwrap();
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let packet = ether.ipv6(source.octets(), destination.octets(), 63).udp(from.port(), to.port());
            packet.write(&mut bytes, payload).unwrap();
        }
        _ => panic!("one family"),
    }
    bytes
}

fn write(link: &mut Tap, bytes: &[u8]) {
    assert_eq!(link.send(&mut Frame::from_bytes(bytes)).unwrap(), Sent::Done);
}

fn port_of(frame: &Frame) -> Option<u16> {
    match SlicedPacket::from_ethernet(frame.bytes()).ok()?.transport? {
        TransportSlice::Udp(udp) => Some(udp.destination_port()),
        TransportSlice::Tcp(tcp) => Some(tcp.destination_port()),
        _ => None,
    }
}

fn listening(outside: &Outside, at: SocketAddr) -> UdpSocket {
    outside.run(move || {
        let socket = UdpSocket::bind(at).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    })
}

/// The next datagram. A wait that has an end is not taken up again by the kernel after the process stood still (signal(7)).
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome.unwrap(),
        }
    }
}

/// Out through neighbours that the kernel has to ask for first, and the answers back through mappings.
#[test]
fn datagrams_leave_and_answers_come_back() {
    for way in ways() {
        within(|| {
            let outside = Outside::new();
            wire_up(&outside);
            let (mut link, uplink, mut steering, mut inlet) = open(way);
            for (from, to) in [(IpAddr::from(HOST), IpAddr::from(PEER)), (HOST6.into(), PEER6.into())] {
                let (local, remote) = (SocketAddr::new(from, 40_000), SocketAddr::new(to, 53));
                let server = listening(&outside, remote);
                steering.insert(&[FiveTuple { protocol: UDP, local: (from, 40_000), remote: (to, 53) }]);
                write(&mut link, &leaving(local, remote, b"question"));
                let mut buffer = [0; 64];
                assert_eq!(receive(&server, &mut buffer), (8, local));
                steering.beat();
                server.send_to(b"answer", local).unwrap();
                let answer = receive_until(&mut link, inlet.as_mut(), "answer", |frame| port_of(frame) == Some(40_000));
                assert_eq!(&answer.bytes()[answer.len() - 6..], b"answer");
            }
            let stats = uplink.stats();
            assert_eq!((stats.departed, stats.steered, stats.no_route), (2, 2, 0));
            assert_eq!(stats.by_xdp, if inlet.is_some() { 2 } else { 0 });
        });
    }
}

#[test]
fn gateways_are_next_hops() {
    within(|| {
        let outside = Outside::new();
        wire_up(&outside);
        outside.run(|| {
            // The far addresses answer no ARP on the wire: only the gateway's own does.
            std::fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1").unwrap();
            ip("addr add 10.2.0.2/32 dev lo");
            ip("addr add fd02::2/128 dev lo nodad");
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
        ip("route add 10.2.0.0/24 via 10.1.0.2");
        ip("route add fd02::/64 via fd01::2");
        // An IPv4 route by an IPv6 gateway.
        ip("route add 10.3.0.0/24 via inet6 fd01::2");
        outside.run(|| ip("addr add 10.3.0.2/32 dev lo"));
        let (mut link, uplink, _steering, _) = open(best());
        let far = [
            (IpAddr::from(HOST), IpAddr::from([10, 2, 0, 2])),
            (HOST6.into(), "fd02::2".parse().unwrap()),
            (HOST.into(), IpAddr::from([10, 3, 0, 2])),
        ];
        for (from, to) in far {
            let (local, remote) = (SocketAddr::new(from, 40_000), SocketAddr::new(to, 53));
            let server = listening(&outside, remote);
            for payload in [b"first", b"again"] {
                write(&mut link, &leaving(local, remote, payload));
                let mut buffer = [0; 64];
                assert_eq!(receive(&server, &mut buffer), (5, local));
                assert_eq!(&buffer[..5], payload);
            }
        }
        assert_eq!(uplink.stats().departed, 6);
    });
}

/// The host's rules count, by the source that the switch chose too.
#[test]
fn rules_and_missing_routes_are_respected() {
    within(|| {
        let outside = Outside::new();
        wire_up(&outside);
        ip("addr add 10.1.0.7/24 dev nic0");
        ip("rule add from 10.1.0.7 lookup 77");
        ip("route add blackhole default table 77");
        let (mut link, uplink, _steering, _) = open(best());
        let to = SocketAddr::new(PEER.into(), 53);
        let server = listening(&outside, to);
        let prohibited = SocketAddr::from(([10, 1, 0, 7], 1));
        let ways: [(SocketAddr, SocketAddr); 4] = [
            (prohibited, to),
            // No route; to the host itself; to the link's own subnet.
            (SocketAddr::from((HOST, 2)), SocketAddr::from(([192, 0, 2, 1], 53))),
            (SocketAddr::from((HOST, 3)), SocketAddr::from((HOST, 53))),
            (SocketAddr::from((HOST, 4)), SocketAddr::from(([169, 254, 86, 9], 53))),
        ];
        for (from, to) in ways {
            write(&mut link, &leaving(from, to, b"lost"));
        }
        write(&mut link, &[&OUT_MAC.0[..], &[2, 9, 9, 9, 9, 9], &[8, 6], &[0; 46]].concat());
        write(&mut link, &leaving(SocketAddr::from((HOST, 5)), to, &[0; 1600]));
        write(&mut link, &leaving(SocketAddr::from((HOST, 6)), to, b"good"));
        let mut buffer = [0; 2000];
        let (mut len, mut from) = receive(&server, &mut buffer);
        // The first packet to a neighbour that is still unknown is not measured; the device decides.
        if len == 1600 {
            (len, from) = receive(&server, &mut buffer);
        }
        assert_eq!((len, from), (4, SocketAddr::from((HOST, 6))));
        let stats = uplink.stats();
        assert_eq!((stats.no_route, stats.malformed), (4, 1), "{stats:?}");
        write(&mut link, &leaving(SocketAddr::from((HOST, 5)), to, &[0; 1600]));
        eventually("a frame that is too long", || (uplink.stats().too_big > 0).then_some(()));
    });
}

/// What is not for the outside goes to the host's own stack.
#[test]
fn frames_to_the_links_own_address_reach_the_host() {
    within(|| {
        let outside = Outside::new();
        wire_up(&outside);
        let (mut link, uplink, _steering, _) = open(best());
        let socket = UdpSocket::bind((HOST, 7000)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut bytes = leaving(SocketAddr::from(([169, 254, 86, 2], 1)), SocketAddr::from((HOST, 7000)), b"hello");
        bytes[..6].copy_from_slice(&hosts::mac_of("vsw0"));
        write(&mut link, &bytes);
        let mut buffer = [0; 64];
        assert_eq!(receive(&socket, &mut buffer), (5, SocketAddr::from(([169, 254, 86, 2], 1))));
        assert_eq!(uplink.stats().departed, 0);
    });
}

fn transfer(mut from: TcpStream, mut to: TcpStream) {
    const LEN: usize = 4 << 20;
    std::thread::scope(|scope| {
        scope.spawn(move || from.write_all(&vec![7; LEN]).unwrap());
        let mut received = vec![0; LEN];
        to.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
    });
}

/// The host's own services and connections, with ports published and mappings made for the very same flows.
#[test]
fn the_hosts_connections_go_on() {
    for way in ways() {
        within(|| {
            let outside = Outside::new();
            wire_up(&outside);
            let (_link, mut uplink, mut steering, _inlet) = open(way);
            uplink.publish(TCP, Published::AnyV4, 1..=65_535, true).unwrap();
            uplink.publish(TCP, Published::AnyV6, 1..=65_535, true).unwrap();
            for (here, there) in [(IpAddr::from(HOST), IpAddr::from(PEER)), (HOST6.into(), PEER6.into())] {
                let service = TcpListener::bind((here, 8080)).unwrap();
                let client = outside.run(move || TcpStream::connect((here, 8080)).unwrap());
                let (accepted, _) = service.accept().unwrap();
                transfer(client, accepted);

                let service = outside.run(move || TcpListener::bind((there, 8080)).unwrap());
                let client = TcpStream::connect((there, 8080)).unwrap();
                let (accepted, _) = service.accept().unwrap();
                let local = client.local_addr().unwrap();
                steering.insert(&[FiveTuple { protocol: TCP, local: (here, local.port()), remote: (there, 8080) }]);
                transfer(accepted, client.try_clone().unwrap());
                // The end of a connection is the host's too (TIME_WAIT).
                drop(client);
            }
            for address in ["10.1.0.2", "fd01::2"] {
                let ping = Command::new("ping").args(["-c1", "-W5", address]).output().unwrap();
                assert!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
            }
            let stats = uplink.stats();
            assert_eq!((stats.steered, stats.held, stats.limited), (0, 0, 0));
            assert!(stats.passed_to_socket > 100);
        });
    }
}

/// In both directions a super-frame passes whole, with its partial checksum.
#[test]
fn super_frames_stay_whole() {
    for hook in hooks() {
        within(|| {
            let outside = Outside::new();
            wire_up(&outside);
            let (mut link, uplink, mut steering, _) = open(Way { hook, form: Form::Tc });
            steering.insert(&[FiveTuple { protocol: UDP, local: (HOST.into(), 4000), remote: (PEER.into(), 53) }]);
            let socket = outside.run(|| UdpSocket::bind((PEER, 53)).unwrap());
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // UDP_SEGMENT: one frame of 20 datagrams.
            setsockopt(&socket, sockopt::UdpGsoSegment, &1000).unwrap();
            socket.send_to(&[7; 20_000], (HOST, 4000)).unwrap();
            let came = read_until(&mut link, "super-frame", |frame| port_of(frame) == Some(4000));
            if link.offloads().uso {
                assert_eq!((came.len(), came.offload.gso(), came.offload.gso_size()), (20_042, Gso::Udp, 1000));
            }

            // And out, as TCP: 30 segments in one frame, seen on the far end's wire.
            let mut capture = outside.run(|| {
                let words = ["-i", "eth0", "-c", "1", "-nn", "-Z", "root", "--immediate-mode", "greater", "20000"];
                Command::new("tcpdump").args(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            });
            let mut bytes = Vec::new();
            PacketBuilder::ethernet2([2, 9, 9, 9, 9, 9], OUT_MAC.0)
                .ipv4(HOST.octets(), PEER.octets(), 63)
                .tcp(4001, 80, 1, 1000)
                .ack(1)
                .write(&mut bytes, &[7; 30_000])
                .unwrap();
            let mut frame = Frame::from_bytes(&bytes);
            frame.offload = Offload::segmented(Gso::Tcp4, 1000, 54, 34, 16);
            let seen = eventually("super-frame on the far end's wire", || {
                assert_eq!(link.send(&mut frame).unwrap(), Sent::Done);
                std::thread::sleep(Duration::from_millis(20));
                capture.try_wait().unwrap()
            });
            let said = capture.wait_with_output().unwrap().stderr;
            assert!(seen.success(), "{}", String::from_utf8_lossy(&said));
            assert!(uplink.stats().departed > 0);
        });
    }
}
