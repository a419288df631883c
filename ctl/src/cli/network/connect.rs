//! `vsctl network connect` and `disconnect`, for sandboxes that are attached somewhere already.

use clap::Args;
use serde_json::Value;

use super::docker::ConnectArgs;
use crate::api;
use crate::cli::error::Error;
use crate::cli::port::Wishes;
use crate::cli::session::Session;
use crate::client::segment;

const CONNECT_EXAMPLES: &str = "\
Examples:
  vsctl network connect BLUE web0
  vsctl connect --ip 10.20.0.80 --alias www BLUE web0";

/// Connect a sandbox to one more network
#[derive(Debug, Args)]
#[command(after_help = CONNECT_EXAMPLES)]
pub(crate) struct Connect {
    #[command(flatten)]
    wishes: Wishes,
    #[command(flatten)]
    docker: ConnectArgs,
    /// The network: name, ID, or unique prefix of an ID
    network: String,
    /// The sandbox's name, or its container's ID
    container: String,
}

impl Connect {
    /// Connects; as with docker, nothing is printed when that is done.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        self.docker.check()?;
        session.expect::<api::Port>()?;
        let Wishes { ip, ip6, mac, aliases, hostname, resolver, ifname, limits, vlans } = self.wishes;
        let request = api::Connect {
            name: self.container,
            ip: ip.map(Into::into),
            ip6: ip6.map(Into::into),
            mac,
            ifname,
            aliases,
            hostname,
            dns: resolver.dns,
            dns_search: resolver.dns_search,
            dns_options: resolver.dns_options,
            limits: limits.into(),
            vlan: vlans.into(),
        };
        let path = format!("/v1/networks/{}/connect", segment(&self.network));
        let answer: Value = session.client.post(&path, &request).await?;
        if session.wants_data() { session.answer::<api::Port>(&path, &answer) } else { Ok(()) }
    }
}

/// Disconnect a sandbox from a network
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl network disconnect BLUE web0\n  vsctl disconnect -f BLUE web0")]
pub(crate) struct Disconnect {
    /// Also when it is not connected
    #[arg(short, long)]
    force: bool,
    /// The network: name, ID, or unique prefix of an ID
    network: String,
    /// The sandbox's name, or its container's ID
    container: String,
}

impl Disconnect {
    /// Disconnects; nothing is printed when that is done.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let request = api::Disconnect { name: self.container, force: self.force };
        let path = format!("/v1/networks/{}/disconnect", segment(&self.network));
        Ok(session.client.post(&path, &request).await?)
    }
}
