//! What each verb asks of vswitchd. An attachment is known by container id, network and link's name, and nothing is
//! kept here between calls. Invariant: an ADD that fails leaves nothing, and DEL succeeds when nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::call::{Call, Verb};
use super::config::{Attachment, Config};
use super::error::{CHANGED, CONFIG, Failure, LATER, NAMESPACE, UNAVAILABLE};
use super::version::Version;
use super::{names, result};
use crate::api::{AddPort, Network, Port, Show};
use crate::client::{Client, Error, segment};
use crate::model;
use crate::sandbox::{self, Netns};

/// The time for a status: a runtime asks often, and waits.
const STATUS: Duration = Duration::from_secs(5);
/// The time for taking an attachment back.
const UNDO: Duration = Duration::from_secs(5);

/// Does what is asked for. The value is to be printed; there is none for most verbs.
///
/// # Errors
/// As the specification has them.
pub async fn run(call: &Call, config: Config) -> Result<Option<Value>, Failure> {
    let client = Client::new(&config.socket);
    match call.verb {
        Verb::Add => add(call, config, &client).await.map(Some),
        Verb::Del => del(call, &config, &client).await.map(|()| None),
        Verb::Check => check(call, &config, &client).await.map(|()| None),
        Verb::Gc => gc(&config, &client).await.map(|()| None),
        Verb::Status => status(&config, client).await.map(|()| None),
        Verb::Version => Ok(Some(super::version::supported())),
    }
}

async fn add(call: &Call, mut config: Config, client: &Client) -> Result<Value, Failure> {
    let netns = container_netns(call)?;
    let previous = config.previous.take();
    if previous.as_ref().is_some_and(|previous| result::position(previous, &call.ifname, &netns).is_some()) {
        let msg = format!("interface {}: another plugin of the chain has made it", call.ifname);
        return Err(Failure::new(CONFIG, msg).help("make vswitch-cni the first plugin of the list"));
    }
    if let Some(ip) = call.args.ip.filter(|_| config.wishes.ip.is_none() && config.wishes.ip6.is_none()) {
        config.wishes.address(ip)?;
    }
    let wishes = config.wishes.clone();
    let mut all = names::candidates(call).into_iter();
    let request = AddPort {
        network: config.network.clone(),
        name: all.next().unwrap_or_default(),
        otherwise: all.collect(),
        fresh: true,
        netns: Some(netns.clone()),
        container_id: Some(call.container_id.clone()),
        ifname: Some(call.ifname.clone()),
        ip: wishes.ip.map(IpAddr::V4),
        ip6: wishes.ip6.map(IpAddr::V6),
        mac: wishes.mac.or(call.args.mac),
        aliases: wishes.aliases,
        hostname: names::hostname(call),
        labels: names::labels(call, &config.name),
        limits: wishes.limits,
        publish: wishes.ports,
        dns: wishes.dns.nameservers,
        dns_search: wishes.dns.search,
        dns_options: wishes.dns.options,
        ..AddPort::default()
    };
    let mut answer = client.post::<_, Port>("/v1/ports", &request).await;
    if let (Err(error), Some(network)) = (&answer, &config.create)
        && (error.is_not_found() || error.status() == Some(503) && network.driver.as_deref() != Some("overlay"))
        && error.object().is_some_and(|object| object.starts_with("network "))
    {
        match client.post::<_, IgnoredAny>("/v1/networks", network).await {
            // Another ADD was quicker: the attachment says whether it is the same network.
            Err(error) if error.status() != Some(409) => return Err(error.into()),
            Err(refusal) => {
                answer = client.post("/v1/ports", &request).await;
                if answer.as_ref().is_err_and(Error::is_not_found) {
                    return Err(refusal.into());
                }
            }
            Ok(_) => answer = client.post("/v1/ports", &request).await,
        }
    }
    let port = match answer {
        Ok(port) => port,
        Err(error) => {
            if error.status() == Some(409)
                && let Some(other) = other_link(call, &config, client).await
            {
                let msg = format!("network {}: the container has the interface {other} in it already", config.network);
                return Err(Failure::new(CONFIG, msg).help("give each interface a network of its own"));
            }
            // Where no answer came, the attachment may have been made all the same.
            if !matches!(error, Error::Unreachable { .. } | Error::Refused { .. }) {
                undo(call, &config, client).await;
            }
            return Err(error.into());
        }
    };
    let planned = config.create.iter().flat_map(|network| &network.subnets).filter_map(|subnet| subnet.subnet);
    let planned: Vec<_> = planned.collect();
    let stray = port.addresses.iter().find(|address| !planned.iter().any(|subnet| subnet.contains(&address.addr())));
    if let (Some(stray), false) = (stray, planned.is_empty()) {
        undo(call, &config, client).await;
        let msg = format!("network {}: it exists with other subnets: it gave {stray}", config.network);
        return Err(Failure::new(CONFIG, msg).help("correct `subnet`, or name another `network`"));
    }
    let ways_out = match ways_out(&netns, &port.ifname).await {
        Ok(ways_out) => ways_out,
        Err(error) => {
            undo(call, &config, client).await;
            return Err(Failure::new(LATER, error.to_string()));
        }
    };
    Ok(result::of(config.version, previous.as_ref(), &port, &ways_out, &netns))
}

/// By which gateways the container leaves through a link.
async fn ways_out(netns: &Path, ifname: &str) -> Result<Vec<IpAddr>, sandbox::Error> {
    let seen = sandbox::look(&Netns::from_path(netns)?, ifname).await?;
    Ok(seen.map(|seen| seen.gateways).unwrap_or_default())
}

/// The container's other link in the network, if it has one.
async fn other_link(call: &Call, config: &Config, client: &Client) -> Option<String> {
    let ports: Vec<Port> = client.get(&format!("/v1/ports/{}", segment(&call.container_id))).await.ok()?;
    let networks = ports.iter().map(|port| (port.network_id.as_str(), port.network.as_str()));
    let network = model::resolve(&config.network, networks).ok()?.to_owned();
    let its = |port: &Port| {
        port.container_id == call.container_id && port.network_id == network && port.ifname != call.ifname
    };
    ports.into_iter().find(its).map(|port| port.ifname)
}

async fn del(call: &Call, config: &Config, client: &Client) -> Result<(), Failure> {
    match remove(&call.container_id, &config.network, &call.ifname, client).await {
        Ok(()) => Ok(()),
        // It finds by itself that the namespace is gone, and gives back what it had.
        Err(_) if call.netns.as_ref().is_none_or(|path| !path.exists()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn check(call: &Call, config: &Config, client: &Client) -> Result<(), Failure> {
    config.version.has("CHECK", Version::V0_4_0)?;
    let netns = container_netns(call)?;
    let previous = config.previous.as_ref().ok_or_else(|| Failure::new(CONFIG, "prevResult: CHECK needs it"))?;
    let expected = result::addresses(previous, &call.ifname, &netns)?;
    let path = format!("/v1/ports/{}", segment(&call.container_id));
    let ports: Vec<Port> = match client.get(&path).await {
        Err(error) if error.is_not_found() => Vec::new(),
        answer => answer?,
    };
    let object = format!("interface {}", call.ifname);
    let changed = |what: String| Failure::new(CHANGED, format!("{object}: {what}"));
    let network = &config.network;
    let meant = model::resolve(network, ports.iter().map(|port| (port.network_id.as_str(), port.network.as_str())));
    let port = ports.iter().find(|port| meant == Ok(port.network_id.as_str()) && port.ifname == call.ifname);
    let port = port.ok_or_else(|| changed(format!("vswitchd does not know it in network {network}")))?;
    if let Some(lost) = expected.iter().find(|address| !port.addresses.contains(address)) {
        return Err(changed(format!("{lost} is not its address any more")));
    }
    let opened = Netns::from_path(&netns).map_err(|error| Failure::new(NAMESPACE, error.to_string()))?;
    let seen = sandbox::look(&opened, &call.ifname).await.map_err(|error| changed(error.to_string()))?;
    let seen = seen.ok_or_else(|| changed("it is not in the container".into()))?;
    if !seen.up {
        return Err(changed("it is down".into()));
    }
    // Its MAC address may be another plugin's by now.
    match expected.iter().find(|address| !seen.addresses.contains(address)) {
        Some(lost) => Err(changed(format!("{lost} is not on it"))),
        None => Ok(()),
    }
}

async fn gc(config: &Config, client: &Client) -> Result<(), Failure> {
    config.version.has("GC", Version::V1_1_0)?;
    // Without a list nobody says what is in use.
    let Some(valid) = &config.valid else { return Ok(()) };
    let ports: Vec<Port> = client.get("/v1/ports").await?;
    // What was connected by hand besides has the labels of its container, but is in other networks.
    let networks: BTreeSet<(String, String)> =
        ports.iter().map(|port| (port.network_id.clone(), port.network.clone())).collect();
    let networks = networks.iter().map(|(id, name)| (id.as_str(), name.as_str()));
    let meant = model::resolve(&config.network, networks).unwrap_or_default().to_owned();
    let is_ours = |port: &Port| port.labels.get(names::MADE_FOR) == Some(&config.name) && port.network_id == meant;
    let ours = ports.into_iter().filter(is_ours);
    let in_use = |port: &Port| {
        let same = |known: &Attachment| known.container_id == port.container_id && known.ifname == port.ifname;
        valid.iter().any(same)
    };
    let mut failed = Vec::new();
    for port in ours.filter(|port| !in_use(port)) {
        if let Err(error) = remove(&port.container_id, &port.network_id, &port.ifname, client).await {
            failed.push(format!("container {}: {error}", port.container_id));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(LATER, failed.join("; "))) }
}

async fn status(config: &Config, client: Client) -> Result<(), Failure> {
    config.version.has("STATUS", Version::V1_1_0)?;
    let unavailable = |error: Error| Failure { code: UNAVAILABLE, ..Failure::from(error) };
    let client = client.with_deadline(STATUS);
    let networks: Vec<Network> = client.get("/v1/networks").await.map_err(unavailable)?;
    let known = networks.iter().map(|network| (network.id.as_str(), network.name.as_str()));
    let id = model::resolve(&config.network, known).unwrap_or_default();
    let there = networks.iter().find(|network| network.id == id);
    let no = |what: &str, help: &str| {
        let msg = format!("network {}: {what}", config.network);
        Err(Failure::new(UNAVAILABLE, msg).help(help))
    };
    let global = match (there, &config.create) {
        (Some(network), _) => network.scope == "global",
        (None, Some(create)) => create.driver.as_deref() == Some("overlay"),
        (None, None) => {
            return no("it does not exist", "create it with `vsctl network create`, or give the config a `subnet`");
        }
    };
    if !global {
        return Ok(());
    }
    let show: Show = client.get("/v1/show").await.map_err(unavailable)?;
    match (show.advertise, show.store.connected) {
        (None, _) => no("this host has no address for tunnels", "start vswitchd with --advertise"),
        (_, false) => no("its store does not answer", "see `vsctl show`"),
        _ => Ok(()),
    }
}

/// The container's namespace, which is there and not this program's own.
fn container_netns(call: &Call) -> Result<PathBuf, Failure> {
    let path = call.netns.clone().unwrap_or_default();
    let bad = |why: String| Failure::new(NAMESPACE, format!("CNI_NETNS {}: {why}", path.display()));
    let look = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let its = look(&path).map_err(|error| bad(error.to_string()))?;
    if !call.own_netns && look(Path::new("/proc/self/ns/net")).is_ok_and(|own| own == its) {
        return Err(bad("it is the runtime's own namespace".into()).help("a container with host networking has no CNI"));
    }
    Ok(path)
}

/// Detaches; that it is not there is fine.
async fn remove(container_id: &str, network: &str, ifname: &str, client: &Client) -> Result<(), Error> {
    let (id, network, ifname) = (segment(container_id), segment(network), segment(ifname));
    match client.delete::<IgnoredAny>(&format!("/v1/ports/{id}?network={network}&ifname={ifname}")).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Takes an attachment back. What fails here is left to DEL and GC.
async fn undo(call: &Call, config: &Config, client: &Client) {
    let client = client.clone().with_deadline(UNDO);
    let _ = remove(&call.container_id, &config.network, &call.ifname, &client).await;
}
