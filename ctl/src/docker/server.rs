//! The plugin's socket: which path means which call, and how an answer or a refusal is said. Docker sends no content
//! type and waits without an end, so bodies are read raw and every answer comes within a time.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Plugin;
use super::protocol::{self, Nothing};
use crate::api::{self, Error, Kind, Listener};

/// How long Docker may have to wait for one answer. What was begun is ended all the same, and found by the next try.
const PATIENCE: Duration = Duration::from_secs(15);

/// Largest body, in bytes: each of 65,535 published ports is said by itself.
const BODY: usize = 32 << 20;

/// As Docker names the form of its messages.
const CONTENT: &str = "application/vnd.docker.plugins.v1.2+json";

/// Answers Docker until `end` comes.
///
/// # Errors
/// When the socket breaks.
pub(super) async fn serve(
    listener: Listener,
    plugin: Arc<Plugin>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    api::serve_routes(listener, routes(plugin), end).await
}

/// All calls of both interfaces.
pub(super) fn routes(plugin: Arc<Plugin>) -> Router {
    Router::new()
        .route("/Plugin.Activate", post(async || say(&json!({ "Implements": ["NetworkDriver", "IpamDriver"] }))))
        .route("/IpamDriver.GetCapabilities", on(Plugin::ipam_capabilities))
        .route("/IpamDriver.GetDefaultAddressSpaces", on(Plugin::address_spaces))
        .route("/IpamDriver.RequestPool", on(Plugin::request_pool))
        .route("/IpamDriver.ReleasePool", on(Plugin::release_pool))
        .route("/IpamDriver.RequestAddress", on(Plugin::request_address))
        .route("/IpamDriver.ReleaseAddress", on(Plugin::release_address))
        .route("/NetworkDriver.GetCapabilities", on(Plugin::network_capabilities))
        .route("/NetworkDriver.CreateNetwork", on(Plugin::create_network))
        .route("/NetworkDriver.DeleteNetwork", on(Plugin::delete_network))
        .route("/NetworkDriver.AllocateNetwork", on(Plugin::no_swarm))
        .route("/NetworkDriver.FreeNetwork", on(Plugin::no_swarm))
        .route("/NetworkDriver.CreateEndpoint", on(Plugin::create_endpoint))
        .route("/NetworkDriver.EndpointOperInfo", on(Plugin::endpoint_info))
        .route("/NetworkDriver.DeleteEndpoint", on(Plugin::delete_endpoint))
        .route("/NetworkDriver.Join", on(Plugin::join))
        .route("/NetworkDriver.Leave", on(Plugin::leave))
        .route("/NetworkDriver.ProgramExternalConnectivity", on(Plugin::program_external))
        .route("/NetworkDriver.RevokeExternalConnectivity", on(Plugin::revoke_external))
        .route("/NetworkDriver.DiscoverNew", on(Plugin::discovered))
        .route("/NetworkDriver.DiscoverDelete", on(Plugin::discovered))
        .fallback(async |uri: Uri| refuse(&Error::not_found(format!("method {}", uri.path()), "")))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(plugin)
}

/// One call.
fn on<T, R, F, W>(work: W) -> MethodRouter<Arc<Plugin>>
where
    T: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    F: Future<Output = Result<R, Error>> + Send + 'static,
    W: Fn(Arc<Plugin>, T) -> F + Clone + Send + Sync + 'static,
{
    post(async move |State(plugin): State<Arc<Plugin>>, body: Bytes| {
        // The calls without fields come without a body.
        let bare = std::any::TypeId::of::<T>() == std::any::TypeId::of::<Nothing>() && body.is_empty();
        let ask = match protocol::read::<T>(if bare { b"null" } else { &body }) {
            Ok(ask) => ask,
            Err(error) => return refuse(&error),
        };
        match tokio::time::timeout(PATIENCE, api::to_the_end(work(plugin, ask))).await {
            Ok(Ok(answer)) => say(&answer),
            Ok(Err(error)) => refuse(&error),
            Err(_) => {
                let why = format!("not done within {} s", PATIENCE.as_secs());
                refuse(&Error::new(Kind::Unavailable, "vswitch", why, "see `vsctl show`, then try again"))
            }
        }
    })
}

fn say(answer: &impl Serialize) -> Response {
    match serde_json::to_vec(answer) {
        Ok(body) => ([(header::CONTENT_TYPE, CONTENT)], body).into_response(),
        Err(error) => refuse(&Error::failed("answer", error.to_string())),
    }
}

/// The two interfaces disagree on the name of the field; Docker's engine shows what it finds.
fn refuse(error: &Error) -> Response {
    let text = match error.remedy.as_str() {
        "" => error.error.clone(),
        remedy => format!("{} ({remedy})", error.error),
    };
    let status = match error.kind {
        Kind::NotFound if error.object.starts_with("method ") => StatusCode::NOT_FOUND,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = json!({ "Err": text, "Error": text }).to_string();
    (status, [(header::CONTENT_TYPE, CONTENT)], body).into_response()
}
