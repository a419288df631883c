//! `vsctl flows`: what the flow cache holds. Fields that an answer lacks are shown as absent.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;
use super::session::Session;
use super::table::{bytes, seconds};

/// Cached flows
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl flows\n  vsctl flows --format json")]
pub(crate) struct Flows {}

/// What is shown of a row of `GET /v1/flows`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Flow {
    network: Option<String>,
    src_mac: String,
    dst_mac: String,
    ether_type: u16,
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    protocol: u8,
    src_port: u16,
    dst_port: u16,
    /// A sandbox's name, or the engine's number of the port.
    to_port: Value,
    to_vtep: Option<IpAddr>,
    frames: u64,
    bytes: u64,
    idle_seconds: u64,
}

impl Flows {
    /// Lists them, the busiest first.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let headers = ["NETWORK", "SOURCE", "DESTINATION", "PROTOCOL", "TO", "FRAMES", "BYTES", "IDLE"];
        let sort = |rows: &mut Vec<Flow>| rows.sort_by_key(|flow| std::cmp::Reverse(flow.bytes));
        session.list("/v1/flows", &headers, sort, row).await
    }
}

fn row(flow: &Flow) -> Vec<String> {
    vec![
        flow.network.clone().unwrap_or_default(),
        end(flow.src, flow.src_port, &flow.src_mac),
        end(flow.dst, flow.dst_port, &flow.dst_mac),
        protocol(flow),
        place(flow),
        flow.frames.to_string(),
        bytes(flow.bytes),
        seconds(flow.idle_seconds),
    ]
}

/// One end of a flow: address and port, address, or MAC address, whatever there is.
fn end(address: Option<IpAddr>, port: u16, mac: &str) -> String {
    match address {
        None => mac.to_owned(),
        Some(address) if port == 0 => address.to_string(),
        Some(address) => SocketAddr::new(address, port).to_string(),
    }
}

fn protocol(flow: &Flow) -> String {
    if flow.src.is_none() && flow.dst.is_none() {
        return format!("0x{:04x}", flow.ether_type);
    }
    match flow.protocol {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        other => other.to_string(),
    }
}

fn place(flow: &Flow) -> String {
    match (&flow.to_vtep, &flow.to_port) {
        (Some(vtep), _) => format!("vtep {vtep}"),
        (None, Value::String(name)) => name.clone(),
        (None, Value::Number(number)) => format!("port {number}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_shows_what_it_has() {
        let tcp: Flow = serde_json::from_str(
            r#"{"src_mac":"02:42:0a:0a:0a:02","dst_mac":"02:42:0a:0a:0a:03","ether_type":34525,"src":"fd00::2",
                "dst":"fd00::3","protocol":6,"src_port":40000,"dst_port":80,"to_port":null,"to_vtep":"192.168.0.2",
                "frames":3,"bytes":4096,"idle_seconds":61,"new_field":1}"#,
        )
        .unwrap();
        assert_eq!(
            row(&tcp),
            ["", "[fd00::2]:40000", "[fd00::3]:80", "tcp", "vtep 192.168.0.2", "3", "4.1 kB", "1m 1s"],
        );
        let arp = Flow { src_mac: "a".into(), dst_mac: "b".into(), ether_type: 0x0806, to_port: 7.into(), ..tcp };
        let arp = Flow { src: None, dst: None, to_vtep: None, ..arp };
        assert_eq!(row(&arp)[1..5], ["a", "b", "0x0806", "port 7"]);
    }
}
