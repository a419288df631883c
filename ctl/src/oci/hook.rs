//! What the hook asks of vswitchd for a container: one port per network, in order, or none at all; and their end.
//! Not how the program is called (`bin/oci-hook`). Invariant: an attach that fails asks for the removal of all that
//! it has, or may have, attached; both verbs answer well within the ten seconds that runtimes are often given.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bundle::Bundle;
use super::state::{NAME, NETWORKS, PUBLISH};
use super::{Attachment, Error, State, parse_networks, parse_publish, resolver};
use crate::api::{AddPort, PublishPorts};
use crate::client::{self, Client, segment};
use crate::model::{self, Limits, Resolver};

/// The time for all attachments of a container together.
const ATTACH: Duration = Duration::from_secs(7);
/// The time for taking all of them back.
const UNDO: Duration = Duration::from_secs(2);
/// The time for the removal at the container's end.
const DETACH: Duration = Duration::from_secs(8);

/// What an attachment is answered, as far as it is needed.
#[derive(Deserialize)]
struct Attached {
    #[serde(default)]
    dns: Resolver,
}

/// Attaches the container to the networks of its annotations, in their order; without the annotation nothing is done.
/// Then the ports of its annotation are published, through the first network that is not internal, and the container is
/// given its resolv.conf, unless it brings its own. The container's name is its annotation's, else `name`, else its ID.
/// Doing it twice is fine. What is answered is for people: why it has to do without its resolv.conf.
///
/// # Errors
/// The first network that cannot be had, or what is wrong with the annotations; nothing stays attached then.
pub async fn attach(state: State, name: Option<&str>, client: &Client) -> Result<Option<String>, Error> {
    let state = state.with_annotations()?;
    let publish = state.annotation(PUBLISH)?.map(parse_publish).transpose()?.unwrap_or_default();
    let Some(networks) = state.annotation(NETWORKS)? else {
        return if publish.is_empty() { Ok(None) } else { Err(Error::PublishAlone) };
    };
    let attachments = parse_networks(networks)?;
    let pid = state.process().ok_or(Error::NoProcess)?;
    if shares_our_network(pid)? {
        let network = attachments.into_iter().next().map(|first| first.network).unwrap_or_default();
        return Err(Error::HostNetwork { network });
    }
    let name = state.annotation(NAME)?.or(name).unwrap_or(&state.id);
    let labels = state.labels()?;
    // A runtime that hides its bundle has said all that is needed.
    let bundle = state.bundle.as_deref().and_then(|dir| Bundle::read(dir).ok());
    let hostname = bundle.as_ref().and_then(|bundle| bundle.hostname.clone()).filter(|name| model::is_name(name));

    let mut dns = Resolver::default();
    let end = Instant::now() + ATTACH;
    for (index, attachment) in attachments.iter().enumerate() {
        let asked = add_port(attachment, name, &state.id, pid);
        let hostname = asked.hostname.clone().or_else(|| hostname.clone());
        let request = AddPort { labels: labels.clone(), hostname, ..asked };
        let client = client.clone().with_deadline(end.saturating_duration_since(Instant::now()));
        match client.post::<_, Attached>("/v1/ports", &request).await {
            // The last one knows of all.
            Ok(attached) => dns = attached.dns,
            Err(source) => {
                // Where no answer came, the attachment may have been made all the same.
                let made = if source.status().is_some() { index } else { index + 1 };
                undo(&client, &state.id, &attachments[..made]).await;
                return Err(Error::Attach { network: attachment.network.clone(), source });
            }
        }
    }
    if !publish.is_empty() {
        // By the container's ID: after the last attachment it is known by both.
        let request = PublishPorts { name: state.id.clone(), publish, network: None };
        let client = client.clone().with_deadline(end.saturating_duration_since(Instant::now()));
        if let Err(source) = client.post::<_, IgnoredAny>("/v1/publish", &request).await {
            // With the last attachment go the ports, should they be published.
            undo(&client, &state.id, &attachments).await;
            return Err(Error::Publish { source });
        }
    }
    Ok(bundle.and_then(|bundle| without_resolver(&bundle, pid, &dns)))
}

/// Gives the container its resolv.conf. Why it has none, if somebody should know.
fn without_resolver(bundle: &Bundle, pid: u32, dns: &Resolver) -> Option<String> {
    if dns.is_empty() || bundle.mounts(resolver::PATH) {
        return None;
    }
    let given = resolver::give(pid, &bundle.rootfs()?, &dns.text());
    given.err().map(|error| format!("{} stays the image's: {error}", resolver::PATH))
}

/// Detaches the container from all its networks. That it is not known, or asked for none, is fine.
///
/// # Errors
/// vswitchd could not be asked; it notices by itself that the namespace is gone.
pub async fn detach(state: State, client: &Client) -> Result<(), Error> {
    let id = state.id.clone();
    // Annotations that cannot be read are no reason to leave something behind.
    if state.with_annotations().is_ok_and(|state| matches!(state.annotation(NETWORKS), Ok(None))) {
        return Ok(());
    }
    let client = client.clone().with_deadline(DETACH);
    match client.delete::<IgnoredAny>(&format!("/v1/ports/{}", segment(&id))).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(source) => Err(Error::Detach { source }),
    }
}

/// Any error as one line: runtimes print a hook's words inside a line of their own.
pub fn one_line(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn add_port(attachment: &Attachment, name: &str, id: &str, pid: u32) -> AddPort {
    AddPort {
        network: attachment.network.clone(),
        name: name.to_owned(),
        pid: Some(pid),
        container_id: Some(id.to_owned()),
        ifname: attachment.ifname.clone(),
        ip: attachment.ip.map(IpAddr::V4),
        ip6: attachment.ip6.map(IpAddr::V6),
        mac: attachment.mac,
        aliases: attachment.aliases.clone(),
        hostname: attachment.hostname.clone(),
        limits: Limits { rate: attachment.rate, egress_rate: attachment.egress_rate, ..Limits::default() },
        vlan: attachment.vlan.clone(),
        ..AddPort::default()
    }
}

/// Takes attachments back, the last one first; by network, so that what the container ID has elsewhere is not touched.
/// What fails here is left to the runtime's call of `poststop` and to the end of the namespace.
async fn undo(client: &Client, id: &str, made: &[Attachment]) {
    let end = Instant::now() + UNDO;
    for attachment in made.iter().rev() {
        let client = client.clone().with_deadline(end.saturating_duration_since(Instant::now()));
        let path = format!("/v1/ports/{}?network={}", segment(id), segment(&attachment.network));
        if let Err(client::Error::Unreachable { .. }) = client.delete::<IgnoredAny>(&path).await {
            return;
        }
    }
}

/// Whether process `pid` is in the network namespace of this program, which a runtime starts in its own.
fn shares_our_network(pid: u32) -> Result<bool, Error> {
    let look = |path: String| fs::metadata(path).map_err(|source| Error::Namespace { pid, source });
    let (its, ours) = (look(format!("/proc/{pid}/ns/net"))?, look("/proc/self/ns/net".into())?);
    Ok((its.dev(), its.ino()) == (ours.dev(), ours.ino()))
}
