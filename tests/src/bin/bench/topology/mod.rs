//! Two containers and what joins them, or one and the outside: by the switch, or by a peer. Loads see only this.

pub(crate) mod docker;
mod edge;
pub(crate) mod kernel;
mod model;
pub(crate) mod ours;
pub(crate) mod ovs;

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use tests::exec::Process;
use tests::traffic::ping;
use tests::{Host, Netns};

pub(crate) use edge::{CONNECTIONS, Edge, STREAM};
pub(crate) use model::Model;

/// The subnet of every topology; they are in namespaces of their own.
pub(crate) const SUBNET: &str = "10.10.10.0/24";
/// The containers' way out, where there is one.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 1);
/// The sender's address.
pub(crate) const A: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 2);
/// The receiver's address.
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 3);
/// The network identifier of every tunnel.
pub(crate) const VNI: u32 = 4096;
/// Bytes of a packet inside a tunnel over an underlay of 1500.
pub(crate) const TUNNEL_MTU: u32 = 1450;

/// One of the two sides of a comparison. The sender has address [`A`], the receiver [`B`], both an `eth0`.
pub(crate) struct Side {
    pub(crate) sender: Netns,
    pub(crate) receiver: Netns,
    /// The hosts whose underlay link is shaped; none on one host.
    pub(crate) hosts: Vec<Host>,
    /// A process that would use CPU time also while others are measured.
    spinning: Option<u32>,
    _iperf: Process,
    /// Containers, then daemons: dropped in the order of the tuple inside.
    _alive: Box<dyn Any + Send + Sync>,
}

impl Side {
    /// Checks that the containers reach each other, and starts what listens all the time.
    fn new(
        sender: Netns,
        receiver: Netns,
        hosts: Vec<Host>,
        log_host: &Host,
        alive: Box<dyn Any + Send + Sync>,
    ) -> Result<Side> {
        ping::all_answered(&sender, IpAddr::V4(B), 3)?;
        let log = log_host.dir().join("iperf3.log");
        let iperf = Process::start(Some(&receiver), &["iperf3", "-s", "-B", &B.to_string()], &[], &log)?;
        Ok(Side { sender, receiver, hosts, spinning: None, _iperf: iperf, _alive: alive })
    }

    /// The same with a process that is stopped from now on, but for when the side is measured.
    fn spinning(self, pid: u32) -> Side {
        ovs::freeze(pid, true);
        Side { spinning: Some(pid), ..self }
    }
}

/// What takes part in a comparison: awake while it is measured, at rest while others are.
pub(crate) trait Contest {
    /// It is measured next.
    fn wake(&self) {}
    /// Others are measured next.
    fn rest(&self) {}
}

impl Contest for Side {
    fn wake(&self) {
        self.spinning.into_iter().for_each(|pid| ovs::freeze(pid, false));
    }

    fn rest(&self) {
        self.spinning.into_iter().for_each(|pid| ovs::freeze(pid, true));
    }
}

impl Contest for Edge {}
