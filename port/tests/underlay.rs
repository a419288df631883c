//! The underlay against the running kernel: over loopback, and over a veth pair.

mod namespace;

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};

use port::{Datagrams, Error, SendOutcome, Underlay, interface};

use namespace::{eventually, ip, within};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Receives `total` bytes in as many calls as it takes; returns them in order, and every datagram's length.
fn collect(underlay: &mut Underlay, from: IpAddr, total: usize) -> (Vec<u8>, Vec<usize>) {
    let mut batch = Datagrams::new(32);
    let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
    eventually("whole run", || {
        underlay.receive(&mut batch).unwrap();
        for datagram in batch.iter() {
            assert_eq!(datagram.from.ip(), from);
            assert!((61_000..).contains(&datagram.from.port()));
            assert!(!datagram.truncated);
            bytes.extend_from_slice(datagram.bytes);
            lengths.extend(datagram.bytes.chunks(datagram.segment).map(<[u8]>::len));
        }
        (bytes.len() >= total).then_some(())
    });
    assert_eq!(underlay.receive(&mut batch).unwrap(), 0);
    assert_eq!(batch.iter().count(), 0);
    (bytes, lengths)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

fn two_ipv6_addresses() {
    ip("addr add fd00::1/128 dev lo nodad");
    ip("addr add fd00::2/128 dev lo nodad");
}

/// Waits until datagrams arrive: a namespace may lose what is sent in its first moment.
fn await_way(one: &str, two: &str) {
    let from = UdpSocket::bind((address(one), 0)).unwrap();
    let to = UdpSocket::bind((address(two), 0)).unwrap();
    to.set_nonblocking(true).unwrap();
    eventually("way", || {
        from.send_to(b"first", to.local_addr().unwrap()).unwrap();
        to.recv(&mut [0; 5]).ok()
    });
}

fn run_arrives(one: &str, two: &str, gso: bool) -> bool {
    within(|| {
        two_ipv6_addresses();
        let mut sender = Underlay::bind(address(one), 4789).unwrap();
        let mut receiver = Underlay::bind(address(two), 4789).unwrap();
        sender.set_gso(gso);
        await_way(one, two);
        // 43 whole datagrams and a short one: all that fits one send at an inner MTU of 1,400.
        let bytes = pattern(43 * 1450 + 200);
        assert_eq!(sender.send(address(two), 99, &bytes, 1450).unwrap(), SendOutcome::Done);
        let (got, lengths) = collect(&mut receiver, address(one), bytes.len());
        assert_eq!(got, bytes);
        assert_eq!(lengths, [vec![1450; 43], vec![200]].concat());
        assert_eq!((sender.stats().gso, sender.stats().sockets, sender.stats().gso_refused), (gso, 1, 0));
        assert_eq!(receiver.stats().dropped, 0);
        assert!(receiver.stats().receive_buffer >= 8 << 20);
        receiver.stats().gro_seen
    })
}

#[test]
fn a_run_arrives_whole_and_in_order() {
    for (one, two) in [("127.0.0.1", "127.0.0.2"), ("fd00::1", "fd00::2")] {
        assert!(run_arrives(one, two, true), "loopback hands runs over as they are");
        assert!(!run_arrives(one, two, false));
    }
}

#[test]
fn a_wildcard_underlay_speaks_both_versions() {
    within(|| {
        let mut receiver = Underlay::bind(address("::"), 8472).unwrap();
        for (from, to, source) in [("127.0.0.3", "127.0.0.1", "127.0.0.1"), ("::1", "::1", "::1")] {
            let stranger = UdpSocket::bind((address(from), 61_500)).unwrap();
            stranger.send_to(b"hello", (address(to), 8472)).unwrap();
            assert_eq!(collect(&mut receiver, address(from), 5).0, b"hello");
            // Its own answer comes back to it: it holds the port on every address.
            assert_eq!(receiver.send(address(from), 1, b"answer", 6).unwrap(), SendOutcome::Done);
            assert_eq!(collect(&mut receiver, address(source), 6).0, b"answer");
        }
    });
}

#[test]
fn vx_20_ecn_goes_out_and_comes_in_with_single_datagrams_and_runs() {
    for (one, two) in [("127.0.0.1", "127.0.0.2"), ("fd00::1", "fd00::2")] {
        within(|| {
            two_ipv6_addresses();
            let mut sender = Underlay::bind(address(one), 4789).unwrap();
            let mut receiver = Underlay::bind(address(two), 4789).unwrap();
            let mut batch = Datagrams::new(4);
            for (tos, len) in [(0, 10), (2, 10), (3, 10), (1, 40), (0, 40), (0xb8 | 2, 40)] {
                let outcome = sender.send_marked(address(two), 5, tos, &pattern(len), 10).unwrap();
                assert_eq!(outcome, SendOutcome::Done);
                eventually("datagram", || (receiver.receive(&mut batch).unwrap() == 1).then_some(()));
                let datagram = batch.iter().next().unwrap();
                assert_eq!((datagram.tos, datagram.bytes.len(), datagram.segment), (tos, len, 10));
            }
        });
    }
}

#[test]
fn vx_15_what_exceeds_the_mtu_is_never_fragmented() {
    within(|| {
        ip("link set lo mtu 1500");
        for (one, overhead) in [("127.0.0.1", 28), ("::1", 48)] {
            let here = address(one);
            let mut underlay = Underlay::bind(here, 4789).unwrap();
            let fits = 1500 - overhead;
            assert_eq!(underlay.mtu_to(here).unwrap(), 1500);
            assert_eq!(underlay.send(here, 1, &pattern(fits), fits).unwrap(), SendOutcome::Done);
            assert_eq!(underlay.send(here, 1, &pattern(3 * fits), fits).unwrap(), SendOutcome::Done);
            assert_eq!(underlay.send(here, 1, &pattern(fits + 1), fits + 1).unwrap(), SendOutcome::TooBig);
            assert_eq!(underlay.send(here, 1, &pattern(3 * fits + 3), fits + 1).unwrap(), SendOutcome::TooBig);
            assert_eq!(collect(&mut underlay, here, 4 * fits).1, vec![fits; 4]);
            assert!(underlay.stats().gso);
        }
    });
}

#[test]
fn what_cannot_be_reached_is_an_outcome() {
    within(|| {
        let mut underlay = Underlay::bind(address("127.0.0.1"), 4789).unwrap();
        assert_eq!(underlay.send(address("fd00::1"), 1, b"x", 1).unwrap(), SendOutcome::Unreachable);
        assert_eq!(underlay.send(address("10.1.2.3"), 1, b"x", 1).unwrap(), SendOutcome::Unreachable);
        assert_eq!(underlay.send(address("10.1.2.3"), 1, b"xxx", 1).unwrap(), SendOutcome::Unreachable);
        assert!(underlay.stats().gso);
        let mut six = Underlay::bind(address("::1"), 4789).unwrap();
        assert_eq!(six.send(address("fd00::1"), 1, b"x", 1).unwrap(), SendOutcome::Unreachable);
        assert_eq!(six.send(address("10.1.2.3"), 1, b"x", 1).unwrap(), SendOutcome::Unreachable);
    });
}

/// An address that is taken away under the underlay's feet, and given back.
#[test]
fn a_lost_address_is_an_outcome_and_heals() {
    within(|| {
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("link set v1 up");
        ip("addr add 10.1.0.1/24 dev v0");
        let mut underlay = Underlay::bind(address("10.1.0.1"), 4789).unwrap();
        assert_eq!(underlay.send(address("10.1.0.2"), 1, b"xxx", 1).unwrap(), SendOutcome::Done);
        ip("addr del 10.1.0.1/24 dev v0");
        assert_eq!(underlay.send(address("10.1.0.2"), 1, b"xxx", 1).unwrap(), SendOutcome::Unreachable);
        ip("addr add 10.1.0.1/24 dev v0");
        assert_eq!(underlay.send(address("10.1.0.2"), 1, b"xxx", 1).unwrap(), SendOutcome::Done);
    });
}

#[test]
fn what_no_send_can_carry_is_refused() {
    within(|| {
        let mut underlay = Underlay::bind(address("127.0.0.1"), 4789).unwrap();
        let mut refused = |len: usize, segment| {
            underlay.send(address("127.0.0.1"), 1, &vec![0; len], segment).unwrap_err().kind()
                == ErrorKind::InvalidInput
        };
        assert!(refused(0, 1) && refused(1, 0) && refused(65, 1) && refused(65_508, 65_508));
    });
}

#[test]
fn a_port_or_address_that_cannot_be_had_is_an_error_with_a_remedy() {
    within(|| {
        let _first = Underlay::bind(address("127.0.0.1"), 4789).unwrap();
        let error = |local| Underlay::bind(address(local), 4789).unwrap_err().to_string();
        assert!(error("127.0.0.1").contains("choose another with --vxlan-port"));
        assert!(error("10.9.9.9").contains("choose another with --advertise"));
        // Another address of the same host is free.
        Underlay::bind(address("127.0.0.2"), 4789).unwrap();
    });
}

#[test]
fn an_empty_datagram_is_one() {
    within(|| {
        let mut underlay = Underlay::bind(address("127.0.0.1"), 4789).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], "127.0.0.1:4789").unwrap();
        let mut batch = Datagrams::new(1);
        assert_eq!(underlay.receive(&mut batch).unwrap(), 1);
        let datagram = batch.iter().next().unwrap();
        assert_eq!((datagram.bytes.len(), datagram.segment), (0, 1));
    });
}

#[test]
fn a_full_receiver_counts_what_it_drops() {
    within(|| {
        let mut sender = Underlay::bind(address("127.0.0.1"), 4789).unwrap();
        let receiver = Underlay::bind(address("127.0.0.2"), 4789).unwrap();
        let bytes = pattern(45 * 1450);
        // Not more than it takes: the kernel's own queue behind loopback is shared by all namespaces.
        eventually("drop", || {
            assert_eq!(sender.send(address("127.0.0.2"), 1, &bytes, 1450).unwrap(), SendOutcome::Done);
            (receiver.stats().dropped > 0).then_some(())
        });
    });
}

#[test]
fn interfaces_are_told_by_address_and_name() {
    within(|| {
        ip("link add v0 mtu 1420 type veth peer name v1");
        ip("link set v0 up");
        ip("addr add 10.1.0.1/24 dev v0");
        ip("addr add fd00::1/64 dev v0 nodad");
        assert_eq!(interface::mtu_of(address("10.1.0.1")).unwrap(), ("v0".to_owned(), 1420));
        assert_eq!(interface::mtu_of(address("fd00::1")).unwrap(), ("v0".to_owned(), 1420));
        assert_eq!(interface::owner_of(address("127.0.0.1")).unwrap(), "lo");
        assert!(matches!(interface::owner_of(address("10.1.0.2")), Err(Error::NoOwner { .. })));
        let addresses = interface::addresses("v0").unwrap();
        assert!(addresses.contains(&address("10.1.0.1")) && addresses.contains(&address("fd00::1")));
        assert!(interface::addresses("v1").unwrap().is_empty());
        assert!(matches!(interface::addresses("v2"), Err(Error::NoInterface { .. })));
    });
}
