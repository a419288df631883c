//! `vsctl publish`: ports of a sandbox on the host. Ranges are one line, as they are one rule.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::error::Error;
use super::session::{Session, read};
use crate::api::{PublishPorts, Published};
use crate::client::segment;
use crate::publish::Spec;

const EXAMPLES: &str = "\
Examples:
  vsctl publish web0 8080:80
  vsctl publish web0 80 127.0.0.1:5353:53/udp 7000-7009:8000-8009
  vsctl publish web0 [fd00::1]:8080:80 --network RED
  vsctl publish ls
  vsctl publish rm web0 8080:80

SPEC is [[IP:]HOSTPORT[-END]:]PORT[-END][/tcp|/udp]. Without HOSTPORT one is chosen.";

const LS_EXAMPLES: &str = "\
Examples:
  vsctl publish ls
  vsctl publish ls web0
  vsctl publish ls --format json";

const RM_EXAMPLES: &str = "\
Examples:
  vsctl publish rm web0
  vsctl publish rm web0 8080:80/tcp
  vsctl publish rm web0 7";

/// Publish ports of a sandbox on the host, list them, take them back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Publish {
    #[command(subcommand)]
    command: Option<Command>,
    /// The sandbox's name, or its container's ID
    #[arg(required = true)]
    name: Option<String>,
    /// What to publish; all or nothing
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<Spec>,
    /// The network that leads to the container [default: its oldest that is not internal]
    #[arg(long)]
    network: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the published ports of all sandboxes, or of one
    #[command(visible_alias = "list", after_help = LS_EXAMPLES)]
    Ls {
        /// The sandbox's name, or its container's ID
        name: Option<String>,
    },
    /// Take published ports back: one, or all of a sandbox
    #[command(visible_alias = "remove", after_help = RM_EXAMPLES)]
    Rm {
        /// The sandbox's name, or its container's ID
        name: String,
        /// Only this: as it was published, or as `publish ls` shows it, or its ID there
        #[arg(value_name = "SPEC|ID")]
        which: Option<String>,
    },
}

impl Publish {
    /// Publishes and prints the host's ports; or lists; or takes back.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match (self.command, self.name) {
            (Some(Command::Ls { name }), _) => {
                let headers = ["NAME", "NETWORK", "PROTO", "HOST", "CONTAINER", "STATE", "ID"];
                let sort = |rows: &mut Vec<Published>| rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
                session.list(&of(name.as_deref()), &headers, sort, row).await
            }
            (Some(Command::Rm { name, which }), _) => remove(session, &name, which.as_deref()).await,
            (None, name) => {
                let publish = self.specs.iter().map(ToString::to_string).collect();
                let request = PublishPorts { name: name.unwrap_or_default(), publish, network: self.network };
                session.expect::<Published>()?;
                let path = "/v1/publish";
                let answer: Value = session.client.post(path, &request).await?;
                if session.wants_data() {
                    return session.data(&answer);
                }
                let rows: Vec<Published> = read(path, &answer)?;
                rows.iter().try_for_each(|row| session.line(&mapping(row)))
            }
        }
    }
}

/// A number is a publication where the sandbox has one of that number; else it is a port.
async fn remove(session: &mut Session<'_>, name: &str, which: Option<&str>) -> Result<(), Error> {
    if let Some(id) = which.and_then(|which| which.parse::<u32>().ok()) {
        let rows: Vec<Published> = session.client.get(&of(Some(name))).await?;
        if rows.iter().any(|row| row.id == id) {
            return Ok(session.client.delete(&format!("/v1/publish/{id}")).await?);
        }
    }
    let mut path = of(Some(name));
    if let Some(spec) = which {
        path.push_str("&spec=");
        path.push_str(&segment(spec));
    }
    Ok(session.client.delete(&path).await?)
}

/// The path of all publications, or of a sandbox's.
fn of(name: Option<&str>) -> String {
    name.map_or_else(|| "/v1/publish".into(), |name| format!("/v1/publish?name={}", segment(name)))
}

/// As `docker port` has it: `80/tcp -> 0.0.0.0:8080, [::]:8080`.
pub(crate) fn mapping(row: &Published) -> String {
    format!("{}/{} -> {}", ports(row.port, row.port_end), row.protocol, host(row))
}

fn row(row: &Published) -> Vec<String> {
    let state = match &row.reason {
        Some(reason) => format!("{}: {reason}", row.state),
        None => row.state.clone(),
    };
    vec![
        row.name.clone(),
        row.network.clone().unwrap_or_default(),
        row.protocol.to_string(),
        host(row),
        ports(row.port, row.port_end),
        state,
        row.id.to_string(),
    ]
}

fn host(row: &Published) -> String {
    let end = if row.host_port == row.host_port_end { String::new() } else { format!("-{}", row.host_port_end) };
    let places = row.addresses.iter().map(|address| format!("{}{end}", SocketAddr::new(*address, row.host_port)));
    places.collect::<Vec<_>>().join(", ")
}

fn ports(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
