//! `vsctl network inspect`: docker's JSON, always an array.

use clap::Args;
use serde_json::Value;

use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::client::{self, segment};

const EXAMPLES: &str = "\
Examples:
  vsctl network inspect RED
  vsctl network inspect RED BLUE | jq '.[].Containers'";

/// Show everything about networks, as docker does
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// Names, IDs, or unique prefixes of IDs
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
}

impl Inspect {
    /// Prints what was found, then tells of each that was not.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let mut found: Vec<Value> = Vec::with_capacity(self.networks.len());
        let mut missing = Vec::new();
        for network in &self.networks {
            match session.client.get(&format!("/v1/networks/{}", segment(network))).await {
                Ok(value) => found.push(value),
                Err(error @ client::Error::Refused { .. }) => missing.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        session.json(&found)?;
        let mut outcome = Ok(());
        for error in missing {
            outcome = Err(session.survive(error.into())?);
        }
        outcome
    }
}
