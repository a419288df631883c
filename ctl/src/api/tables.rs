//! The switch's tables over HTTP, and the two that an operator may add to.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get};
use wire::Mac;

use super::server::to_the_end;
use super::{Error, body};
use crate::control::Control;

type App = State<Arc<Control>>;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/v1/show", get(show))
        .route("/v1/fdb", get(fdb).post(add_fdb))
        .route("/v1/fdb/{network}/{mac}", delete(remove_fdb))
        .route("/v1/neigh", get(neighbours))
        .route("/v1/peers", get(peers).post(add_peer))
        .route("/v1/peers/{network}/{vtep}", delete(remove_peer))
        .route("/v1/drops", get(drops))
        .route("/v1/flows", get(flows))
        .route("/v1/events", get(events))
        .route("/v1/uplink", get(uplink))
}

async fn show(State(control): App) -> impl IntoResponse {
    Json(control.show().await)
}

async fn fdb(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.fdb().await?))
}

async fn add_fdb(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    to_the_end(async move { control.add_fdb(ask).await }).await?;
    Ok(StatusCode::CREATED)
}

async fn remove_fdb(
    State(control): App,
    Path((network, mac)): Path<(String, String)>,
) -> Result<impl IntoResponse, Error> {
    let mac: Mac = mac
        .parse()
        .map_err(|error: wire::ParseMacError| Error::invalid("request", error.to_string(), "see `vsctl fdb`"))?;
    to_the_end(async move { control.remove_fdb(&network, mac).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn neighbours(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.neighbours().await?))
}

async fn peers(State(control): App) -> impl IntoResponse {
    Json(control.peers())
}

async fn add_peer(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    to_the_end(async move { control.add_peer(ask).await }).await?;
    Ok(StatusCode::CREATED)
}

async fn remove_peer(
    State(control): App,
    Path((network, vtep)): Path<(String, String)>,
) -> Result<impl IntoResponse, Error> {
    let vtep: IpAddr = vtep
        .parse()
        .map_err(|_| Error::invalid("request", format!("{vtep:?} is not an IP address"), "see `vsctl peers`"))?;
    to_the_end(async move { control.remove_peer(&network, vtep).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn drops(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.drops().await?))
}

async fn flows(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.flows().await?))
}

async fn uplink(State(control): App) -> impl IntoResponse {
    Json(control.uplink())
}

async fn events(State(control): App) -> impl IntoResponse {
    Json(control.events())
}
