//! `vsctl network rm`.

use clap::Args;

use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::client::segment;

/// Remove networks
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl network rm RED\n  vsctl network rm RED BLUE")]
pub(crate) struct Remove {
    /// Networks that are not there are no failure
    #[arg(short, long)]
    force: bool,
    /// Names, IDs, or unique prefixes of IDs
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
}

impl Remove {
    /// Removes each, and prints the names of those that are gone (as JSON, an array of them).
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        session.expect_names()?;
        let mut outcome = Ok(());
        let mut removed = Vec::new();
        for network in self.networks {
            let path = format!("/v1/networks/{}", segment(&network));
            match session.client.delete::<()>(&path).await {
                Ok(()) if session.wants_data() => removed.push(network),
                Ok(()) => session.line(&network)?,
                Err(error) if self.force && error.is_not_found() => {}
                Err(error) => {
                    if !session.survives(error.into(), &mut outcome) {
                        break;
                    }
                }
            }
        }
        if session.wants_data() {
            session.data(&removed)?;
        }
        outcome
    }
}
