//! AF_XDP ports: veth links whose other end the kernel has.

use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use port::Xdp;
use port::xdp::{XdpMode, XdpOptions};
use switch::turn::{Notice, View};
use switch::{DropReason, PortId, Update};

use crate::daemon::{Daemon, await_links, links, sh, shout, within};
use crate::world::RED;

/// A veth link `name`, `name`k, both ends up; the first is a port.
fn port(daemon: &Daemon, number: u32, name: &str, mode: XdpMode) -> PortId {
    sh(&format!(
        "ip link add {name} type veth peer name {name}k
         for end in {name} {name}k; do echo 1 > /proc/sys/net/ipv6/conf/$end/disable_ipv6; ip link set $end up; done"
    ));
    let options = XdpOptions { mode: Some(mode), ..XdpOptions::default() };
    daemon.attach(number, name, Xdp::open(name, &options).unwrap())
}

#[test]
fn frames_cross_between_af_xdp_ports_and_taps() {
    for mode in [XdpMode::Native, XdpMode::Generic] {
        within(move || {
            let daemon = Daemon::start(None);
            let (one, two) = (port(&daemon, 1, "one", mode), port(&daemon, 2, "two", mode));
            let three = daemon.port(3, "three");
            (0..10).for_each(|_| shout("onek"));
            daemon.await_sent(two, 10);
            daemon.await_sent(three, 10);
            sh("ip addr flush dev onek");
            (0..10).for_each(|_| shout("three"));
            daemon.await_sent(one, 10);
            daemon.await_sent(two, 20);
            assert_eq!(daemon.dropped(DropReason::PortOverrun), 0);
        });
    }
}

#[test]
fn a_port_that_was_busy_is_heard_after_a_rest() {
    within(|| {
        let daemon = Daemon::start(None);
        port(&daemon, 1, "one", XdpMode::Native);
        let two = daemon.port(2, "two");
        let sent = move |view: &View<'_>| {
            view.switch.port_counters().iter().find(|row| row.port == two).map_or(0, |row| row.tx_frames)
        };
        shout("onek");
        daemon.await_sent(two, 1);
        let socket = UdpSocket::bind("10.10.10.2:0").unwrap();
        socket.set_broadcast(true).unwrap();
        let mut before = 1;
        for _ in 0..3 {
            // Enough batches, close together, for a port that is looked at instead of watched.
            for _ in 0..5_000 {
                socket.send_to(b"hello", "10.10.10.255:9").unwrap();
            }
            daemon.await_sent(two, before + 64);
            // Longer than the thread goes on looking.
            std::thread::sleep(Duration::from_millis(20));
            before = daemon.see(sent);
            socket.send_to(b"hello", "10.10.10.255:9").unwrap();
            daemon.await_sent(two, before + 1);
        }
    });
}

#[test]
fn what_an_af_xdp_port_loses_is_counted() {
    within(|| {
        let daemon = Daemon::start(None);
        port(&daemon, 1, "one", XdpMode::Generic);
        sh("ip link set onek mtu 9000; ip link set one mtu 9000
            ip addr add 10.10.10.2/24 dev onek; ip neigh add 10.10.10.3 lladdr 02:42:0a:0a:0a:03 dev onek");
        let socket = UdpSocket::bind("10.10.10.2:0").unwrap();
        socket.send_to(&[0; 6000], "10.10.10.3:9").unwrap();
        daemon.await_drop(DropReason::PortTooLong);

        let (begun, begins) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        daemon.handle.inspect(move |_| {
            begun.send(()).unwrap();
            let _ = wait.recv();
        });
        begins.recv().unwrap();
        for _ in 0..2_000 {
            socket.send_to(&[0; 10], "10.10.10.3:9").unwrap();
        }
        drop(go);
        daemon.await_drop(DropReason::PortOverrun);
    });
}

#[test]
fn what_an_af_xdp_port_does_not_carry_is_counted() {
    within(|| {
        let daemon = Daemon::start(None);
        port(&daemon, 1, "one", XdpMode::Native);
        daemon.port(2, "two");
        sh("ip link set two mtu 4000; ip addr add 10.10.10.2/24 dev two
            ip neigh add 10.10.10.3 lladdr 02:42:0a:0a:0a:03 dev two");
        let socket = UdpSocket::bind("10.10.10.2:0").unwrap();
        socket.send_to(&[0; 3000], "10.10.10.3:9").unwrap();
        daemon.await_drop(DropReason::PortTooBig);
        sh("ip link set one down");
        socket.send_to(&[0; 30], "10.10.10.3:9").unwrap();
        socket.send_to(&[0; 30], "10.10.10.3:9").unwrap();
        shout("two");
        daemon.await_drop(DropReason::PortDown);
    });
}

#[test]
fn an_interface_that_vanishes_is_noticed_and_one_that_is_removed_is_free() {
    within(|| {
        let daemon = Daemon::start(None);
        let (one, two) = (port(&daemon, 1, "one", XdpMode::Native), port(&daemon, 2, "two", XdpMode::Native));
        sh("ip link del onek");
        let notice = daemon.notices.recv_timeout(Duration::from_secs(10));
        assert!(matches!(notice, Ok(Notice::Gone(gone)) if gone == one), "{notice:?}");
        assert!(links().contains("xdp"));
        daemon.detach(two);
        await_links(|links| links.contains("two") && !links.contains("xdp"));
        daemon.handle.apply(vec![Update::RemovePort { id: two }, Update::RemoveBridge { id: RED }]);
    });
}
