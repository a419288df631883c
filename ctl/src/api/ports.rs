//! Endpoints of this host over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use super::server::{queries, query, to_the_end};
use super::{Error, body};
use crate::control::Control;

type App = State<Arc<Control>>;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/v1/ports", get(list).post(add)).route("/v1/ports/{name}", get(of).patch(set).delete(remove))
}

async fn list(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.ports(None).await?))
}

async fn of(State(control): App, Path(name): Path<String>) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.ports(Some(&name)).await?))
}

async fn add(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    let port = to_the_end(async move { control.add_port(ask).await }).await?;
    Ok((StatusCode::CREATED, Json(port)))
}

async fn set(
    State(control): App,
    Path(name): Path<String>,
    RawQuery(text): RawQuery,
    bytes: Bytes,
) -> Result<impl IntoResponse, Error> {
    let network = query(text.as_deref().unwrap_or_default(), "network")?.ok_or_else(|| {
        Error::invalid(format!("port {name}"), "the network is wanted", "say which: `?network=NETWORK`")
    })?;
    let change = body::read(&bytes)?;
    Ok(Json(to_the_end(async move { control.set_port(&name, &network, change).await }).await?))
}

async fn remove(
    State(control): App,
    Path(name): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<impl IntoResponse, Error> {
    let (mut network, mut ifname) = (None, None);
    for (key, value) in queries(text.as_deref().unwrap_or_default(), &["network", "ifname"])? {
        *(if key == "network" { &mut network } else { &mut ifname }) = Some(value);
    }
    to_the_end(async move { control.remove_links(&name, network.as_deref(), ifname.as_deref()).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
