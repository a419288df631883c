//! Tracked connections over HTTP: listed page by page, and ended. The filters of both are the query's parameters.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::get;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Error;
use super::server::{queries, to_the_end};
use crate::control::Control;

type App = State<Arc<Control>>;

/// Rows of a page, unless asked otherwise, and at the most.
const LIMIT: usize = 100_000;
/// Where the next page begins, in the answer's head; absent with the last page.
const NEXT: &str = "x-next";
/// The parameters that pick connections.
const FILTERS: [&str; 8] = ["network", "proto", "address", "src", "dst", "port", "state", "replied"];

/// Which connections: all that every given field matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnFilter {
    /// A network that either direction comes from; `outside` for what lies behind the host.
    pub network: Option<String>,
    /// IP protocol.
    pub protocol: Option<u8>,
    /// Any of the four addresses.
    pub address: Option<IpNet>,
    /// The source, before translation.
    pub src: Option<IpNet>,
    /// The destination, before translation.
    pub dst: Option<IpNet>,
    /// Any of the four ports.
    pub port: Option<u16>,
    /// Whether anything has come back.
    pub replied: Option<bool>,
}

/// A row of `GET /v1/conn`. For an ICMP query one port is the identifier, the other the query's type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Conn {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the number.
    pub protocol: String,
    /// `new` or `established`: what rules see.
    pub state: String,
    /// TCP's own state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// As packets of the first side arrive.
    pub original: Way,
    /// As answers arrive.
    pub reply: Way,
    /// Whether it is never given up for another.
    pub assured: bool,
    /// The number that rules gave it.
    pub mark: u32,
    /// In seconds.
    pub age_seconds: u32,
    /// Until it is forgotten if nothing passes.
    pub timeout_seconds: u32,
    /// Whether its source has a mapping that others may send to.
    pub bound: bool,
}

/// One direction of a [`Conn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Way {
    /// The network that its packets come from; `outside` for what lies behind the host.
    pub network: String,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// A super-frame counts once.
    pub frames: u64,
    /// Ethernet header included.
    pub bytes: u64,
}

/// `DELETE /v1/conn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Flushed {
    /// Connections that were ended.
    pub flushed: usize,
}

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/v1/conn", get(list).delete(flush))
}

async fn list(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let (filter, rest) = filter(text.as_deref().unwrap_or_default(), &["limit", "from"])?;
    let (mut limit, mut from) = (LIMIT, 0);
    for (key, value) in rest {
        match key {
            "limit" => limit = number(key, &value)?,
            _ => from = number(key, &value)?,
        }
    }
    let (rows, next) = control.conns(filter, from, limit.clamp(1, LIMIT)).await?;
    let head: Vec<(&str, String)> = next.map(|next| (NEXT, next.to_string())).into_iter().collect();
    Ok((axum::response::AppendHeaders(head), Json(rows)))
}

async fn flush(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let (filter, _) = filter(text.as_deref().unwrap_or_default(), &[])?;
    let flushed = to_the_end(async move { control.flush_conns(filter).await }).await?;
    Ok(Json(Flushed { flushed }))
}

type Rest = Vec<(&'static str, String)>;

fn filter(text: &str, more: &[&'static str]) -> Result<(ConnFilter, Rest), Error> {
    let known: Vec<&'static str> = FILTERS.iter().chain(more).copied().collect();
    let (mut filter, mut rest) = (ConnFilter::default(), Vec::new());
    for (key, value) in queries(text, &known)? {
        match key {
            "network" => filter.network = Some(value),
            "proto" => filter.protocol = Some(protocol(&value)?),
            "address" => filter.address = Some(net(key, &value)?),
            "src" => filter.src = Some(net(key, &value)?),
            "dst" => filter.dst = Some(net(key, &value)?),
            "port" => filter.port = Some(number(key, &value)?),
            "state" => {
                filter.replied = Some(match value.as_str() {
                    "new" => false,
                    "established" => true,
                    _ => return Err(refused(key, &value, "use new or established")),
                });
            }
            "replied" => {
                filter.replied = Some(value.parse().map_err(|_| refused(key, &value, "use true or false"))?);
            }
            _ => rest.push((key, value)),
        }
    }
    Ok((filter, rest))
}

fn protocol(text: &str) -> Result<u8, Error> {
    use wire::protocol as numbers;
    match text {
        "tcp" => Ok(numbers::TCP),
        "udp" => Ok(numbers::UDP),
        "icmp" => Ok(numbers::ICMP),
        "icmpv6" => Ok(numbers::ICMPV6),
        other => other.parse().map_err(|_| refused("proto", text, "use tcp, udp, icmp, icmpv6 or a number")),
    }
}

fn net(key: &str, text: &str) -> Result<IpNet, Error> {
    let address = text.parse::<IpAddr>().ok().map(IpNet::from);
    address
        .or_else(|| text.parse().ok())
        .ok_or_else(|| refused(key, text, "use an address, or one with a prefix length"))
}

fn number<T: std::str::FromStr>(key: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| refused(key, text, "use a number"))
}

fn refused(key: &str, value: &str, remedy: &str) -> Error {
    Error::invalid("request", format!("{key}: {value:?} makes no sense"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_strictly() {
        let text = "network=RED&proto=tcp&address=10.0.0.0%2F8&src=fd00::1&port=80&state=new&limit=5";
        let (filter, rest) = filter(text, &["limit"]).unwrap();
        assert_eq!((filter.network.as_deref(), filter.protocol, filter.port), (Some("RED"), Some(6), Some(80)));
        assert_eq!(filter.address.unwrap().to_string(), "10.0.0.0/8");
        assert_eq!((filter.src.unwrap().to_string(), filter.replied), ("fd00::1/128".into(), Some(false)));
        assert_eq!(rest, [("limit", "5".to_owned())]);
        for (bad, named) in [
            ("colour=1", "colour"),
            ("limit=1", "limit"),
            ("proto=x", "proto"),
            ("src=1.2.3", "src"),
            ("port=65536", "port"),
            ("state=x", "state"),
            ("replied=1", "replied"),
        ] {
            assert!(super::filter(bad, &[]).unwrap_err().error.contains(named), "{bad}");
        }
    }
}
