//! Published ports over HTTP.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get};
use serde::{Deserialize, Serialize};

use super::server::{queries, query, to_the_end};
use super::{Error, body};
use crate::control::Control;
use crate::publish::Protocol;

type App = State<Arc<Control>>;

/// `POST /v1/publish`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PublishPorts {
    /// The sandbox's NAME or container id.
    pub name: String,
    /// `[[IP:]HOSTPORT[-END]:]PORT[-END][/tcp|/udp]` each; all are published or none.
    pub publish: Vec<String>,
    /// The network whose endpoint gets the traffic; none: the sandbox's oldest endpoint that leads outside, and when
    /// that goes, the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// A row of `GET /v1/publish`: one rule, whatever the length of its range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Published {
    /// Unique on this host.
    pub id: u32,
    /// The sandbox's NAME.
    pub name: String,
    /// The name of the network that it leads to.
    pub network: Option<String>,
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// Of the host; `0.0.0.0` and `::` stand for all.
    pub addresses: Vec<IpAddr>,
    /// First port of the host.
    pub host_port: u16,
    /// Last port of the host.
    pub host_port_end: u16,
    /// First port of the container.
    pub port: u16,
    /// Last port of the container.
    pub port_end: u16,
    /// The same as text, with the ports as chosen.
    pub spec: String,
    /// `up`; `waiting`: no endpoint that leads outside; `failed`: somebody else has the port.
    pub state: String,
    /// Why it is not `up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/v1/publish", get(list).post(add).delete(remove_of)).route("/v1/publish/{id}", delete(remove))
}

async fn list(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let name = query(text.as_deref().unwrap_or_default(), "name")?;
    Ok(Json(control.published(name.as_deref())?))
}

async fn add(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    let made = to_the_end(async move { control.publish(ask).await }).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn remove(State(control): App, Path(id): Path<String>) -> Result<impl IntoResponse, Error> {
    let why = || Error::invalid("request", format!("{id:?} is not a publication's number"), "see `vsctl publish ls`");
    let id: u32 = id.parse().map_err(|_| why())?;
    to_the_end(async move { control.unpublish(id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_of(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let (mut name, mut spec) = (None, None);
    for (key, value) in queries(text.as_deref().unwrap_or_default(), &["name", "spec"])? {
        *(if key == "name" { &mut name } else { &mut spec }) = Some(value);
    }
    let name = name.ok_or_else(|| Error::invalid("request", "whose publications is not said", "give name=NAME"))?;
    to_the_end(async move { control.unpublish_of(&name, spec.as_deref()).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
