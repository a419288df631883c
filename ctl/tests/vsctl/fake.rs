//! An API server with prepared answers on a socket of its own. It checks nothing; it records what was asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use serde_json::Value;

type Answers = HashMap<String, (u16, Value)>;

/// What was asked: `POST /v1/networks`, and its body (null when empty).
pub(crate) type Asked = (String, Value);

#[derive(Clone, Default)]
struct Shared {
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A server that lives until it is dropped.
pub(crate) struct Fake {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
    _home: tempfile::TempDir,
    _alive: tokio::sync::oneshot::Sender<()>,
}

impl Fake {
    /// Answers `("GET /v1/ports", 200, body)`; all else is 404 in vswitchd's form.
    pub(crate) fn new(answers: impl IntoIterator<Item = (&'static str, u16, Value)>) -> Self {
        let answers = answers.into_iter().map(|(what, status, body)| (what.to_owned(), (status, body))).collect();
        let shared = Shared { answers: Arc::new(answers), ..Shared::default() };
        let asked = shared.asked.clone();
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("api.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let router = axum::Router::new().fallback(answer).with_state(shared);
        let (alive, end) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = end => {}
                }
            });
        });
        Self { socket, asked, _home: home, _alive: alive }
    }

    /// `vsctl` with this server's socket and these arguments, split at blanks.
    pub(crate) fn vsctl(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vsctl"));
        command.env_remove("NO_COLOR").env("VSWITCH_SOCKET", &self.socket).args(line.split_whitespace());
        command
    }

    /// The lines that a successful `vsctl` prints; standard error must stay empty.
    pub(crate) fn lines(&self, line: &str) -> Vec<String> {
        let output = self.vsctl(line).assert().success().stderr("").get_output().stdout.clone();
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
    }

    /// What a successful `vsctl` prints, as JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        let output = self.vsctl(line).assert().success().stderr("").get_output().stdout.clone();
        serde_json::from_slice(&output).unwrap()
    }

    /// Everything asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, Vec<u8>) {
    let what = format!("{method} {uri}");
    // What is no JSON is text.
    let text = || String::from_utf8_lossy(&body).into_owned().into();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_else(|_| text()) };
    shared.asked.lock().unwrap().push((what.clone(), body));
    let missing = || {
        let name = uri.path().rsplit('/').next().unwrap_or_default();
        let error = serde_json::json!({
            "error": format!("network {name} not found"), "object": format!("network {name}"),
            "remedy": "see `vsctl network ls`",
        });
        (404, error)
    };
    let (status, body) = shared.answers.get(&what).cloned().unwrap_or_else(missing);
    let body = match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    (StatusCode::from_u16(status).unwrap(), body)
}
