//! `vsctl show`: one page about this host. As JSON, what the API says of the host alone.

use clap::Args;
use serde_json::Value;

use super::error::Error;
use super::network::is_predefined;
use super::port::addresses;
use super::session::Session;
use super::style::Style;
use super::table::{Table, printable, seconds, short};
use super::uplink;
use crate::api::{Network, PeerRow, Port, Show as Overview, Store, XdpMemory};

/// This host at a glance: store, networks, endpoints, peers, warnings, what of the kernel is used
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl show\n  vsctl show --format json")]
pub(crate) struct Show {}

impl Show {
    /// Prints the page.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        if session.wants_data() {
            let answer: Value = session.client.get("/v1/show").await?;
            return session.data(&answer);
        }
        let client = session.client.clone();
        let (overview, mut networks, mut ports, mut peers) = tokio::try_join!(
            client.get::<Overview>("/v1/show"),
            client.get::<Vec<Network>>("/v1/networks"),
            client.get::<Vec<Port>>("/v1/ports"),
            client.get::<Vec<PeerRow>>("/v1/peers"),
        )?;
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        ports.sort_by(|a, b| a.name.cmp(&b.name));
        peers.sort_by_key(|peer| peer.vtep);

        let style = session.style;
        let title = style.bold(&printable(&overview.name));
        session.line(&format!("{title}   {}", printable(&program(&overview))))?;
        for (term, text) in facts(&overview, style) {
            session.line(&format!("  {term:<12}{text}"))?;
        }
        let predefined = |network: &Network| is_predefined(&network.name);
        for network in &networks {
            let inside: Vec<&Port> = ports.iter().filter(|port| port.network_id == network.id).collect();
            if inside.is_empty() && predefined(network) {
                continue;
            }
            let tunnels: Vec<&PeerRow> = peers.iter().filter(|peer| peer.network == network.name).collect();
            section(session, network, &inside, &tunnels)?;
        }
        if networks.iter().all(predefined) {
            session.line("\nNo networks of your own yet: create one with `vsctl network create NAME`.")?;
        }
        hosts(session, &overview)?;
        features(session, &overview)
    }
}

/// All hosts of the cluster.
fn hosts(session: &mut Session<'_>, overview: &Overview) -> Result<(), Error> {
    if overview.hosts.is_empty() {
        return Ok(());
    }
    session.line(&format!("\n{}", session.style.bold("Hosts")))?;
    let mut hosts = Table::new(&["HOST", "VTEP"]);
    for host in &overview.hosts {
        let here = if host.name == overview.name { " (this host)" } else { "" };
        let vteps: Vec<String> = host.vteps.iter().map(ToString::to_string).collect();
        hosts.row(vec![format!("{}{here}", host.name), vteps.join(", ")]);
    }
    session.table(&hosts, 2)
}

/// What not every kernel has.
fn features(session: &mut Session<'_>, overview: &Overview) -> Result<(), Error> {
    if overview.features.is_empty() {
        return Ok(());
    }
    session.line(&format!("\n{}", session.style.bold("Kernel features")))?;
    let mut features = Table::bare(&["FEATURE", "STATE", "NOTE"]);
    for feature in &overview.features {
        features.row(vec![feature.name.clone(), feature.state.clone(), feature.note.clone().unwrap_or_default()]);
    }
    session.table(&features, 2)
}

/// One network: what it is, who is in it here, and where else it is.
fn section(session: &mut Session<'_>, network: &Network, ports: &[&Port], peers: &[&PeerRow]) -> Result<(), Error> {
    let title = session.style.bold(&format!("Network {}", printable(&network.name)));
    session.line(&format!("\n{title}   {}", printable(&about(network))))?;
    if ports.is_empty() {
        session.line("  no endpoints on this host")?;
    } else {
        let mut table = Table::new(&["ENDPOINT", "IFNAME", "ADDRESS", "MAC", "STATE"]);
        for port in ports {
            table.row(vec![
                port.name.clone(),
                port.ifname.clone(),
                addresses(port),
                port.mac.to_string(),
                port.state.clone(),
            ]);
        }
        session.table(&table, 2)?;
    }
    for peer in peers {
        session.line(&format!("  peer {}", printable(&beyond(peer))))?;
    }
    Ok(())
}

fn program(overview: &Overview) -> String {
    format!(
        "vswitchd {}, pid {}, up {}, Linux {}",
        overview.version,
        overview.pid,
        seconds(overview.uptime_seconds),
        overview.kernel
    )
}

/// Terms and what they are on this host. Only what needs attention is coloured.
fn facts(overview: &Overview, style: Style) -> Vec<(&'static str, String)> {
    let advertise = match overview.advertise {
        Some(address) => {
            let mtu = overview.underlay_mtu.map(|mtu| format!(", underlay MTU {mtu}")).unwrap_or_default();
            format!("{address}, VXLAN port {}{mtu}", overview.vxlan_port)
        }
        None => "no address: overlay networks need vswitchd --advertise".into(),
    };
    let mut facts = vec![("Advertise", advertise), ("Store", store(&overview.store, style))];
    for waiting in &overview.store.waiting {
        facts.push(("Waiting", style.alarm(&printable(waiting))));
    }
    facts.extend(uplink::facts(&overview.uplink, style));
    facts.extend(overview.xdp_memory.map(|memory| {
        let XdpMemory { used, chunks } = memory;
        ("AF_XDP", format!("{used} of {chunks} frames of memory in use"))
    }));
    for warning in &overview.warnings {
        facts.push(("Warning", style.alarm(&printable(warning))));
    }
    facts
}

fn store(store: &Store, style: Style) -> String {
    let extent = if store.shared { "shared" } else { "this host only" };
    let mut text = format!("{} ({extent}), ", printable(&store.url));
    if store.connected {
        text.push_str("connected");
    } else {
        let reason = store.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        text.push_str(&style.alarm(&printable(&format!("not connected{reason}"))));
    }
    text
}

fn about(network: &Network) -> String {
    let mut parts = vec![short(&network.id), network.driver.clone()];
    parts.extend(network.vni.map(|vni| format!("VNI {vni}")));
    if network.mtu > 0 {
        parts.push(format!("MTU {}", network.mtu));
    }
    if network.internal {
        parts.push("internal".into());
    }
    for subnet in &network.subnets {
        let gateway = subnet.gateway.map(|gateway| format!(" gateway {gateway}")).unwrap_or_default();
        parts.push(format!("{}{gateway}", subnet.subnet));
    }
    parts.join(", ")
}

fn beyond(peer: &PeerRow) -> String {
    let host = peer.host.as_deref().unwrap_or("VTEP");
    let set = if peer.kind == "static" { ", set by hand" } else { "" };
    let plural = if peer.endpoints == 1 { "" } else { "s" };
    format!("{host} at {}, {} endpoint{plural}{set}", peer.vtep, peer.endpoints)
}
