//! AF_XDP ports: veth links whose other end the kernel has.

use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use port::Xdp;
use port::xdp::{XdpMode, XdpOptions};
use switch::turn::Notice;
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
        let (closed, wait) = mpsc::channel();
        daemon.handle.detach(two, move || closed.send(()).unwrap_or_default());
        wait.recv_timeout(Duration::from_secs(10)).expect("the port is closed");
        await_links(|links| links.contains("two") && !links.contains("xdp"));
        daemon.handle.apply(vec![Update::RemovePort { id: two }, Update::RemoveBridge { id: RED }]);
    });
}
