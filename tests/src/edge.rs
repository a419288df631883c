//! The usual set-up for what passes between containers and the world: one host with a daemon and no server, and the
//! outside behind its default routes.

use anyhow::Result;

use crate::cluster::Station;
use crate::host::Host;
use crate::lab::Lab;
use crate::outside::Outside;
use crate::vswitchd::{Options, Vswitchd};

/// Host `h1`, its daemon, and what is outside. The daemon ends before the cable.
#[derive(Debug)]
pub struct Edge {
    /// The daemon on `h1`.
    pub daemon: Vswitchd,
    /// The world.
    pub outside: Outside,
}

impl Edge {
    /// Starts them, with a bridge network GREEN of both families: 10.30.0.0/24 and fd30::/64.
    pub fn start(lab: &Lab) -> Result<Edge> {
        Edge::start_with(lab, &[])
    }

    /// The same with these flags of the daemon.
    pub fn start_with(lab: &Lab, flags: &[&str]) -> Result<Edge> {
        let host = lab.host("h1")?;
        let outside = lab.outside(&[&host], 1500)?;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let daemon = Vswitchd::start_with(&host, Options { local_only: true, flags, ..Options::default() })?;
        daemon.vsctl(&["network", "create", "--subnet", "10.30.0.0/24", "--subnet", "fd30::/64", "GREEN"])?;
        Ok(Edge { daemon, outside })
    }

    /// The host.
    pub fn host(&self) -> &Host {
        self.daemon.host()
    }

    /// Attaches a new sandbox to a network.
    pub fn attach(&self, network: &str, name: &str, flags: &[&str]) -> Result<Station> {
        Station::attach(&self.daemon, network, name, flags)
    }
}
