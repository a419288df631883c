//! TAP links and the underlay.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use port::Underlay;
use switch::turn::Notice;
use switch::{DropReason, Place, Policing, Rate, Update};
use wire::Mac;

use crate::daemon::{Daemon, await_links, sh, shout, within};
use crate::world::{RED, ip, mac};

#[test]
fn a_vanished_link_is_noticed_and_its_port_can_be_removed() {
    within(|| {
        let daemon = Daemon::start(None);
        let id = daemon.port(1, "one");
        sh("ip link del one");
        let notice = daemon.notices.recv_timeout(Duration::from_secs(10));
        assert!(matches!(notice, Ok(Notice::Gone(gone)) if gone == id), "{notice:?}");
        daemon.handle.apply(vec![Update::RemovePort { id }]);
        assert!(daemon.see(|view| view.switch.port_counters().is_empty()));
    });
}

#[test]
fn a_removed_bridge_takes_its_links_along() {
    within(|| {
        let daemon = Daemon::start(None);
        daemon.port(1, "one");
        daemon.handle.apply(vec![Update::RemoveBridge { id: RED }]);
        assert!(daemon.see(|view| view.switch.port_counters().is_empty()));
        await_links(|links| !links.contains("one"));
    });
}

#[test]
fn frames_for_a_link_that_is_down_are_counted() {
    within(|| {
        let daemon = Daemon::start(None);
        daemon.port(1, "one");
        daemon.port(2, "two");
        sh("ip link set two down");
        shout("one");
        daemon.await_drop(DropReason::PortDown);
    });
}

#[test]
fn frames_for_a_port_without_a_link_are_counted() {
    within(|| {
        let daemon = Daemon::start(None);
        daemon.port(1, "one");
        let two = daemon.port(2, "two");
        daemon.detach(two);
        await_links(|links| links.contains("one") && !links.contains("two"));
        shout("one");
        daemon.await_drop(DropReason::PortGone);
    });
}

#[test]
fn frames_that_wait_for_a_port_when_it_is_removed_are_counted() {
    within(|| {
        let daemon = Daemon::start(None);
        daemon.port(1, "one");
        let id = daemon.port(2, "two");
        // A frame that is held is due in some tenths of a second.
        let limits = Policing { egress: Some(Rate { bits: 1_000, burst: 100 }), ..Policing::default() };
        daemon.handle.apply(vec![Update::Policing { id, limits }]);
        (0..8).for_each(|_| shout("one"));
        daemon.await_drop(DropReason::ShaperFull);
        daemon.handle.apply(vec![Update::RemovePort { id }]);
        daemon.await_drop(DropReason::PortGone);
    });
}

#[test]
fn without_a_vtep_tunnelled_frames_are_counted() {
    within(|| {
        let daemon = Daemon::start(None);
        daemon.port(1, "one");
        daemon.handle.apply(vec![Update::Peer { bridge: RED, vtep: "192.0.2.1".parse().unwrap() }]);
        shout("one");
        daemon.await_drop(DropReason::NoUnderlay);
    });
}

#[test]
fn what_the_underlay_refuses_is_counted() {
    within(|| {
        let here: IpAddr = "127.0.0.2".parse().unwrap();
        let daemon = Daemon::start(Some(Underlay::bind(here, 4789).unwrap()));
        daemon.port(1, "one");
        daemon.handle.apply(vec![Update::Peer { bridge: RED, vtep: "203.0.113.1".parse().unwrap() }]);
        shout("one");
        daemon.await_drop(DropReason::UnderlayUnreachable);

        let near: IpAddr = "127.0.0.1".parse().unwrap();
        let endpoint =
            Update::Endpoint { bridge: RED, mac: mac(3), addresses: vec![ip(3).into()], place: Place::Tunnel(near) };
        daemon.handle.apply(vec![endpoint, Update::Peer { bridge: RED, vtep: near }]);
        sh(
            "ip link set lo mtu 1280; ip neigh replace 10.10.10.3 lladdr 02:42:0a:0a:0a:03 dev one; ip link set one mtu 1450",
        );
        let socket = UdpSocket::bind("10.10.10.2:0").unwrap();
        socket.send_to(&[0; 1400], "10.10.10.3:9").unwrap();
        daemon.await_drop(DropReason::UnderlayTooBig);
    });
}

#[test]
fn frames_cross_from_link_to_link_and_a_spoofed_source_does_not_matter_to_other_ports() {
    within(|| {
        let daemon = Daemon::start(None);
        let (one, two) = (daemon.port(1, "one"), daemon.port(2, "two"));
        for _ in 0..10 {
            shout("one");
        }
        daemon.await_sent(two, 10);
        let learned = daemon.see(|view| view.switch.fdb(view.now));
        let of_one = learned.iter().find(|row| row.mac == Mac([2, 0, 0, 0, 0, 1])).unwrap();
        assert_eq!(of_one.place, Place::Port(one));
    });
}
