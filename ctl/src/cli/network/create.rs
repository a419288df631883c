//! `vsctl network create`.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;
use serde_json::Value;

use super::docker::CreateArgs;
use super::plan::plan;
use crate::api::{CreateNetwork, Created};
use crate::cli::error::Error;
use crate::cli::port::ResolverArgs;
use crate::cli::session::{Session, read};
use crate::cli::table::printable;
use crate::cli::value::{Pair, boolean, cidr, label, map};

const EXAMPLES: &str = "\
Examples:
  vsctl network create dev
  vsctl network create -d overlay --subnet 10.10.10.0/24 RED
  vsctl network create --policy deny VAULT
  vsctl network create --subnet 10.20.0.0/16 --ip-range 10.20.5.0/24 BLUE
  vsctl network create -d overlay --subnet 10.30.0.0/24,fd00:30::/64 --vni 5000 GREEN

Options of docker that are understood with -o:
  com.docker.network.driver.mtu
  com.docker.network.driver.overlay.vxlanid_list
  com.docker.network.bridge.enable_icc (false: as --policy deny)";

/// Create a network and print its ID
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("internal", boolean), mut_arg("attachable", boolean), mut_arg("ipv6", boolean))]
pub(crate) struct Create {
    /// `bridge` for this host alone, `overlay` across hosts
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// A subnet; several for IPv4 and IPv6 [default: a free one is chosen]
    #[arg(long = "subnet", value_name = "CIDR", value_parser = cidr, value_delimiter = ',')]
    subnets: Vec<IpNet>,
    /// The gateway of the subnet it lies in [default: the first address]
    #[arg(long = "gateway", value_name = "IP", value_delimiter = ',')]
    gateways: Vec<IpAddr>,
    /// Take addresses only from this part of the subnet it lies in
    #[arg(long = "ip-range", value_name = "CIDR", value_parser = cidr, value_delimiter = ',')]
    ranges: Vec<IpNet>,
    /// An address that is never given out, with a name for it
    #[arg(long = "aux-address", value_name = "NAME=IP")]
    aux_addresses: Vec<Pair>,
    /// No way to the outside
    #[arg(long)]
    internal: bool,
    /// Whether its containers may reach each other where no rule says so
    #[arg(long, value_name = "allow|deny", value_parser = ["allow", "deny"])]
    policy: Option<String>,
    /// Kept for docker's sake: containers may always be attached by hand
    #[arg(long)]
    attachable: bool,
    /// IPv6 too, with a chosen subnet if none is given
    #[arg(long)]
    ipv6: bool,
    /// MTU of the containers' links, in bytes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=65_535))]
    mtu: Option<u32>,
    /// VXLAN network identifier (overlay) [default: the lowest free one from 4096]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=0xff_ffff))]
    vni: Option<u32>,
    /// A note of your own; may be given several times
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = label)]
    labels: Vec<Pair>,
    #[command(flatten)]
    resolver: ResolverArgs,
    /// A driver option of docker
    #[arg(short, long = "opt", value_name = "KEY=VALUE")]
    options: Vec<Pair>,
    #[command(flatten)]
    docker: CreateArgs,
    /// The network's name
    #[arg(value_name = "NETWORK")]
    name: String,
}

impl Create {
    /// Creates, and prints the ID.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        self.docker.check(&self.driver)?;
        let subnets = plan(&self.subnets, &self.ranges, &self.gateways, self.aux_addresses)?;
        let request = CreateNetwork {
            name: self.name,
            driver: Some(self.driver),
            subnets,
            ipv6: self.ipv6,
            internal: self.internal,
            policy: self.policy,
            attachable: self.attachable,
            mtu: self.mtu,
            vni: self.vni,
            labels: map(self.labels),
            options: map(self.options),
            dns: self.resolver.dns,
            dns_search: self.resolver.dns_search,
            dns_options: self.resolver.dns_options,
        };
        session.expect::<Created>()?;
        let path = "/v1/networks";
        let answer: Value = session.client.post(path, &request).await?;
        if session.wants_data() {
            return session.answer::<Created>(path, &answer);
        }
        let created: Created = read(path, &answer)?;
        if !created.warning.is_empty() {
            session.say(&format!("warning: {}", printable(&created.warning)));
        }
        session.line(&created.id)
    }
}
