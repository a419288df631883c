//! `vsctl network prune`: what nothing uses goes, after a question.

use std::io;

use clap::Args;

use super::filter::{Prunable, is_prunable};
use super::is_predefined;
use crate::api::Network;
use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::table::printable;
use crate::client::segment;

/// What a network in use, or one that just got used, is refused with.
const IN_USE: u16 = 409;

const EXAMPLES: &str = "\
Examples:
  vsctl network prune
  vsctl network prune -f --filter until=24h
  vsctl network prune --filter label!=keep";

/// Remove all networks that nothing is connected to
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those created before a time (until=24h, until=2026-11-21T12:00:00Z), or with or without a label
    /// (label=KEY[=VALUE], label!=KEY[=VALUE])
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Prunable>,
}

impl Prune {
    /// Removes every network of the user's that has no endpoint on any host, and prints their names.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        session.expect_names()?;
        if !self.force && !confirmed(session)? {
            return Ok(());
        }
        let networks: Vec<Network> = session.client.get("/v1/networks").await?;
        let mut outcome = Ok(());
        let mut removed = Vec::new();
        for network in networks {
            if is_predefined(&network.name) || network.endpoints > 0 || !is_prunable(&self.filters, &network) {
                continue;
            }
            match session.client.delete::<()>(&format!("/v1/networks/{}", segment(&network.id))).await {
                Ok(()) => removed.push(network.name),
                // Used by a host whose endpoints are not known here, or removed meanwhile: nothing to prune.
                Err(error) if error.status() == Some(IN_USE) || error.is_not_found() => {}
                Err(error) => {
                    if !session.survives(error.into(), &mut outcome) {
                        break;
                    }
                }
            }
        }
        if session.wants_data() {
            session.data(&removed)?;
        } else if !removed.is_empty() {
            session.line("Deleted Networks:")?;
            removed.iter().try_for_each(|name| session.line(&printable(name)))?;
        }
        outcome
    }
}

/// Asks; anything but yes is no. Where standard input has no answer, as in most scripts, it is said how to do without.
fn confirmed(session: &mut Session<'_>) -> Result<bool, Error> {
    session.say("WARNING! This will remove all custom networks not used by at least one container.");
    session.say("Are you sure you want to continue? [y/N]");
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer)? == 0 {
        return Err(Error::Usage {
            error: "network prune: nobody answered whether to continue; nothing was removed".into(),
            remedy: "give -f to prune without being asked".into(),
        });
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
