//! The turn on real TAP links and sockets, each test in a network namespace of its own (needs root).

mod world;

use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use port::{Tap, TapOptions, Underlay};
use switch::turn::{Config, Handle, Notice, View};
use switch::{BridgeSettings, DropReason, Place, Policing, PortId, PortSettings, Rate, Update, Vni};
use wire::Mac;
use world::{RED, ip, mac};

/// Runs `test` on a thread in a network namespace of its own; threads that it starts are there too.
fn within(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a new network namespace (needs root)");
        sh("ip link set lo up; ip addr add 127.0.0.2/8 dev lo");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().expect("sh runs");
    assert!(status.success(), "{command}");
}

fn links() -> String {
    let output = Command::new("ip").args(["-o", "link"]).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

struct Daemon {
    handle: Handle,
    notices: crossbeam::channel::Receiver<Notice>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(underlay: Option<Underlay>) -> Daemon {
        let config = Config { underlay, ..Config::default() };
        let (handle, notices, thread) = Handle::start(config, Box::new(|| {})).expect("the data thread starts");
        let settings = BridgeSettings::new("net", Some(Vni::new(42).unwrap()), 1450);
        handle.apply(vec![Update::Bridge { id: RED, settings }]);
        Daemon { handle, notices, thread: Some(thread) }
    }

    /// A link `name`, up, its descriptor in the data thread.
    fn port(&self, number: u32, name: &str) -> PortId {
        let (id, tap) = (PortId(number), Tap::create(name, &TapOptions::default()).unwrap());
        sh(&format!("ip link set {name} address 02:00:00:00:00:0{number} up"));
        let settings = PortSettings { name: name.into(), bridge: RED, guard: None };
        self.handle.apply(vec![Update::Port { id, settings }]);
        self.handle.attach(id, tap);
        id
    }

    fn see<T: Send + 'static>(&self, look: impl FnOnce(&View<'_>) -> T + Send + 'static) -> T {
        let (tell, seen) = mpsc::channel();
        self.handle.inspect(move |view| drop(tell.send(look(view))));
        seen.recv_timeout(Duration::from_secs(10)).expect("the data thread answers")
    }

    /// Waits until at least one frame was dropped for `reason`.
    fn await_drop(&self, reason: DropReason) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.see(move |view| view.switch.counters().dropped(reason)) == 0 {
            let drops = self.see(|view| format!("{:?}", view.switch.drops()));
            assert!(Instant::now() < deadline, "no {reason:?}: {drops}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the data thread ends in peace");
        }
    }
}

/// Makes the kernel send a broadcast out of link `name`.
fn shout(name: &str) {
    sh(&format!("ip addr replace 10.10.10.2/24 brd + dev {name}"));
    let socket = UdpSocket::bind("10.10.10.2:0").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.send_to(b"hello", "10.10.10.255:9").unwrap();
}

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
        let deadline = Instant::now() + Duration::from_secs(10);
        while links().contains("one") {
            assert!(Instant::now() < deadline, "the link stays");
            std::thread::sleep(Duration::from_millis(5));
        }
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
        let (closed, wait) = mpsc::channel();
        daemon.handle.detach(two, move || closed.send(()).unwrap_or_default());
        wait.recv_timeout(Duration::from_secs(10)).expect("the link is removed");
        assert!(links().contains("one") && !links().contains("two"));
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
        let deadline = Instant::now() + Duration::from_secs(10);
        let sent =
            move |view: &View<'_>| view.switch.port_counters().iter().any(|row| row.port == two && row.tx_frames >= 10);
        while !daemon.see(sent) {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        let learned = daemon.see(|view| view.switch.fdb(view.now));
        let of_one = learned.iter().find(|row| row.mac == Mac([2, 0, 0, 0, 0, 1])).unwrap();
        assert_eq!(of_one.place, Place::Port(one));
    });
}
