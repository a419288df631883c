//! Names over HTTP: who is called what, whom others are asked for, and asking.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::server::query;
use super::{Error, body};
use crate::control::Control;

type App = State<Arc<Control>>;

/// A row of `GET /v1/dns`: a name of an endpoint. In other networks of its sandbox it is also known as `name.network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsName {
    /// The network's name.
    pub network: String,
    /// The name.
    pub name: String,
    /// What it leads to.
    pub addresses: Vec<IpAddr>,
    /// The host that the endpoint is on.
    pub host: String,
    /// The endpoint's id, 64 hex digits.
    pub endpoint: String,
}

/// A row of `GET /v1/dns/upstreams`: a server that is asked for other names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsUpstream {
    /// Where it is.
    pub address: SocketAddr,
    /// `up`, or `silent`: it is passed over while another one answers.
    pub state: String,
    /// How long its last answer took; none: it gave none yet.
    pub last_rtt_ms: Option<f64>,
    /// Messages to it.
    pub asked: u64,
    /// Messages from it.
    pub answered: u64,
    /// Times that it was silent, or could not be reached.
    pub missed: u64,
}

/// `GET /v1/dns/cache`: answers of others that are kept, and how many questions they saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsCache {
    /// Answers.
    pub entries: usize,
    /// Bytes of memory.
    pub bytes: usize,
    /// Questions for other names.
    pub asked: u64,
    /// Those that were answered from here.
    pub hits: u64,
    /// Those that waited for the answer to an equal one.
    pub joined: u64,
    /// Those that nobody could answer.
    pub failed: u64,
    /// Those that were too many at once.
    pub busy: u64,
}

/// `DELETE /v1/dns/cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsFlushed {
    /// Answers that were forgotten.
    pub flushed: usize,
}

/// `POST /v1/dns/query`. With neither port nor network the servers of the outside are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DnsQuery {
    /// A name, or an address whose name is wanted.
    pub name: String,
    /// Such as `A`, `AAAA`, `SRV` or `TYPE65`; none: `A`, and `PTR` for an address.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// As somebody who is in this network alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// As this sandbox: its NAME or container id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// What came of a [`DnsQuery`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsAnswer {
    /// `NOERROR`, `NXDOMAIN`, `REFUSED` and so on.
    pub status: String,
    /// Who knew: `names` (the switch), `cache`, a server's address, or `nobody`.
    pub source: String,
    /// How long it took.
    pub milliseconds: f64,
    /// The records of the answer.
    pub answers: Vec<DnsRecord>,
}

/// A record in [`DnsAnswer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsRecord {
    /// Whose it is.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// What it says; of types that are not known here, `\# length hex` (RFC 3597).
    pub data: String,
}

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/v1/dns", get(list))
        .route("/v1/dns/upstreams", get(upstreams))
        .route("/v1/dns/cache", get(cache).delete(flush))
        .route("/v1/dns/query", post(ask))
}

async fn list(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let network = query(text.as_deref().unwrap_or_default(), "network")?;
    Ok(Json(control.names(network.as_deref()).await?))
}

async fn upstreams(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.dns_upstreams().await?))
}

async fn cache(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.dns_cache().await?))
}

async fn flush(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.flush_dns().await?))
}

async fn ask(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.dns_query(body::read(&bytes)?).await?))
}
