//! A stand-in for the API of Docker's engine: one network, its containers, and a stream of events.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Path as Segment;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::broadcast;

/// A container as the engine knows it.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) endpoint: String,
    pub(super) address: String,
    pub(super) aliases: Vec<String>,
}

/// The engine; it ends with the value.
pub(super) struct Double {
    pub(super) containers: Arc<Mutex<Vec<Container>>>,
    events: broadcast::Sender<String>,
    server: tokio::task::JoinHandle<()>,
}

impl Double {
    /// An engine with one network.
    pub(super) fn start(socket: &Path, network: String) -> Double {
        let containers: Arc<Mutex<Vec<Container>>> = Arc::default();
        let events = broadcast::Sender::new(64);
        let (members, inspected, heard) = (containers.clone(), containers.clone(), events.clone());
        let listed = json!([{ "Id": network }]);
        let routes = Router::new()
            .route("/networks", get(async move || axum::Json(listed)))
            .route("/networks/{id}", get(async move || axum::Json(network_of(&members.lock().unwrap()))))
            .route(
                "/containers/{id}/json",
                get(async move |Segment(id): Segment<String>| {
                    let containers = inspected.lock().unwrap();
                    let found = containers.iter().find(|container| container.id == id);
                    found.map_or(StatusCode::NOT_FOUND.into_response(), |container| {
                        axum::Json(inspect(container)).into_response()
                    })
                }),
            )
            .route("/events", get(async move || stream(heard.subscribe())));
        let listener = UnixListener::bind(socket).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Double { containers, events, server }
    }

    pub(super) fn tell(&self, action: &str, container: &str) {
        let event = json!({ "Type": "container", "Action": action, "Actor": { "ID": container } });
        // Nobody may listen yet.
        let _ = self.events.send(format!("{event}\n"));
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn stream(events: broadcast::Receiver<String>) -> Response {
    let lines = futures_util::stream::unfold(events, async |mut events| {
        let line = events.recv().await.ok()?;
        Some((Ok::<_, std::convert::Infallible>(line), events))
    });
    Body::from_stream(lines.boxed()).into_response()
}

fn network_of(containers: &[Container]) -> Value {
    let member = |container: &Container| {
        let row = json!({ "Name": container.name, "EndpointID": container.endpoint, "IPv4Address": container.address });
        (container.id.clone(), row)
    };
    let members: serde_json::Map<String, Value> = containers.iter().map(member).collect();
    json!({ "Containers": members, "IPAM": { "Config": null } })
}

fn inspect(container: &Container) -> Value {
    let mut aliases = container.aliases.clone();
    aliases.push(container.id.chars().take(12).collect());
    json!({
        "Name": format!("/{}", container.name),
        "State": { "Pid": 0 },
        "Config": { "Hostname": format!("{}-host", container.name) },
        "NetworkSettings": { "Networks": { "any": { "EndpointID": container.endpoint, "Aliases": aliases } } },
    })
}
