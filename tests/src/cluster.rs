//! The usual set-up: hosts on one underlay, a Consul in the middle, a daemon on each host; and
//! sandboxes attached to networks. What a scenario changes, it changes on the parts, which are public.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::consul::Consul;
use crate::host::Host;
use crate::lab::Lab;
use crate::netns::{Netns, Place};
use crate::sandbox::Sandbox;
use crate::underlay::Underlay;
use crate::vswitchd::{Options, Vswitchd};
use crate::wait;

/// The key prefix of the store's rows.
pub const PREFIX: &str = "vswitch";

/// Hosts `h1`, `h2`, … with a daemon each. Daemons end before the store, the store before the wires.
#[derive(Debug)]
pub struct Cluster {
    /// The daemons; index 0 runs on `h1`.
    pub daemons: Vec<Vswitchd>,
    /// The store.
    pub consul: Consul,
    /// The wires.
    pub underlay: Underlay,
}

impl Cluster {
    /// Starts `count` hosts on an underlay of 1500 bytes, IPv4 VTEPs.
    pub fn start(lab: &Lab, count: usize) -> Result<Cluster> {
        Cluster::start_with(lab, count, &Options::default())
    }

    /// Starts `count` hosts whose daemons have these options; the store is this cluster's.
    pub fn start_with(lab: &Lab, count: usize, options: &Options) -> Result<Cluster> {
        let hosts = (1..=count).map(|n| lab.host(&format!("h{n}"))).collect::<Result<Vec<Host>>>()?;
        let underlay = lab.underlay(&hosts.iter().collect::<Vec<_>>(), 1500)?;
        let consul = Consul::start(underlay.middle())?;
        let options = Options { store: Some(consul.url(PREFIX)), ..options.clone() };
        let daemons = hosts.iter().map(|host| Vswitchd::start_with(host, options.clone())).collect::<Result<_>>()?;
        Ok(Cluster { daemons, consul, underlay })
    }

    /// Creates an overlay network on the first host and waits, at most a second, until every host lists
    /// it with the same ID [N2]. Returns the ID.
    pub fn overlay(&self, name: &str, flags: &[&str]) -> Result<String> {
        let mut args = vec!["network", "create", "-d", "overlay"];
        args.extend(flags);
        args.push(name);
        let id = self.daemons[0].vsctl(&args)?;
        ensure!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "not an ID: {id}");
        for daemon in &self.daemons {
            wait::until(Duration::from_secs(1), "the network on every host", || {
                let rows = daemon.rows(&["network", "ls"])?;
                let row = rows.iter().find(|row| row["name"] == name).context("not listed")?;
                ensure!(row["id"] == id.as_str(), "another ID on {}: {row}", daemon.host().name());
                Ok(())
            })?;
        }
        Ok(id)
    }

    /// Attaches a new sandbox on host number `host` (from 0) to a network.
    pub fn attach(&self, host: usize, network: &str, name: &str, flags: &[&str]) -> Result<Station> {
        Station::attach(&self.daemons[host], network, name, flags)
    }
}

/// A sandbox attached to a network, and what the daemon said of it.
#[derive(Debug)]
pub struct Station {
    /// The container's stand-in.
    pub sandbox: Sandbox,
    /// The name it is attached under.
    pub name: String,
    /// The port's row.
    pub row: Value,
}

impl Station {
    /// Starts a sandbox on the daemon's host and attaches it.
    pub fn attach(daemon: &Vswitchd, network: &str, name: &str, flags: &[&str]) -> Result<Station> {
        let sandbox = Sandbox::start(daemon.host())?;
        let row = daemon.add_port(network, name, sandbox.pid(), flags)?;
        Ok(Station { sandbox, name: name.to_owned(), row })
    }

    /// Its first IPv4 address.
    pub fn address4(&self) -> Result<IpAddr> {
        addresses(&self.row)?.into_iter().find(IpAddr::is_ipv4).with_context(|| self.row.to_string())
    }

    /// Its first IPv6 address.
    pub fn address6(&self) -> Result<IpAddr> {
        addresses(&self.row)?.into_iter().find(IpAddr::is_ipv6).with_context(|| self.row.to_string())
    }
}

impl Place for Station {
    fn netns(&self) -> Result<Netns> {
        self.sandbox.netns()
    }
}

/// The addresses of a port's row, without their prefix lengths.
pub fn addresses(row: &Value) -> Result<Vec<IpAddr>> {
    let texts = row["addresses"].as_array().with_context(|| format!("no addresses: {row}"))?;
    texts
        .iter()
        .map(|text| {
            let text = text.as_str().context("an address that is no string")?;
            Ok(text.split_once('/').map_or(text, |(address, _)| address).parse()?)
        })
        .collect()
}
