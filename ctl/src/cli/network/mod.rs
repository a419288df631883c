//! `vsctl network`: docker's verbs for networks.

mod connect;
mod create;
mod docker;
mod filter;
mod inspect;
mod list;
mod plan;
mod prune;
mod remove;
mod until;

use clap::Subcommand;

use super::error::Error;
use super::session::Session;

pub(crate) use connect::{Connect, Disconnect};

const EXAMPLES: &str = "\
Examples:
  vsctl network create -d overlay --subnet 10.10.10.0/24 RED
  vsctl network ls
  vsctl network inspect RED
  vsctl network rm RED";

/// Create, list, inspect, remove, join and leave networks
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Create a network and print its ID
    Create(create::Create),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Show everything about networks, as docker does
    Inspect(inspect::Inspect),
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm(remove::Remove),
    /// Connect a sandbox to one more network
    Connect(Connect),
    /// Disconnect a sandbox from a network
    Disconnect(Disconnect),
    /// Remove all networks that nothing is connected to
    Prune(prune::Prune),
}

impl Command {
    /// Runs the verb.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::Ls(command) => command.run(session).await,
            Self::Inspect(command) => command.run(session).await,
            Self::Rm(command) => command.run(session).await,
            Self::Connect(command) => command.run(session).await,
            Self::Disconnect(command) => command.run(session).await,
            Self::Prune(command) => command.run(session).await,
        }
    }
}

/// Whether a network exists from the start and cannot be removed.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none")
}
