//! Which ports of the host are free for mappings, against the running kernel.

mod namespace;

use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};

use port::is_port_free;
use wire::protocol::{ICMP, TCP, UDP};

use namespace::{eventually, ip, within};

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn a_port_is_held_by_any_socket_that_covers_the_address() {
    within(|| {
        ip("addr add 10.1.0.1/24 dev lo");
        ip("addr add fd01::1/64 dev lo nodad");
        let addresses = [at("10.1.0.1"), at("fd01::1"), at("127.0.0.1")];
        let free = |protocol, port| addresses.map(|address| is_port_free(protocol, address, port));
        // Asking holds nothing; but a child of another test has copies of all descriptors until it runs its program.
        let all_free = |protocol| eventually("free port", || (free(protocol, 5000) == [true; 3]).then_some(()));
        all_free(TCP);
        all_free(UDP);
        all_free(UDP);

        let dual = UdpSocket::bind("[::]:5000").unwrap();
        assert_eq!((free(UDP, 5000), free(TCP, 5000)), ([false; 3], [true; 3]));
        drop(dual);
        all_free(UDP);
        let _v4 = TcpListener::bind("0.0.0.0:5000").unwrap();
        assert_eq!(free(TCP, 5000), [false, true, false]);
        let _one = TcpListener::bind("[fd01::1]:5000").unwrap();
        assert_eq!(free(TCP, 5000), [false; 3]);
        assert!(is_port_free(TCP, at("::1"), 5000));
        assert!(!is_port_free(TCP, at("::"), 5000));
    });
}

#[test]
fn connections_hold_their_port_to_the_end() {
    within(|| {
        ip("addr add 10.1.0.1/24 dev lo");
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(service.local_addr().unwrap()).unwrap();
        let port = client.local_addr().unwrap().port();
        let (accepted, _) = service.accept().unwrap();
        assert!(!is_port_free(TCP, at("127.0.0.1"), port));
        assert!(is_port_free(TCP, at("10.1.0.1"), port));
        // TIME_WAIT is on the side that closed first.
        drop(client);
        drop(accepted);
        assert!(!is_port_free(TCP, at("127.0.0.1"), port));
    });
}

#[test]
fn what_has_no_ports_or_is_not_here_is_free() {
    within(|| {
        assert!(is_port_free(ICMP, at("127.0.0.1"), 1));
        assert!(is_port_free(TCP, at("192.0.2.1"), 5000));
        assert!(is_port_free(UDP, at("fe80::1"), 5000));
    });
}
