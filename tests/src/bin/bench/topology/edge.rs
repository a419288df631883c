//! One container and the outside of its host: where source addresses are translated and ports are published.

use std::any::Any;

use anyhow::Result;
use tests::exec::Process;
use tests::traffic::ping;
use tests::{Host, Netns, Outside, Place};

use super::A;

/// Where iperf3 listens: everywhere, and published under the same number.
pub(crate) const STREAM: u16 = 5201;
/// Where short connections go, published under the same number.
pub(crate) const CONNECTIONS: u16 = 5202;

/// One of the two sides of a comparison. The container has address [`A`], and the host a default route.
pub(crate) struct Edge {
    pub(crate) container: Netns,
    pub(crate) outside: Outside,
    pub(crate) host: Host,
    _iperf: [Process; 2],
    /// Container, then daemon: dropped in the order of the tuple inside.
    _alive: Box<dyn Any + Send + Sync>,
}

impl Edge {
    /// Checks that the container reaches the outside, and starts what listens all the time.
    pub(crate) fn new(
        container: Netns,
        outside: Outside,
        host: Host,
        alive: Box<dyn Any + Send + Sync>,
    ) -> Result<Edge> {
        ping::all_answered(&container, Outside::FAR4, 3)?;
        let far = outside.netns()?;
        // Ports for all connections of some seconds; one that was closed is used again after a second.
        far.sysctl("net.ipv4.ip_local_port_range", "1024 65535")?;
        far.sysctl("net.ipv4.tcp_tw_reuse", "1")?;
        let serve = |netns: &Netns, address: &str, name: &str| {
            let port = STREAM.to_string();
            let argv = ["iperf3", "-s", "-B", address, "-p", &port];
            Process::start(Some(netns), &argv, &[], &host.dir().join(name))
        };
        let iperf = [
            serve(&container, &A.to_string(), "iperf3-inside.log")?,
            serve(&far, &Outside::FAR4.to_string(), "iperf3-outside.log")?,
        ];
        Ok(Edge { container, outside, host, _iperf: iperf, _alive: alive })
    }
}
