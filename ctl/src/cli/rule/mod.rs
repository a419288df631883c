//! `vsctl rule`: rules in words, by the names that people have for sandboxes. They are rules of the filter, too, and
//! `vsctl filter save` prints them.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::api::{AddRule, MoveRule, RuleRow};
use crate::cli::error::Error;
use crate::cli::session::{Session, read};
use crate::cli::table::bytes;
use crate::client::segment;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vsctl rule add --network RED --to db --proto tcp --dport 5432 allow
  vsctl rule add --network RED --to db deny
  vsctl rule ls --network RED
  vsctl rule move 2 1 --network RED
  vsctl rule rm 1 --network RED

A packet meets the rules in their order, after those for all networks; the first
that fits decides. WHO is an address, a subnet, the name or alias of a sandbox,
label=KEY[=VALUE] for all sandboxes that have that label, outside, host or any.";

const ADD_EXAMPLES: &str = "\
Examples:
  vsctl rule add --network RED --from web0 --to db allow
  vsctl rule add --to db --proto tcp --dport 5432,6000-6010 allow
  vsctl rule add --network RED --from label=tier=front --to label=tier=db allow
  vsctl rule add --network RED --from outside --to 10.10.10.0/24 reject
  vsctl rule add --from 192.0.2.0/24 deny --position 1

Answers to what is allowed are allowed. What is denied ends even if it was there
before; who is denied to be reached can still reach others.";

const LS_EXAMPLES: &str = "\
Examples:
  vsctl rule ls
  vsctl rule ls --network RED --format json

Rules without a number came with `vsctl filter load`; a packet meets them after
the others.";

/// Rules in words
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a rule behind the others, or at a place among them
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// List rules, those of `vsctl filter load` behind
    #[command(visible_alias = "list", after_help = LS_EXAMPLES)]
    Ls {
        #[command(flatten)]
        of: Of,
    },
    /// Remove a rule
    #[command(visible_alias = "remove", after_help = "Example:\n  vsctl rule rm 2 --network RED")]
    Rm {
        /// Its number in `vsctl rule ls`
        #[arg(value_name = "NUMBER")]
        position: usize,
        #[command(flatten)]
        of: Of,
    },
    /// Give a rule another place
    #[command(after_help = "Example:\n  vsctl rule move 3 1 --network RED")]
    Move {
        /// Its number in `vsctl rule ls`
        #[arg(value_name = "NUMBER")]
        position: usize,
        /// The number that it has then
        to: usize,
        #[command(flatten)]
        of: Of,
    },
}

/// Whose rules.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Of this network: name, ID, or unique prefix of an ID [default: of all networks of this host]
    #[arg(long)]
    network: Option<String>,
}

/// A rule.
#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    of: Of,
    /// Where packets come from [default: any]
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// Where they go [default: any]
    #[arg(long, value_name = "WHO")]
    to: Option<String>,
    /// tcp, udp or icmp [default: any]
    #[arg(long)]
    proto: Option<String>,
    /// Ports of the destination, and ranges of them
    #[arg(long, value_name = "PORT[-PORT],...")]
    dport: Option<String>,
    /// The number that it gets [default: the last]
    #[arg(long, value_name = "NUMBER")]
    position: Option<usize>,
    /// What becomes of such packets
    action: Action,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    Allow,
    Deny,
    Reject,
}

impl Of {
    fn path(&self, path: &str) -> String {
        match &self.network {
            Some(network) => format!("{path}?network={}", segment(network)),
            None => path.to_owned(),
        }
    }
}

impl Command {
    /// Tells names that nobody has: they may be meant for later, or be a slip.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Command::Add(Add { of, from, to, proto, dport, position, action }) => {
                let action = match action {
                    Action::Allow => "allow",
                    Action::Deny => "deny",
                    Action::Reject => "reject",
                };
                let (network, action) = (of.network, action.to_owned());
                let ask = AddRule { network, from, to, proto, dport, position, action };
                session.expect::<RuleRow>()?;
                let path = "/v1/rules";
                let answer: Value = session.client.post(path, &ask).await?;
                let row: RuleRow = read(path, &answer)?;
                for name in row.unknown {
                    session.say(&format!("warning: nobody is {name} here yet; until then the rule does nothing"));
                }
                session.changed(&answer)
            }
            Command::Ls { of } => {
                let headers = ["NUMBER", "RULE", "FAMILIES", "PACKETS", "BYTES"];
                session.list(&of.path("/v1/rules"), &headers, |_: &mut Vec<RuleRow>| (), row).await
            }
            Command::Rm { position, of } => {
                Ok(session.client.delete(&of.path(&format!("/v1/rules/{position}"))).await?)
            }
            Command::Move { position, to, of } => {
                let ask = MoveRule { network: of.network, to };
                Ok(session.client.post(&format!("/v1/rules/{position}/move"), &ask).await?)
            }
        }
    }
}

fn row(row: &RuleRow) -> Vec<String> {
    let unknown = match row.unknown.join(", ") {
        none if none.is_empty() => String::new(),
        names => format!(" (nobody is {names} here)"),
    };
    vec![
        row.position.map(|at| at.to_string()).unwrap_or_default(),
        format!("{}{unknown}", row.rule),
        row.families.join(","),
        row.packets.to_string(),
        bytes(row.bytes),
    ]
}
