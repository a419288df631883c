//! A real Consul agent, alone in its cluster, with a data directory: it can be killed and come back.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::exec::Process;
use crate::host::Host;
use crate::netns::Place;
use crate::wait;

const START: Duration = Duration::from_secs(30);

/// One agent in server mode on a host's underlay address, port 8500.
#[derive(Debug)]
pub struct Consul {
    host: Host,
    address: IpAddr,
    process: Option<Process>,
}

impl Consul {
    /// Starts an agent and waits until it has elected itself.
    pub fn start(host: &Host) -> Result<Consul> {
        let mut consul = Consul::prepare(host);
        consul.resume()?;
        Ok(consul)
    }

    /// The agent's place and address, without starting it: for hosts that come up before their store.
    pub fn prepare(host: &Host) -> Consul {
        Consul { host: host.clone(), address: host.address4(), process: None }
    }

    /// Starts the agent again on the data it had.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the agent runs already");
        let data = self.host.dir().join("consul");
        fs::create_dir_all(&data)?;
        let (address, data) = (self.address.to_string(), data.display().to_string());
        // Everything has the agent's own namespace, so the default ports are free. Raft's timeouts
        // are for a WAN by default: elections would take longer than most tests.
        self.process = Some(self.host.spawn(
            "consul",
            &[
                "consul",
                "agent",
                "-server",
                "-bootstrap-expect=1",
                "-node=store",
                "-data-dir",
                &data,
                "-bind",
                &address,
                "-client",
                &address,
                "-log-level=warn",
                "-hcl",
                "performance { raft_multiplier = 1 }",
                "-hcl",
                "disable_update_check = true",
                "-hcl",
                "leave_on_terminate = false",
            ],
            &[],
        )?);
        let leader = format!("http://{address}:8500/v1/status/leader");
        wait::until(START, "Consul to elect a leader", || {
            if let Some(process) = &mut self.process {
                process.check_alive()?;
            }
            let said = crate::traffic::http::get(&self.host, &leader)?;
            ensure!(said.contains(":8300"), "no leader yet: {said}");
            // The leader's own catalogue entry comes a moment later; sessions need it.
            let nodes = crate::traffic::http::get(&self.host, &format!("http://{address}:8500/v1/catalog/nodes"))?;
            ensure!(nodes.contains("\"store\""), "not in the catalogue yet: {nodes}");
            Ok(())
        })?;
        Ok(())
    }

    /// Kills the agent at once, as a power cut would. Its data stays.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill9()?;
        }
        Ok(())
    }

    /// The store URL for `vswitchd --store`, with this key prefix.
    pub fn url(&self, prefix: &str) -> String {
        format!("consul://{}:8500/{prefix}", self.address)
    }

    /// Runs `consul kv ARGS` against the agent.
    pub fn kv(&self, args: &[&str]) -> Result<String> {
        let address = format!("-http-addr=http://{}:8500", self.address);
        let (verb, rest) = args.split_first().map_or(("", args), |(v, r)| (*v, r));
        let mut argv = vec!["consul", "kv", verb, &address];
        argv.extend(rest);
        self.host.exec(&argv)
    }

    /// The keys below a prefix.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.kv(&["get", "-keys", "-separator=", prefix])?.lines().map(str::to_owned).collect())
    }
}
