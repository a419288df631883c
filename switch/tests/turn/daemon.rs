//! A data thread on links of a network namespace.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use port::{Port, Tap, TapOptions, Underlay};
use switch::turn::{Config, Handle, Notice, View};
use switch::{BridgeSettings, DropReason, PortId, PortSettings, Update, Vni};

use crate::world::RED;

/// Runs `test` on a thread in a network namespace of its own; threads that it starts are there too.
pub(crate) fn within(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a new network namespace (needs root)");
        sh("ip link set lo up; ip addr add 127.0.0.2/8 dev lo");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().expect("sh runs");
    assert!(status.success(), "{command}");
}

pub(crate) fn links() -> String {
    let output = Command::new("ip").args(["-o", "link"]).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the links are so. A descriptor that was closed may live on for a moment, in a child of another test that has
/// copies of all until it runs its program.
pub(crate) fn await_links(so: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so(&links()) {
        assert!(Instant::now() < deadline, "{}", links());
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) struct Daemon {
    pub(crate) handle: Handle,
    pub(crate) notices: crossbeam::channel::Receiver<Notice>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start(underlay: Option<Underlay>) -> Daemon {
        let config = Config { underlay, ..Config::default() };
        let (handle, notices, thread) = Handle::start(config, Box::new(|| {})).expect("the data thread starts");
        let settings = BridgeSettings::new("net", Some(Vni::new(42).unwrap()), 1450);
        handle.apply(vec![Update::Bridge { id: RED, settings }]);
        Daemon { handle, notices, thread: Some(thread) }
    }

    /// A link `name`, up, its descriptor in the data thread.
    pub(crate) fn port(&self, number: u32, name: &str) -> PortId {
        let tap = Tap::create(name, &TapOptions::default()).unwrap();
        sh(&format!("ip link set {name} address 02:00:00:00:00:0{number} up"));
        self.attach(number, name, tap)
    }

    /// A port of any kind.
    pub(crate) fn attach(&self, number: u32, name: &str, link: impl Into<Port>) -> PortId {
        let (id, settings) = (PortId(number), PortSettings { name: name.into(), bridge: RED, guard: None });
        self.handle.apply(vec![Update::Port { id, settings }]);
        self.handle.attach(id, link);
        id
    }

    /// Takes a port away, and waits until it is closed.
    pub(crate) fn detach(&self, id: PortId) {
        let (closed, wait) = mpsc::channel();
        self.handle.detach(id, move || closed.send(()).unwrap_or_default());
        wait.recv_timeout(Duration::from_secs(10)).expect("the port is closed");
    }

    pub(crate) fn see<T: Send + 'static>(&self, look: impl FnOnce(&View<'_>) -> T + Send + 'static) -> T {
        let (tell, seen) = mpsc::channel();
        self.handle.inspect(move |view| drop(tell.send(look(view))));
        seen.recv_timeout(Duration::from_secs(10)).expect("the data thread answers")
    }

    /// Waits until at least one frame was dropped for `reason`.
    pub(crate) fn await_drop(&self, reason: DropReason) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.dropped(reason) == 0 {
            let drops = self.see(|view| format!("{:?}", view.switch.drops()));
            assert!(Instant::now() < deadline, "no {reason:?}: {drops}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Frames that were dropped for `reason`.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.see(move |view| view.switch.counters().dropped(reason))
    }

    /// Waits until a port has sent so many frames.
    pub(crate) fn await_sent(&self, port: PortId, frames: u64) {
        let sent = move |view: &View<'_>| {
            view.switch.port_counters().iter().any(|row| row.port == port && row.tx_frames >= frames)
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.see(sent) {
            assert!(Instant::now() < deadline, "{:?}", self.see(|view| format!("{:?}", view.switch.drops())));
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
pub(crate) fn shout(name: &str) {
    sh(&format!("ip addr replace 10.10.10.2/24 brd + dev {name}"));
    let socket = UdpSocket::bind("10.10.10.2:0").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.send_to(b"hello", "10.10.10.255:9").unwrap();
}
