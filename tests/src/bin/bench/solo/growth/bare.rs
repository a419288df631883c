//! The switch's data thread on real links and sockets, its tables filled by hand: what a daemon would take minutes to be told.
//! There is no control plane; what is measured does not meet one.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use port::{Tap, TapOptions, Underlay};
use switch::turn::{Config, Handle};
use switch::{BridgeId, Place, PortId, PortSettings, Update};
use tests::Netns;
use tests::Place as _;
use wire::Mac;

/// Updates of one message.
const CHUNK: usize = 1_000;

/// A data thread in a namespace of its own.
pub(super) struct Bare {
    pub(super) host: Netns,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    /// Nobody reads them.
    _notices: Box<dyn Any + Send + Sync>,
}

impl Bare {
    /// Starts it in this namespace, with an underlay on that address if there is one.
    pub(super) fn start(host: Netns, underlay: Option<Ipv4Addr>) -> Result<Bare> {
        // Sockets that it opens later are where the thread is.
        let (handle, notices, thread) = host.enter(|| {
            let bind = |address| Underlay::bind(IpAddr::V4(address), 4_789);
            let underlay = underlay.map(bind).transpose().context("cannot open the underlay")?;
            let config = Config { underlay, ..Config::default() };
            Handle::start(config, Box::new(|| {})).context("cannot start a data thread")
        })?;
        Ok(Bare { host, handle, thread: Some(thread), _notices: Box::new(notices) })
    }

    /// Tells it, and waits until it has obeyed.
    pub(super) fn apply(&self, updates: Vec<Update>) -> Result<()> {
        for chunk in updates.chunks(CHUNK) {
            self.handle.apply(chunk.to_vec());
        }
        let (done, seen) = std::sync::mpsc::channel();
        self.handle.inspect(move |_| done.send(()).unwrap_or(()));
        seen.recv().context("the data thread ended")
    }

    /// A container with this address and MAC address on a port of that number.
    pub(super) fn attach(&self, number: u32, bridge: BridgeId, address: Ipv4Addr, mac: Mac) -> Result<Netns> {
        let (id, name) = (PortId(number), format!("p{number}"));
        let inner = Netns::create()?;
        // Nothing but what is measured: among many peers each multicast of the kernel's would be a flood.
        inner.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        let tap = self.host.enter(|| Tap::create(&name, &TapOptions::default()).context("cannot make a link"))?;
        let target = inner.path().display().to_string();
        self.host.exec(&["ip", "link", "set", &name, "netns", &target, "name", "eth0"])?;
        inner.exec(&["ip", "link", "set", "eth0", "address", &mac.to_string(), "mtu", "1450", "up"])?;
        inner.exec(&["ip", "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        let settings = PortSettings { name: name.into(), bridge, guard: None };
        let addresses = vec![IpAddr::V4(address)];
        let endpoint = Update::Endpoint { bridge, mac, addresses, place: Place::Port(id) };
        self.apply(vec![Update::Port { id, settings }, endpoint])?;
        self.handle.attach(id, tap);
        Ok(inner)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
