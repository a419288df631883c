//! A stand-in for vswitchd's API on a unix socket: notes every request, and answers by the network's name.
//! Network `refused` is unknown, network `silent` gets no answer, port `unknown` is unknown, host port 666 is taken;
//! all else succeeds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    /// Method, path and query.
    pub(crate) line: String,
    /// The JSON body; null when there is none.
    pub(crate) body: Value,
}

/// A running server; it ends with the value.
pub(crate) struct ApiDouble {
    folder: tempfile::TempDir,
    socket: PathBuf,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ApiDouble {
    /// Starts one on a socket of its own.
    pub(crate) fn start() -> ApiDouble {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("vswitchd.sock");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let noted = Arc::clone(&requests);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let application = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
                    let noted = Arc::clone(&noted);
                    async move {
                        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                        let answer = answer(&method, &uri, &body);
                        noted.lock().unwrap().push(Request { line: format!("{method} {uri}"), body });
                        match answer {
                            Some(answer) => answer,
                            None => {
                                tokio::time::sleep(Duration::from_secs(60)).await;
                                StatusCode::NO_CONTENT.into_response()
                            }
                        }
                    }
                });
                let server = axum::serve(UnixListener::from_std(listener).unwrap(), application);
                tokio::select! {
                    result = server => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        ApiDouble { folder, socket, requests, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        debug_assert!(self.socket.starts_with(self.folder.path()));
        &self.socket
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for ApiDouble {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What to answer; `None` for nothing.
fn answer(method: &Method, uri: &Uri, body: &Value) -> Option<Response> {
    let unknown = |object: &str, remedy: &str| {
        let text = json!({"error": format!("{object} not found"), "object": object, "remedy": remedy});
        Some((StatusCode::NOT_FOUND, text.to_string()).into_response())
    };
    if uri.path() == "/v1/publish" {
        let refusal = json!({"error": "publish 666:80/tcp: taken", "object": "x", "remedy": "choose another"});
        let refused = body["publish"][0] == "666:80/tcp";
        let (status, text) = if refused { (StatusCode::CONFLICT, refusal) } else { (StatusCode::CREATED, json!([])) };
        return Some((status, text.to_string()).into_response());
    }
    match (method, body["network"].as_str()) {
        (&Method::POST, Some("silent")) => None,
        (&Method::POST, Some("refused")) => unknown("network refused", "see `vsctl network ls`"),
        (&Method::POST, Some(network)) => {
            Some((StatusCode::CREATED, json!({"network": network, "ifname": "eth0"}).to_string()).into_response())
        }
        (&Method::DELETE, _) if uri.path().ends_with("/unknown") => unknown("port unknown", "see `vsctl ports`"),
        (&Method::DELETE, _) => Some(StatusCode::NO_CONTENT.into_response()),
        _ => Some(StatusCode::METHOD_NOT_ALLOWED.into_response()),
    }
}
