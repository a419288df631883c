//! `vsctl conn`: tracked connections, and their end by hand.

use std::net::{IpAddr, SocketAddr};

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use serde_json::Value;

use super::error::Error;
use super::session::{Session, read};
use super::table::{bytes, seconds};
use crate::api::{self, Flushed};
use crate::client::segment;

const SHOW_EXAMPLES: &str = "\
Examples:
  vsctl conn show
  vsctl conn show --network RED --proto tcp --port 80
  vsctl conn show --src 10.10.10.0/24 --state new --limit 100
  vsctl conn show --format json";

const FLUSH_EXAMPLES: &str = "\
Examples:
  vsctl conn flush --address 192.0.2.7
  vsctl conn flush --network RED --proto udp
  vsctl conn flush";

/// Rows of one answer at the most.
const MOST: usize = 100_000;

/// Tracked connections
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List connections, as both sides see them
    #[command(visible_alias = "ls", after_help = SHOW_EXAMPLES)]
    Show {
        #[command(flatten)]
        filter: Filter,
        /// At most so many: the first in the switch's table, not the busiest
        #[arg(long, value_name = "ROWS", value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST as u64))]
        limit: Option<usize>,
    },
    /// End connections: all, or those that every filter matches; says how many
    #[command(after_help = FLUSH_EXAMPLES)]
    Flush {
        #[command(flatten)]
        filter: Filter,
    },
}

/// Which connections.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// To or from this network: name, ID, or unique prefix of an ID; `outside` for what lies behind the host
    #[arg(long)]
    network: Option<String>,
    /// tcp, udp, icmp, icmpv6, or a number
    #[arg(long, visible_alias = "protocol")]
    proto: Option<String>,
    /// Any end, before or after translation
    #[arg(long, value_name = "IP[/BITS]", value_parser = net)]
    address: Option<IpNet>,
    /// The source before translation
    #[arg(long, value_name = "IP[/BITS]", value_parser = net)]
    src: Option<IpNet>,
    /// The destination before translation
    #[arg(long, value_name = "IP[/BITS]", value_parser = net)]
    dst: Option<IpNet>,
    /// Any port, before or after translation
    #[arg(long)]
    port: Option<u16>,
    /// Whether an answer has come
    #[arg(long, value_enum)]
    state: Option<State>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    New,
    Established,
}

fn net(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().ok().map(IpNet::from);
    address
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "expected an address such as 10.10.10.2 or 10.10.10.0/24".into())
}

impl Filter {
    /// As parameters of the API.
    fn query(self) -> Vec<(&'static str, String)> {
        let state = self.state.map(|state| match state {
            State::New => "new".to_owned(),
            State::Established => "established".to_owned(),
        });
        let text = |net: Option<IpNet>| net.map(|net| net.to_string());
        let given = [
            ("network", self.network),
            ("proto", self.proto),
            ("address", text(self.address)),
            ("src", text(self.src)),
            ("dst", text(self.dst)),
            ("port", self.port.map(|port| port.to_string())),
            ("state", state),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

fn path(query: Vec<(&'static str, String)>) -> String {
    let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", segment(value))).collect();
    if pairs.is_empty() { "/v1/conn".into() } else { format!("/v1/conn?{}", pairs.join("&")) }
}

impl Command {
    /// Lists them, the busiest first; or ends them.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Command::Show { filter, limit } => {
                let mut query = filter.query();
                query.extend(limit.map(|limit| ("limit", limit.to_string())));
                let headers = [
                    "NETWORK",
                    "PROTO",
                    "STATE",
                    "SOURCE",
                    "DESTINATION",
                    "ANSWERS FROM",
                    "ANSWERS TO",
                    "BYTES",
                    "EXPIRES",
                ];
                let traffic = |conn: &api::Conn| conn.original.bytes + conn.reply.bytes;
                let mut count = 0;
                let sort = |rows: &mut Vec<api::Conn>| {
                    count = rows.len();
                    rows.sort_by_key(|conn| std::cmp::Reverse(traffic(conn)));
                };
                session.list(&path(query), &headers, sort, row).await?;
                if limit.is_none() && count == MOST {
                    session.say(&format!("only {MOST} connections are shown: there may be more; give filters"));
                }
                Ok(())
            }
            Command::Flush { filter } => {
                let path = path(filter.query());
                let answer: Value = session.client.delete(&path).await?;
                if session.wants_data() {
                    return session.data(&answer);
                }
                let Flushed { flushed } = read(&path, &answer)?;
                session.line(&format!("{flushed} connection{} ended", if flushed == 1 { "" } else { "s" }))
            }
        }
    }
}

/// The answers' ends are shown where they are not just the other way round.
fn row(conn: &api::Conn) -> Vec<String> {
    let (original, reply) = (&conn.original, &conn.reply);
    // ICMP's queries have an identifier where others have the first side's port, and a type at the other side.
    let is_icmp = conn.protocol.starts_with("icmp");
    let end = |address: IpAddr, port: u16, icmp: &str| match port {
        port if is_icmp => format!("{address} {icmp} {port}"),
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    };
    let source = end(original.src, original.src_port, "id");
    let destination = end(original.dst, original.dst_port, "type");
    let (from, to) = (end(reply.src, reply.src_port, "type"), end(reply.dst, reply.dst_port, "id"));
    let differs = |translated: String, plain: &String| if translated == *plain { String::new() } else { translated };
    vec![
        original.network.clone(),
        conn.protocol.clone(),
        conn.tcp.clone().unwrap_or_else(|| conn.state.clone()),
        source.clone(),
        destination.clone(),
        differs(from, &destination),
        differs(to, &source),
        bytes(original.bytes + reply.bytes),
        seconds(u64::from(conn.timeout_seconds)),
    ]
}
