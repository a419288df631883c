//! `vsctl peers`: which VTEPs take part in a network, and those set by hand.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::error::Error;
use super::session::Session;
use crate::api::{PeerRow, StaticPeer};
use crate::client::segment;

const EXAMPLES: &str = "\
Examples:
  vsctl peers
  vsctl peers add RED 192.168.0.9
  vsctl peers rm RED 192.168.0.9";

/// VTEPs that hear a network's broadcasts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Peers {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the peers (what `peers` alone does)
    #[command(visible_alias = "list")]
    Ls,
    /// Add a VTEP that is none of our hosts, such as a Linux vxlan device
    #[command(after_help = EXAMPLES)]
    Add(Peer),
    /// Remove a VTEP that was added by hand
    #[command(visible_alias = "remove", after_help = EXAMPLES)]
    Rm(Peer),
}

#[derive(Debug, Args)]
struct Peer {
    /// The network: name, ID, or unique prefix of an ID
    network: String,
    /// The VXLAN address
    vtep: IpAddr,
}

impl Peers {
    /// Lists, adds or removes.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self.command {
            None | Some(Command::Ls) => {
                let headers = ["NETWORK", "VTEP", "HOST", "KIND", "ENDPOINTS"];
                session.list("/v1/peers", &headers, |rows| rows.sort_by(by_network), row).await
            }
            Some(Command::Add(Peer { network, vtep })) => {
                let answer: Value = session.client.post("/v1/peers", &StaticPeer { network, vtep }).await?;
                session.changed(&answer)
            }
            Some(Command::Rm(Peer { network, vtep })) => {
                let path = format!("/v1/peers/{}/{}", segment(&network), segment(&vtep.to_string()));
                Ok(session.client.delete(&path).await?)
            }
        }
    }
}

fn by_network(a: &PeerRow, b: &PeerRow) -> std::cmp::Ordering {
    (&a.network, a.vtep).cmp(&(&b.network, b.vtep))
}

fn row(peer: &PeerRow) -> Vec<String> {
    vec![
        peer.network.clone(),
        peer.vtep.to_string(),
        peer.host.clone().unwrap_or_default(),
        peer.kind.clone(),
        peer.endpoints.to_string(),
    ]
}
