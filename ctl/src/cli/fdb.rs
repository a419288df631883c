//! `vsctl fdb`: the stations of all networks, and entries set by hand.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde_json::Value;
use wire::Mac;

use super::error::Error;
use super::session::Session;
use super::table::seconds;
use crate::api::{self, StaticFdb};
use crate::client::segment;

const EXAMPLES: &str = "\
Examples:
  vsctl fdb
  vsctl fdb add RED 02:42:0a:0a:0a:63 --vtep 192.168.0.9
  vsctl fdb rm RED 02:42:0a:0a:0a:63";

/// Stations: which MAC address is behind which port or VTEP
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Fdb {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the stations (what `fdb` alone does)
    #[command(visible_alias = "list")]
    Ls,
    /// Set a station's place by hand; it does not age and survives restarts
    #[command(after_help = EXAMPLES)]
    Add(Add),
    /// Remove an entry set by hand
    #[command(visible_alias = "remove", after_help = EXAMPLES)]
    Rm {
        /// The network: name, ID, or unique prefix of an ID
        network: String,
        /// The station
        mac: Mac,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// The network: name, ID, or unique prefix of an ID
    network: String,
    /// The station
    mac: Mac,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The sandbox on this host behind which it is
    #[arg(long, value_name = "NAME")]
    port: Option<String>,
    /// The VXLAN address behind which it is
    #[arg(long, value_name = "IP")]
    vtep: Option<IpAddr>,
}

impl Fdb {
    /// Lists, adds or removes.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self.command {
            None | Some(Command::Ls) => {
                let headers = ["NETWORK", "VLAN", "MAC", "PORT", "VTEP", "KIND", "AGE"];
                session.list("/v1/fdb", &headers, |rows| rows.sort_by(by_network), row).await
            }
            Some(Command::Add(Add { network, mac, place: Place { port, vtep } })) => {
                let answer: Value = session.client.post("/v1/fdb", &StaticFdb { network, mac, port, vtep }).await?;
                session.changed(&answer)
            }
            Some(Command::Rm { network, mac }) => {
                let path = format!("/v1/fdb/{}/{}", segment(&network), segment(&mac.to_string()));
                Ok(session.client.delete(&path).await?)
            }
        }
    }
}

fn by_network(a: &api::Fdb, b: &api::Fdb) -> std::cmp::Ordering {
    (&a.network, a.vlan, a.mac).cmp(&(&b.network, b.vlan, b.mac))
}

fn row(fdb: &api::Fdb) -> Vec<String> {
    vec![
        fdb.network.clone(),
        fdb.vlan.map(|vlan| vlan.to_string()).unwrap_or_default(),
        fdb.mac.to_string(),
        fdb.port.clone().unwrap_or_default(),
        fdb.vtep.map(|vtep| vtep.to_string()).unwrap_or_default(),
        fdb.kind.clone(),
        fdb.age_seconds.map(seconds).unwrap_or_default(),
    ]
}
