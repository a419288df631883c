//! What the control plane needs from the machine: the engine's tables, and links in sandboxes. A trait, so that
//! everything above it runs in tests against the real [`switch::Switch`] without a kernel.

use std::future::Future as StdFuture;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use nat::rules::{Counters, Family, Program};
use port::xdp::XdpInfo;
use port::{Port, Published, interface};
use switch::turn::{Handle, View};
use switch::{BridgeId, PortId, Return, Update};
use wire::Mac;

use crate::api;
use crate::model::Link;
use crate::netlink::ALIAS;
use crate::publish::{Reach, Steer};
use crate::sandbox::{self, LinkSpec, Netns, Reference, Way};
use crate::uplink::Uplink;

/// What the trait's methods return.
pub type Future<'a, T> = Pin<Box<dyn StdFuture<Output = T> + Send + 'a>>;

/// A look at the engine's tables.
pub type Look = Box<dyn FnOnce(&View<'_>) + Send>;

/// A link to be plugged in.
#[derive(Clone, Debug)]
pub struct Plug {
    /// The port's number, whose `Update::Port` was applied.
    pub port: PortId,
    /// The link's name; `None`: the lowest free `ethN`.
    pub ifname: Option<String>,
    /// Its MAC address.
    pub mac: Mac,
    /// Its MTU, in bytes.
    pub mtu: u32,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Routes to other subnets of its network.
    pub routes: Vec<(IpNet, IpAddr)>,
    /// Gateways for everything else.
    pub gateways: Vec<IpAddr>,
    /// Whether its frames travel to other hosts.
    pub tunnelled: bool,
    /// The network's name, for humans.
    pub network: String,
    /// Whether a link of that name from an earlier run is in the way and is to be removed.
    pub replace: bool,
    /// What it is to be.
    pub link: Link,
}

/// A link that was plugged in.
#[derive(Clone, Debug, Default)]
pub struct Plugged {
    /// The link's name in the sandbox, or the interface's.
    pub ifname: String,
    /// How it is had by AF_XDP.
    pub xdp: Option<XdpInfo>,
}

/// Where a sandbox may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// By the path of its namespace.
    Path(PathBuf),
    /// By a process in it.
    Process(u32),
}

/// A sandbox that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub sandbox: Reference,
    /// The name of the link that was looked for, if it is there.
    pub ifname: Option<String>,
}

/// The engine and the sandboxes.
pub trait Plane: Send + Sync {
    /// Changes the engine's tables, in order.
    fn apply(&self, updates: Vec<Update>);
    /// Shows the engine's tables between two of its rounds.
    fn look(&self, look: Look);
    /// Makes the link in the sandbox and hands its other end to the engine, or takes the host's interface for it. Nothing is
    /// left behind on failure.
    fn plug<'a>(&'a self, sandbox: &'a Reference, plug: Plug) -> Future<'a, Result<Plugged, api::Error>>;
    /// The MAC address of an interface of the host.
    ///
    /// # Errors
    /// There is no such interface, or it has none.
    fn station(&self, iface: &str) -> Result<Mac, api::Error>;
    /// Makes the link in the host's namespace, down and without addresses, for somebody else to move, and hands its other
    /// end to the engine. Nothing is left behind on failure.
    fn stage<'a>(&'a self, plug: Plug) -> Future<'a, Result<(), api::Error>>;
    /// The sandbox at a spot, if there is one, and the name of the link with that MAC address in it.
    ///
    /// # Errors
    /// When nobody knows.
    fn find_link<'a>(&'a self, spot: Spot, mac: Mac) -> Future<'a, Result<Option<Found>, api::Error>>;
    /// Closes a port. Done when its link is gone, which takes the kernel a while; the closing itself begins at once.
    fn unplug(&self, port: PortId) -> Future<'static, ()>;
    /// Whether the sandbox is still there.
    ///
    /// # Errors
    /// When nobody knows.
    fn alive(&self, sandbox: &Reference) -> Result<bool, api::Error>;
    /// Gives a sandbox a default route of each family that has none, by the first way that works.
    fn lead_out<'a>(&'a self, sandbox: &'a Reference, ways: Vec<Way>) -> Future<'a, Result<(), api::Error>>;
    /// Leads the host's traffic for a network's subnets to the switch; none: no longer. `mtu` is the network's.
    fn reach<'a>(&'a self, network: &'a str, subnets: Vec<IpNet>, mtu: u32) -> Future<'a, ()>;
    /// The way to the host and outside, for people.
    fn uplink(&self) -> api::Uplink;
    /// Whether this host has a link to the switch.
    fn has_link(&self) -> bool;
    /// The host's link vanished by somebody's hand.
    fn host_link_lost(&self);
    /// The data thread has lost the port of a NIC.
    fn inlet_lost(&self, port: PortId);
    /// Ends tracked connections; how many.
    fn flush(&self, filter: nat::Filter) -> Future<'static, usize>;
    /// Replaces the rules of all networks (`None`) or of a bridge, of one family, between two frames. None: there are none.
    /// How long frames have waited for that; it happens whether or not anybody asks.
    fn load_rules(
        &self,
        place: Option<BridgeId>,
        family: Family,
        program: Option<Box<Program>>,
    ) -> Future<'static, Duration>;
    /// The counters of the rules that are loaded, in the order of [`Program::counters`]; `None` if there are no rules.
    fn rule_counters(&self, place: Option<BridgeId>, family: Family) -> Future<'static, Option<Vec<Counters>>>;
    /// Sends the answer to a question of a container.
    fn answer(&self, via: Return, answer: Vec<u8>);
    /// Steers what other machines send to these ports of the host to the switch, or no longer. Without a way outside
    /// nothing happens.
    ///
    /// # Errors
    /// The uplink's tables are full.
    fn steer(&self, steer: &Steer, on: bool) -> Result<(), api::Error>;
}

/// The real one.
pub struct Engine {
    handle: Handle,
    uplink: Arc<Uplink>,
}

/// Largest super-frame that a link hands over, in bytes, as Linux counts it: the IP packet and room for headers
/// (MAX_TCP_HEADER and one). In a tunnelled network as many whole segments as one send of the underlay takes.
fn gso_max_size(mtu: u32, tunnelled: bool) -> u32 {
    const LONGEST: u32 = 65_536;
    // Between two links of a host. Measured with one TCP stream: 61,000 gives 14 Gbit/s, 65,536 only 11.
    const LOCAL: u32 = 61_000;
    const ROOM: u32 = 321;
    // What a send takes (a UDP payload over IPv6), and what Ethernet and VXLAN add to each segment.
    const SEND: u32 = 65_487;
    const ADDED: u32 = 14 + 8;
    if !tunnelled {
        return LOCAL;
    }
    // The smallest segments, those of IPv6 with timestamps, decide: one byte less than one too many of them.
    const HEADERS: u32 = 40 + 20 + 12;
    let segments = (SEND / (mtu + ADDED)).clamp(1, 64);
    ((segments + 1) * mtu.saturating_sub(HEADERS) + ROOM - 1).min(LONGEST)
}

impl Engine {
    /// Over a running data thread and the way to the host.
    pub fn new(handle: Handle, uplink: Arc<Uplink>) -> Engine {
        Engine { handle, uplink }
    }

    fn spec(&self, plug: Plug) -> LinkSpec {
        LinkSpec {
            ifname: plug.ifname,
            mac: plug.mac,
            mtu: plug.mtu,
            addresses: plug.addresses,
            routes: plug.routes,
            gateways: plug.gateways,
            gso_max_size: gso_max_size(plug.mtu, plug.tunnelled),
            alias: format!("{ALIAS}{}", plug.network),
        }
    }

    /// The engine's end of a link.
    fn take(&self, id: PortId, port: impl Into<Port>) -> Option<XdpInfo> {
        let port = port.into();
        let xdp = match &port {
            Port::Tap(_) => None,
            Port::Xdp(xdp) => Some(xdp.info().clone()),
        };
        self.handle.attach(id, port);
        xdp
    }
}

impl Plane for Engine {
    fn apply(&self, updates: Vec<Update>) {
        if !updates.is_empty() {
            self.handle.apply(updates);
        }
    }

    fn look(&self, look: Look) {
        self.handle.inspect(look);
    }

    fn plug<'a>(&'a self, sandbox: &'a Reference, plug: Plug) -> Future<'a, Result<Plugged, api::Error>> {
        Box::pin(async move {
            let veth = match &plug.link {
                Link::Tap => None,
                Link::Veth { xdp } => Some((*xdp).into()),
                Link::Xdp { iface, xdp } => {
                    let port = sandbox::take(iface, (*xdp).into()).await.map_err(refused)?;
                    return Ok(Plugged { ifname: iface.clone(), xdp: self.take(plug.port, port) });
                }
            };
            let netns = Netns::reopen(sandbox).map_err(refused)?;
            let gone = || refused(sandbox::Error::Gone { sandbox: sandbox.path.display().to_string() });
            let netns = netns.ok_or_else(gone)?;
            if let (true, Some(ifname)) = (plug.replace, &plug.ifname) {
                sandbox::remove(&netns, ifname).await.map_err(refused)?;
            }
            let port = plug.port;
            let spec = self.spec(plug);
            let attached = match veth {
                Some(options) => sandbox::attach_veth(&netns, &spec, options).await,
                None => sandbox::attach(&netns, &spec).await,
            }
            .map_err(refused)?;
            Ok(Plugged { ifname: attached.ifname, xdp: self.take(port, attached.port) })
        })
    }

    fn station(&self, iface: &str) -> Result<Mac, api::Error> {
        let object = format!("interface {iface}");
        let mac = interface::mac(iface).map_err(|error| {
            let remedy = "see `ip link` on the host";
            api::Error::invalid(object.clone(), error.to_string(), remedy)
        })?;
        let mac = mac.map(Mac).filter(|mac| mac.is_station());
        mac.ok_or_else(|| api::Error::invalid(object, "it is no Ethernet interface", "choose one that is"))
    }

    fn stage<'a>(&'a self, plug: Plug) -> Future<'a, Result<(), api::Error>> {
        Box::pin(async move {
            let port = plug.port;
            let tap = sandbox::stage(&self.spec(plug)).await.map_err(refused)?;
            self.take(port, tap);
            Ok(())
        })
    }

    fn find_link<'a>(&'a self, spot: Spot, mac: Mac) -> Future<'a, Result<Option<Found>, api::Error>> {
        Box::pin(async move {
            let netns = match spot {
                Spot::Path(path) => Netns::from_path(&path),
                Spot::Process(pid) => Netns::from_pid(pid),
            };
            let netns = match netns {
                Ok(netns) if !netns.is_own() => netns,
                // A path where a namespace is about to be mounted is a file before.
                Ok(_) | Err(sandbox::Error::Gone { .. } | sandbox::Error::NotANamespace { .. }) => return Ok(None),
                Err(error) => return Err(refused(error)),
            };
            let ifname = sandbox::find(&netns, mac).await.map_err(refused)?;
            Ok(Some(Found { sandbox: netns.reference().clone(), ifname }))
        })
    }

    fn unplug(&self, port: PortId) -> Future<'static, ()> {
        let (closed, gone) = tokio::sync::oneshot::channel();
        self.handle.detach(port, move || closed.send(()).unwrap_or_default());
        // An error means that the data thread has ended, and its links with it.
        Box::pin(async move { gone.await.unwrap_or_default() })
    }

    fn alive(&self, sandbox: &Reference) -> Result<bool, api::Error> {
        Ok(Netns::reopen(sandbox).map_err(refused)?.is_some())
    }

    fn lead_out<'a>(&'a self, sandbox: &'a Reference, ways: Vec<Way>) -> Future<'a, Result<(), api::Error>> {
        Box::pin(async move {
            match Netns::reopen(sandbox).map_err(refused)? {
                Some(netns) => sandbox::lead_out(&netns, &ways).await.map_err(refused),
                None => Ok(()),
            }
        })
    }

    fn reach<'a>(&'a self, network: &'a str, subnets: Vec<IpNet>, mtu: u32) -> Future<'a, ()> {
        Box::pin(self.uplink.reach(network, subnets, mtu))
    }

    fn uplink(&self) -> api::Uplink {
        self.uplink.status()
    }

    fn has_link(&self) -> bool {
        self.uplink.has_link()
    }

    fn host_link_lost(&self) {
        self.uplink.lost();
    }

    fn inlet_lost(&self, port: PortId) {
        self.uplink.inlet_lost(port);
    }

    fn flush(&self, filter: nat::Filter) -> Future<'static, usize> {
        let (flushed, count) = tokio::sync::oneshot::channel();
        // The request may have been given up meanwhile.
        self.handle.flush(filter, move |count| flushed.send(count).unwrap_or_default());
        // An error means that the data thread has ended, and all connections with it.
        Box::pin(async move { count.await.unwrap_or_default() })
    }

    fn load_rules(
        &self,
        place: Option<BridgeId>,
        family: Family,
        program: Option<Box<Program>>,
    ) -> Future<'static, Duration> {
        let (tell, told) = tokio::sync::oneshot::channel();
        // Nobody may want to know.
        self.handle.load_rules(place, family, program, move |waited| tell.send(waited).unwrap_or_default());
        // An error means that the data thread has ended.
        Box::pin(async move { told.await.unwrap_or_default() })
    }

    fn rule_counters(&self, place: Option<BridgeId>, family: Family) -> Future<'static, Option<Vec<Counters>>> {
        // At a time, so that traffic waits for no more than that.
        const PIECE: usize = 2_048;
        let handle = self.handle.clone();
        Box::pin(async move {
            let mut all = Vec::new();
            loop {
                let (tell, told) = tokio::sync::oneshot::channel();
                let first = all.len();
                handle.inspect(move |view| {
                    let program = view.switch.rules(place, family);
                    // The request may have been given up meanwhile.
                    let _ = tell.send(program.map(|program| program.counters_from(first, PIECE)));
                });
                // An error means that the data thread has ended, and its rules with it.
                let piece = told.await.ok().flatten()?;
                let last = piece.len() < PIECE;
                all.extend(piece);
                if last {
                    return Some(all);
                }
            }
        })
    }

    fn answer(&self, via: Return, answer: Vec<u8>) {
        self.handle.answer(via, answer);
    }

    fn steer(&self, steer: &Steer, on: bool) -> Result<(), api::Error> {
        let at = match steer.reach {
            Reach::AnyV4 => Published::AnyV4,
            Reach::AnyV6 => Published::AnyV6,
            Reach::At(address) => Published::At(address),
        };
        let ports = steer.ports.first..=steer.ports.last;
        let steered = self.uplink.publish(steer.protocol.number(), at, ports, on);
        steered.map_err(|error| api::Error::failed("uplink", error.to_string()))
    }
}

/// A sandbox's error as an answer.
pub fn refused(error: sandbox::Error) -> api::Error {
    use api::Kind;
    use sandbox::Error as E;
    let kind = match &error {
        E::Gone { .. } | E::NotANamespace { .. } | E::Unusable { .. } | E::Address { .. } => Kind::Invalid,
        E::Taken { .. } | E::Foreign { .. } => Kind::Conflict,
        _ => Kind::Unavailable,
    };
    api::Error { kind, error: error.to_string(), object: error.object(), remedy: error.remedy() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_frame_fits_one_send() {
        for mtu in [576, 1280, 1430, 1450, 8950, 65_000] {
            let payload = gso_max_size(mtu, true).saturating_sub(321);
            for mss in [mtu - 40, mtu - 52, mtu - 72] {
                let segments = payload / mss;
                assert!(segments * (mtu + 22) <= 65_487 || segments <= 1, "MTU {mtu}: {segments} segments");
            }
        }
        assert_eq!((gso_max_size(1450, true) - 321) / 1398, 44, "whole segments of IPv4 with timestamps");
    }
}
