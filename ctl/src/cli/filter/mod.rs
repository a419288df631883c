//! `vsctl filter`: rules as people have them in files, for all networks or for one. The text goes as it is: what it means
//! is vswitchd's to say.

mod trace;

use std::io::Read as _;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::api::FilterRow;
use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::table::bytes;
use crate::client::segment;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vsctl filter load rules.v4
  vsctl filter load -6 rules.v6 --network RED
  iptables-save | vsctl filter load -
  vsctl filter save --counters > rules.v4
  vsctl filter ls
  vsctl filter trace --in web0 --out uplink --dst 192.0.2.7 --dport 443

Rules without --network are for all networks of this host; a packet meets them
first, then those of its network. Interfaces are sandboxes by name, uplink, vsw0
(the host itself) and tunnel (other hosts).";

const LOAD_EXAMPLES: &str = "\
Examples:
  vsctl filter load rules.v4
  vsctl filter load --test rules.v4
  vsctl filter load --network RED --noflush more-rules.v4
  vsctl filter save -c > saved && vsctl filter load -c saved

The tables that the text names are replaced in one step; a text with an error
changes nothing.

Matches: addrtype comment conntrack connlimit connmark dscp hashlimit hl icmp
icmp6 iprange length limit mac mark multiport rt set state statistic tcp tos ttl
udp.
Targets: ACCEPT CONNMARK CT DNAT DROP DSCP HL LOG MARK MASQUERADE NETMAP NOTRACK
REDIRECT REJECT RETURN SNAT TCPMSS TOS TTL.";

const SAVE_EXAMPLES: &str = "\
Examples:
  vsctl filter save > rules.v4
  vsctl filter save -6 -c --network RED";

const FLUSH_EXAMPLES: &str = "\
Examples:
  vsctl filter flush --network RED
  vsctl filter flush -6";

const LS_EXAMPLES: &str = "\
Examples:
  vsctl filter ls
  vsctl filter ls --format json";

/// Packet filters, in the format of iptables-save
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load rules as iptables-save and ip6tables-save write them
    #[command(after_help = LOAD_EXAMPLES)]
    Load {
        /// The rules; - for standard input
        file: String,
        #[command(flatten)]
        of: Of,
        /// Keep what the tables have, and add to it
        #[arg(short, long)]
        noflush: bool,
        /// Take over the counters of the text
        #[arg(short, long)]
        counters: bool,
        /// Only check the text
        #[arg(short, long)]
        test: bool,
    },
    /// Print the rules, so that they load again
    #[command(after_help = SAVE_EXAMPLES)]
    Save {
        #[command(flatten)]
        of: Of,
        /// With the counters of each rule
        #[arg(short, long)]
        counters: bool,
    },
    /// Take all rules, chains and policies out
    #[command(after_help = FLUSH_EXAMPLES)]
    Flush {
        #[command(flatten)]
        of: Of,
    },
    Trace(Box<trace::Trace>),
    /// List where rules are loaded, how many, and what they have matched
    #[command(visible_alias = "list", after_help = LS_EXAMPLES)]
    Ls,
}

/// Whose rules.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// Of this network: name, ID, or unique prefix of an ID [default: of all networks of this host]
    #[arg(long)]
    network: Option<String>,
    /// For IPv6, as ip6tables has them
    #[arg(short = '6', long)]
    ipv6: bool,
}

impl Of {
    /// The API's path with these and other parameters.
    fn path(&self, flags: &[(&str, bool)]) -> String {
        let mut path = format!("/v1/filter?family={}", if self.ipv6 { "ipv6" } else { "ipv4" });
        if let Some(network) = &self.network {
            path.push_str("&network=");
            path.push_str(&segment(network));
        }
        for (flag, _) in flags.iter().filter(|(_, set)| *set) {
            path.push_str(&format!("&{flag}=true"));
        }
        path
    }
}

impl Command {
    /// Says nothing where nothing is asked, as iptables-restore.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Command::Load { file, of, noflush, counters, test } => {
                let text = read(file)?;
                let path = of.path(&[("noflush", noflush), ("counters", counters), ("test", test)]);
                let answer: Value = session.client.put_text(&path, text.into()).await?;
                session.changed(&answer)
            }
            Command::Save { of, counters } => {
                let text = session.client.text(&of.path(&[("counters", counters)])).await?;
                session.raw(&text)
            }
            Command::Flush { of } => Ok(session.client.delete(&of.path(&[])).await?),
            Command::Trace(trace) => trace.run(session).await,
            Command::Ls => {
                let headers = ["NETWORK", "FAMILY", "TABLES", "RULES", "PACKETS", "BYTES", "STATE"];
                session.list("/v1/filter/scopes", &headers, |_: &mut Vec<FilterRow>| (), row).await
            }
        }
    }
}

fn read(file: String) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let done = match file.as_str() {
        "-" => std::io::stdin().lock().read_to_end(&mut text).map(drop),
        path => std::fs::read(path).map(|read| text = read),
    };
    match done {
        Ok(()) => Ok(text),
        Err(source) => Err(Error::File { path: if file == "-" { "standard input".into() } else { file }, source }),
    }
}

fn row(row: &FilterRow) -> Vec<String> {
    vec![
        row.network.clone().unwrap_or_else(|| "(all)".into()),
        row.family.clone(),
        row.tables.join(","),
        row.rules.to_string(),
        row.packets.to_string(),
        bytes(row.bytes),
        if row.active { "active" } else { "waiting" }.into(),
    ]
}

#[cfg(test)]
mod tests {
    use nat::rules::{Family, load};

    use super::LOAD_EXAMPLES;

    #[test]
    fn the_matches_and_targets_that_are_named_exist() {
        let list = |title: &str| -> Vec<&str> {
            let (_, rest) = LOAD_EXAMPLES.split_once(title).unwrap();
            rest.split_once('.').unwrap().0.split_whitespace().collect()
        };
        let (matches, targets) = (list("Matches: "), list("Targets: "));
        assert_eq!((matches.len(), targets.len()), (24, 19));
        let known = |option: &str, name: &str| {
            [Family::Ipv4, Family::Ipv6].into_iter().any(|family| {
                let text = format!("*filter\n-A FORWARD {option} {name}\nCOMMIT\n");
                let supported = |reason: &str| !reason.contains("supported") && !reason.contains("no such");
                load(family, &text).map_or_else(|error| supported(&error.reason), |_| true)
            })
        };
        assert!(!known("-m", "time") && !known("-j", "TEE"));
        assert!(matches.iter().all(|name| known("-m", name)) && targets.iter().all(|name| known("-j", name)));
    }
}
