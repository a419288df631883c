//! Endpoints of this host: `add-port`, `del-port`, `ports`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use wire::Mac;

use super::error::Error;
use super::limits::{self, LimitArgs, VlanArgs};
use super::publish::mapping;
use super::session::{Session, read};
use super::table::bytes;
use super::value::{Pair, label, map};
use crate::api::{self, AddPort as Request, LinkType};
use crate::client::segment;
use crate::model::XdpMode;
use crate::publish::Spec;

/// What an endpoint may be given instead of what vswitchd would choose.
#[derive(Debug, Args)]
pub(crate) struct Wishes {
    /// A static IPv4 address
    #[arg(long, value_name = "IPv4")]
    pub(crate) ip: Option<Ipv4Addr>,
    /// A static IPv6 address
    #[arg(long, value_name = "IPv6")]
    pub(crate) ip6: Option<Ipv6Addr>,
    /// A MAC address instead of the one derived from the IPv4 address
    #[arg(long, visible_alias = "mac-address")]
    pub(crate) mac: Option<Mac>,
    /// Another name in this network; may be given several times
    #[arg(long = "alias", value_name = "NAME")]
    pub(crate) aliases: Vec<String>,
    /// What the container calls itself; also a name in this network
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    #[command(flatten)]
    pub(crate) resolver: ResolverArgs,
    /// The link's name in the sandbox [default: the lowest free ethN]
    #[arg(long, value_name = "NAME")]
    pub(crate) ifname: Option<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) vlans: VlanArgs,
}

/// What a resolv.conf is to hold instead of what the switch would put there.
#[derive(Debug, Args)]
pub(crate) struct ResolverArgs {
    /// A name server instead of the gateways; may be given several times
    #[arg(long, value_name = "IP")]
    pub(crate) dns: Vec<IpAddr>,
    /// A domain that short names are tried in (. for none); may be given several times
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) dns_search: Vec<String>,
    /// An option of the resolver, such as ndots:2; may be given several times
    #[arg(long = "dns-opt", visible_alias = "dns-option", value_name = "OPTION")]
    pub(crate) dns_options: Vec<String>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  vsctl add-port RED web0 --pid 4711
  vsctl add-port RED web0 --netns /run/netns/web0 --ip 10.10.10.80 --alias www
  vsctl add-port RED web0 --pid 4711 --publish 8080:80 -p 53:53/udp
  vsctl add-port RED web1 --pid 4712 --label tier=front
  vsctl add-port RED web2 --pid 4713 --rate 100mbit --storm-broadcast 100
  vsctl add-port RED vm0 --pid 4714 --trunk 10,20-29
  vsctl add-port RED probe0 --pid 4715 --type veth
  vsctl add-port LAN uplink1 --type xdp --iface eth1
  vsctl add-port BLUE router0 --pid 4711 --ifname eth1 --allow-spoof";

/// Attach a container's network namespace, or an interface of the host, to a network
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct AddPort {
    /// The network: name, ID, or unique prefix of an ID
    network: String,
    /// The sandbox's name on this host
    name: String,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    wishes: Wishes,
    /// The runtime's ID of the container
    #[arg(long, value_name = "ID")]
    container_id: Option<String>,
    /// A note of your own, for which rules may ask; may be given several times
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = label)]
    labels: Vec<Pair>,
    /// Publish ports: [[IP:]HOSTPORT[-END]:]PORT[-END][/tcp|/udp]; may be given several times
    #[arg(short, long = "publish", value_name = "SPEC")]
    publish: Vec<Spec>,
    /// Let it send from any MAC and IP address (for routers and bridges)
    #[arg(long)]
    allow_spoof: bool,
    #[command(flatten)]
    link: LinkArgs,
}

/// What the port's link is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Link")]
struct LinkArgs {
    /// What the link is
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    link: LinkType,
    /// The XDP program's mode [default: native, or else generic]
    #[arg(long, value_enum, value_name = "MODE")]
    xdp_mode: Option<XdpMode>,
    /// Fail where the driver cannot read and write the switch's memory itself [default: copy there]
    #[arg(long)]
    xdp_zerocopy: bool,
    /// Drive the interface's queues by calls of the switch instead of interrupts
    #[arg(long)]
    xdp_busy_poll: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Namespace {
    /// A process in the namespace
    #[arg(long)]
    pid: Option<u32>,
    /// A path to the namespace, such as /run/netns/web0
    #[arg(long, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// An interface of the host, with --type xdp: it is the switch's alone from then on
    #[arg(long, value_name = "INTERFACE")]
    iface: Option<String>,
}

impl AddPort {
    /// Attaches, and shows the link's name, addresses and MAC address, and the published ports.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let Namespace { pid, netns, iface } = self.namespace;
        // vswitchd has another working directory.
        let netns = netns.map(std::path::absolute).transpose().map_err(|error| Error::Usage {
            error: format!("cannot make the path of the namespace absolute: {error}"),
            remedy: "give --netns an absolute path".into(),
        })?;
        let request = Request {
            network: self.network,
            name: self.name,
            link: self.link.link,
            iface,
            xdp_mode: self.link.xdp_mode,
            xdp_zero_copy: self.link.xdp_zerocopy,
            xdp_busy_poll: self.link.xdp_busy_poll,
            pid,
            netns,
            container_id: self.container_id,
            ifname: self.wishes.ifname,
            ip: self.wishes.ip.map(Into::into),
            ip6: self.wishes.ip6.map(Into::into),
            mac: self.wishes.mac,
            aliases: self.wishes.aliases,
            hostname: self.wishes.hostname,
            dns: self.wishes.resolver.dns,
            dns_search: self.wishes.resolver.dns_search,
            dns_options: self.wishes.resolver.dns_options,
            labels: map(self.labels),
            allow_spoof: self.allow_spoof,
            limits: self.wishes.limits.into(),
            vlan: self.wishes.vlans.into(),
            publish: self.publish.iter().map(ToString::to_string).collect(),
            ..Request::default()
        };
        session.expect::<api::Port>()?;
        let path = "/v1/ports";
        let answer: Value = session.client.post(path, &request).await?;
        if session.wants_data() {
            return session.answer::<api::Port>(path, &answer);
        }
        let port: api::Port = read(path, &answer)?;
        let addresses: String = port.addresses.iter().map(|address| format!(" {address}")).collect();
        session.line(&format!("{}{addresses} {}", port.ifname, port.mac))?;
        port.published.iter().try_for_each(|published| session.line(&mapping(published)))
    }
}

/// Detach a sandbox from one network, or from all
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl del-port web0\n  vsctl del-port web0 RED")]
pub(crate) struct DelPort {
    /// The sandbox's name, or its container's ID
    name: String,
    /// Only from this network: name, ID, or unique prefix of an ID
    network: Option<String>,
}

impl DelPort {
    /// Detaches; says nothing when that is done.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let mut path = format!("/v1/ports/{}", segment(&self.name));
        if let Some(network) = &self.network {
            path.push_str("?network=");
            path.push_str(&segment(network));
        }
        Ok(session.client.delete(&path).await?)
    }
}

/// Endpoints of this host and their counters
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl ports\n  vsctl ports web0\n  vsctl ports --format json")]
pub(crate) struct Ports {
    /// Only this sandbox: its name, or its container's ID
    name: Option<String>,
}

impl Ports {
    /// Lists them by name and network.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let path = match &self.name {
            Some(name) => format!("/v1/ports/{}", segment(name)),
            None => "/v1/ports".into(),
        };
        let headers = [
            "NAME",
            "NETWORK",
            "IFNAME",
            "LINK",
            "ADDRESS",
            "MAC",
            "MTU",
            "STATE",
            "GUARD",
            "VLAN",
            "LIMITS",
            "RX FRAMES",
            "RX BYTES",
            "TX FRAMES",
            "TX BYTES",
            "DROPS",
        ];
        let sort = |rows: &mut Vec<api::Port>| {
            rows.sort_by(|a, b| (&a.name, &a.network).cmp(&(&b.name, &b.network)));
        };
        session.list(&path, &headers, sort, row).await
    }
}

fn row(port: &api::Port) -> Vec<String> {
    vec![
        port.name.clone(),
        port.network.clone(),
        port.ifname.clone(),
        link(port),
        addresses(port),
        port.mac.to_string(),
        port.mtu.to_string(),
        port.state.clone(),
        if port.guard { "on" } else { "off" }.into(),
        port.vlan.as_ref().map(ToString::to_string).unwrap_or_default(),
        limits::show(&port.limits),
        port.rx_frames.to_string(),
        bytes(port.rx_bytes),
        port.tx_frames.to_string(),
        bytes(port.tx_bytes),
        port.drops.to_string(),
    ]
}

/// What a port's link is, and how it is had.
fn link(port: &api::Port) -> String {
    let how = port.xdp.as_ref().map(|xdp| format!(" ({xdp})")).unwrap_or_default();
    format!("{}{how}", port.kind)
}

/// The addresses of a port with their prefix lengths, in one cell.
pub(crate) fn addresses(port: &api::Port) -> String {
    port.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
