//! `vsctl dns`: names of containers, servers of the outside, and asking as a container would.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::error::Error;
use super::session::{Session, read};
use super::table::printable;
use crate::api::{DnsAnswer, DnsCache, DnsFlushed, DnsName, DnsQuery, DnsUpstream};
use crate::client::segment;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vsctl dns ls --network RED
  vsctl dns query web --from client0
  vsctl dns query _80._tcp.web SRV --network RED
  vsctl dns query 10.10.10.2 --network RED
  vsctl dns query www.example.com AAAA
  vsctl dns upstreams
  vsctl dns flush";

/// What is known by name, and who is asked for the rest.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Names of containers, on every host
    #[command(visible_alias = "list")]
    Ls(List),
    /// Ask for a name, as a container would
    #[command(after_help = EXAMPLES)]
    Query(Query),
    /// Servers that are asked for other names
    #[command(after_help = "Examples:\n  vsctl dns upstreams\n  vsctl dns upstreams --format json")]
    Upstreams,
    /// Answers of others that are kept
    #[command(after_help = "Examples:\n  vsctl dns cache")]
    Cache,
    /// Forget the answers of others
    #[command(after_help = "Examples:\n  vsctl dns flush")]
    Flush,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this network: name, ID, or unique prefix of an ID
    #[arg(long)]
    network: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// A name, or an address whose name is wanted
    name: String,
    /// Such as A, AAAA, SRV, TXT or TYPE65 [default: A, or PTR for an address]
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// As this sandbox: its name, or its container's ID
    #[arg(long, value_name = "PORT", conflicts_with = "network")]
    from: Option<String>,
    /// As somebody in this network [default: ask the servers of the outside]
    #[arg(long)]
    network: Option<String>,
}

impl Command {
    /// Lists, asks or forgets.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Self::Ls(list) => {
                let path = match &list.network {
                    Some(network) => format!("/v1/dns?network={}", segment(network)),
                    None => "/v1/dns".into(),
                };
                session.list(&path, &["NETWORK", "NAME", "ADDRESS", "HOST", "ENDPOINT"], |_| {}, name).await
            }
            Self::Query(query) => query.run(session).await,
            Self::Upstreams => {
                let headers = ["SERVER", "STATE", "LAST RTT", "ASKED", "ANSWERED", "MISSED"];
                session.list("/v1/dns/upstreams", &headers, |_| {}, upstream).await
            }
            Self::Cache => {
                let path = "/v1/dns/cache";
                let answer: Value = session.client.get(path).await?;
                if session.wants_data() {
                    return session.data(&answer);
                }
                let cache: DnsCache = read(path, &answer)?;
                session.line(&format!("{} answers, {}", cache.entries, super::table::bytes(cache.bytes as u64)))?;
                let DnsCache { asked, hits, joined, failed, busy, .. } = cache;
                session.line(&format!(
                    "{asked} questions: {hits} answered from it, {joined} joined others, {failed} failed, {busy} were too many"
                ))
            }
            Self::Flush => {
                let path = "/v1/dns/cache";
                let answer: Value = session.client.delete(path).await?;
                if session.wants_data() {
                    return session.data(&answer);
                }
                let DnsFlushed { flushed } = read(path, &answer)?;
                session.line(&format!("{flushed} answers forgotten"))
            }
        }
    }
}

impl Query {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let path = "/v1/dns/query";
        let request = DnsQuery { name: self.name, kind: self.kind, network: self.network, port: self.from };
        let answer: Value = session.client.post(path, &request).await?;
        if session.wants_data() {
            return session.data(&answer);
        }
        let answer: DnsAnswer = read(path, &answer)?;
        for record in &answer.answers {
            let line = format!("{} {} {} {}", record.name, record.ttl, record.kind, record.data);
            session.line(&printable(&line))?;
        }
        let knew = match answer.source.as_str() {
            "names" => "known here".into(),
            "cache" => "from the cache".into(),
            "nobody" => "no server answered".into(),
            server => format!("from {server}"),
        };
        session.line(&format!("{}, {knew}, {:.1} ms", printable(&answer.status), answer.milliseconds))
    }
}

fn name(row: &DnsName) -> Vec<String> {
    let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
    let short = super::table::short(&row.endpoint);
    vec![row.network.clone(), row.name.clone(), addresses.join(", "), row.host.clone(), short]
}

fn upstream(row: &DnsUpstream) -> Vec<String> {
    vec![
        row.address.to_string(),
        row.state.clone(),
        row.last_rtt_ms.map(|rtt| format!("{rtt:.1} ms")).unwrap_or_default(),
        row.asked.to_string(),
        row.answered.to_string(),
        row.missed.to_string(),
    ]
}
