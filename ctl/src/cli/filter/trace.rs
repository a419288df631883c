//! `vsctl filter trace`: what the rules would do to a packet, and which rule decides.

use std::net::IpAddr;

use clap::Args;
use serde_json::Value;
use wire::Mac;

use super::Of;
use crate::api::{TracePacket, TraceStep, Traced};
use crate::cli::error::Error;
use crate::cli::session::{Session, read};
use crate::cli::table::Table;

const EXAMPLES: &str = "\
Examples:
  vsctl filter trace --in web0 --out uplink --dst 192.0.2.7
  vsctl filter trace --in uplink --out web0 --src 192.0.2.7 --dport 8080
  vsctl filter trace -6 --network RED --in web0 --out db --proto icmpv6
  vsctl filter trace --in web0 --dst 10.10.10.1 --proto udp --dport 53

Without --network the packet meets the rules of the network of the sandbox where
it comes in, or else goes out. Without --out it is for the gateway itself,
without --in the gateway sends it. Nothing is sent or counted; limits are as if
nothing had passed.";

/// Show which rules a packet would match, and what would become of it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Trace {
    #[command(flatten)]
    of: Of,
    /// Where it comes in: a sandbox's name, uplink, vsw0, tunnel
    #[arg(long = "in", value_name = "NAME")]
    input: Option<String>,
    /// Where it goes out
    #[arg(long = "out", value_name = "NAME")]
    output: Option<String>,
    /// Its source [default: the address of the sandbox where it comes in]
    #[arg(long, value_name = "IP")]
    src: Option<IpAddr>,
    /// Its destination [default: the address of the sandbox where it goes out]
    #[arg(long, value_name = "IP")]
    dst: Option<IpAddr>,
    /// tcp, udp, icmp, icmpv6, another name that rules know, or a number [default: tcp]
    #[arg(long)]
    proto: Option<String>,
    /// Source port [default: 40000]
    #[arg(long, value_name = "PORT")]
    sport: Option<u16>,
    /// Destination port [default: 80]
    #[arg(long, value_name = "PORT")]
    dport: Option<u16>,
    /// As in rules: a name, or TYPE/CODE [default: echo-request]
    #[arg(long, value_name = "TYPE")]
    icmp_type: Option<String>,
    /// TCP flags that are set, separated by commas [default: SYN with the state NEW, else ACK]
    #[arg(long)]
    flags: Option<String>,
    /// NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED [default: NEW]
    #[arg(long)]
    state: Option<String>,
    /// Its mark
    #[arg(long, value_parser = number)]
    mark: Option<u32>,
    /// The mark of its connection
    #[arg(long, value_name = "MARK", value_parser = number)]
    connmark: Option<u32>,
    /// Bytes of the IP packet
    #[arg(long, value_name = "BYTES")]
    length: Option<u16>,
    /// Time to live, or hop limit [default: 64]
    #[arg(long)]
    ttl: Option<u8>,
    /// Type of service, or traffic class
    #[arg(long)]
    tos: Option<u8>,
    /// The sender's MAC address
    #[arg(long)]
    mac: Option<Mac>,
}

/// Decimal, or hexadecimal behind `0x`, as rules have marks.
fn number(text: &str) -> Result<u32, String> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| "expected a number such as 7 or 0x7".into())
}

impl Trace {
    /// Prints every rule that matched, and the verdict.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let path = "/v1/filter/trace";
        let ask = TracePacket {
            network: self.of.network,
            ipv6: self.of.ipv6,
            input: self.input,
            output: self.output,
            src: self.src,
            dst: self.dst,
            proto: self.proto,
            sport: self.sport,
            dport: self.dport,
            icmp_type: self.icmp_type,
            flags: self.flags,
            state: self.state,
            mark: self.mark,
            connmark: self.connmark,
            length: self.length,
            ttl: self.ttl,
            tos: self.tos,
            mac: self.mac,
        };
        let answer: Value = session.client.post(path, &ask).await?;
        if session.wants_data() {
            return session.data(&answer);
        }
        let Traced { packet, steps, verdict } = read(path, &answer)?;
        session.line(&packet)?;
        let mut table = Table::new(&["HOOK", "TABLE", "NETWORK", "RULE"]);
        steps.iter().for_each(|step| table.row(row(step)));
        if !steps.is_empty() {
            session.table(&table, 0)?;
        }
        session.line(&format!("verdict: {verdict}"))
    }
}

fn row(step: &TraceStep) -> Vec<String> {
    let did = step.did.as_ref().map(|did| format!(" ({did})")).unwrap_or_default();
    vec![
        step.hook.clone(),
        step.table.clone(),
        step.network.clone().unwrap_or_else(|| "(all)".into()),
        format!("{}{did}", step.rule),
    ]
}
