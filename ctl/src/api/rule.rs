//! Rules in words over HTTP: listed with those that a text has loaded, added, removed, moved.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};

use super::server::{query, to_the_end};
use super::{Error, body};
use crate::control::Control;

type App = State<Arc<Control>>;

/// `POST /v1/rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AddRule {
    /// A network; none: all networks of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Where packets come from: an address, a subnet, a sandbox's name or alias, `label=KEY[=VALUE]`, `outside`, `host`, `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where they go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `tcp`, `udp`, `icmp`; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// Ports and ranges (`8000-8080`) of the destination, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dport: Option<String>,
    /// Before the rule with this number, counted from 1; none: behind all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// `allow`, `deny` or `reject`.
    pub action: String,
}

/// `POST /v1/rules/{position}/move`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MoveRule {
    /// A network; none: all networks of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The number that the rule has then.
    pub to: usize,
}

/// A row of `GET /v1/rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuleRow {
    /// Its number; none: it stands behind, in FORWARD, and came with a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// `ipv4`, `ipv6`: where it is in effect.
    pub families: Vec<String>,
    /// In words, or as `filter save` prints it; or the policy of a network that denies.
    pub rule: String,
    /// Names that nobody has here now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Packets that it has matched.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
}

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/v1/rules", get(list).post(add))
        .route("/v1/rules/{position}", delete(remove))
        .route("/v1/rules/{position}/move", post(shift))
}

async fn list(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.rules(network(text)?).await?))
}

async fn add(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    let row = to_the_end(async move { control.add_rule(ask).await }).await?;
    Ok((StatusCode::CREATED, Json(row)))
}

async fn remove(
    State(control): App,
    Path(at): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<impl IntoResponse, Error> {
    let (at, network) = (position(&at)?, network(text)?);
    to_the_end(async move { control.remove_rule(network, at).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shift(State(control): App, Path(at): Path<String>, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let at = position(&at)?;
    let MoveRule { network, to } = body::read(&bytes)?;
    to_the_end(async move { control.move_rule(network, at, to).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn network(text: Option<String>) -> Result<Option<String>, Error> {
    query(text.as_deref().unwrap_or_default(), "network")
}

fn position(text: &str) -> Result<usize, Error> {
    let refused = || Error::invalid("request", format!("{text:?} is not a rule's number"), "see `vsctl rule ls`");
    text.parse().map_err(|_| refused())
}
