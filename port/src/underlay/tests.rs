//! What needs a look inside: the kernel refuses to cut, ports taken, descriptors short.

use std::net::UdpSocket;

use super::*;
use crate::namespace::{ip, within};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn received(at: &UdpSocket) -> Vec<(Vec<u8>, u16)> {
    at.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2000];
    let mut all = Vec::new();
    while let Ok((len, from)) = at.recv_from(&mut buffer) {
        all.push((buffer[..len].to_vec(), from.port()));
    }
    all
}

/// A socket that must not send checksums cannot be told to cut: the kernel refuses as it does for poor devices.
#[test]
fn refused_runs_go_out_one_by_one_and_are_not_tried_for_a_while() {
    within(|| {
        let mut underlay = Underlay::bind("127.0.0.2".parse().unwrap(), 4789).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:4789").unwrap();
        let socket = underlay.senders.socket(7).unwrap();
        sockopt::set(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        let bytes: Vec<u8> = (0..2950).map(|at| (at % 256) as u8).collect();

        // One segment too long is no sign of a device that cannot cut.
        ip("link set lo mtu 1400");
        assert_eq!(underlay.send(HERE, 7, &bytes, 1450).unwrap(), SendOutcome::TooBig);
        assert!(underlay.stats().gso && underlay.stats().gso_refused == 0);
        ip("link set lo mtu 65536");

        assert_eq!(underlay.send(HERE, 7, &bytes, 1450).unwrap(), SendOutcome::Done);
        assert!(!underlay.stats().gso && underlay.stats().gso_refused == 1);
        let datagrams = received(&peer);
        assert_eq!(datagrams.iter().map(|(datagram, _)| datagram.len()).collect::<Vec<_>>(), [1450, 1450, 50]);
        assert_eq!(datagrams.into_iter().flat_map(|(datagram, _)| datagram).collect::<Vec<_>>(), bytes);

        let socket = underlay.senders.socket(7).unwrap();
        sockopt::set(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 0).unwrap();
        for _ in 0..REFUSAL_LASTS {
            assert!(!underlay.stats().gso);
            assert_eq!(underlay.send(HERE, 7, &bytes[..2], 1).unwrap(), SendOutcome::Done);
            received(&peer);
        }
        assert!(underlay.stats().gso);
        assert_eq!(underlay.send(HERE, 7, &bytes, 1450).unwrap(), SendOutcome::Done);
        assert!(underlay.stats().gso && received(&peer).len() == 3);
    });
}

#[test]
fn a_taken_port_is_passed_over() {
    within(|| {
        let mut underlay = Underlay::bind("127.0.0.2".parse().unwrap(), 4789).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:4789").unwrap();
        let _taken = UdpSocket::bind("0.0.0.0:61005").unwrap();
        for _ in 0..2 {
            for (entropy, port) in [(5, 62_029), (6, 61_006), (1024 + 5, 62_029)] {
                assert_eq!(underlay.send(HERE, entropy, b"x", 1).unwrap(), SendOutcome::Done);
                assert_eq!(received(&peer), [(b"x".to_vec(), port)]);
            }
        }
        assert_eq!(underlay.stats().sockets, 2);
    });
}

#[test]
fn a_sending_socket_keeps_nothing_that_is_sent_to_it() {
    within(|| {
        let mut underlay = Underlay::bind("127.0.0.2".parse().unwrap(), 4789).unwrap();
        underlay.send(HERE, 0, b"x", 1).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&[0; 1000], "127.0.0.2:61000").unwrap();
        let socket = underlay.senders.socket(0).unwrap();
        let [waiting, ..]: [i32; 9] = sockopt::get(socket, libc::SOL_SOCKET, libc::SO_MEMINFO).unwrap();
        assert_eq!(waiting, 0);
    });
}

/// VX-08 in the small: every port of the pool can be had, each is in range, and one flow keeps its own.
#[test]
fn vx_08_a_thousand_flows_have_a_thousand_stable_ports() {
    within(|| {
        crate::limits::raise_open_files().unwrap();
        let mut underlay = Underlay::bind("127.0.0.2".parse().unwrap(), 4789).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:4789").unwrap();
        for entropy in 0..1024u32 {
            for again in [0, 1024, 1 << 30] {
                assert_eq!(underlay.send(HERE, entropy + again, b"x", 1).unwrap(), SendOutcome::Done);
            }
            assert!(received(&peer).iter().all(|(_, port)| u32::from(*port) == 61_000 + entropy));
        }
        assert_eq!(underlay.stats().sockets, 1024);
    });
}
