//! Networks over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};

use super::server::to_the_end;
use super::{Error, body};
use crate::control::Control;

type App = State<Arc<Control>>;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/v1/networks", get(list).post(create))
        .route("/v1/networks/{reference}", get(inspect).delete(remove))
        .route("/v1/networks/{reference}/connect", post(connect))
        .route("/v1/networks/{reference}/disconnect", post(disconnect))
        .route("/v1/leases/{reference}", get(leases))
}

async fn list(State(control): App) -> impl IntoResponse {
    Json(control.networks())
}

async fn create(State(control): App, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    let created = to_the_end(async move { control.create_network(ask).await }).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn inspect(State(control): App, Path(reference): Path<String>) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.inspect(&reference).await?))
}

async fn remove(State(control): App, Path(reference): Path<String>) -> Result<impl IntoResponse, Error> {
    to_the_end(async move { control.remove_network(&reference).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn connect(State(control): App, Path(reference): Path<String>, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    let port = to_the_end(async move { control.connect(&reference, ask).await }).await?;
    Ok((StatusCode::CREATED, Json(port)))
}

async fn disconnect(
    State(control): App,
    Path(reference): Path<String>,
    bytes: Bytes,
) -> Result<impl IntoResponse, Error> {
    let ask = body::read(&bytes)?;
    to_the_end(async move { control.disconnect(&reference, ask).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn leases(State(control): App, Path(reference): Path<String>) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.leases(&reference).await?))
}
