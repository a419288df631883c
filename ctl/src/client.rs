//! The API's client: HTTP/1.1 and JSON over vswitchd's unix socket, for `vsctl` and the OCI hook.
//!
//! Not a general HTTP client: one connection per request, no redirects, no TLS, nothing kept between
//! calls. Invariant: every request ends within the deadline and reads a bounded answer.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// Where vswitchd listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/vswitch/vswitchd.sock";

/// The environment variable that names another socket.
pub const SOCKET_VARIABLE: &str = "VSWITCH_SOCKET";

/// How long one request may take: connecting, waiting and reading the answer.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// How bodies are written, as HTTP has it.
const JSON: &str = "application/json";

/// The longest answer that is read, in bytes: a full flow table as JSON fits several times.
const ANSWER_LIMIT: usize = 256 << 20;

/// Why a request has no answer of the expected kind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// vswitchd is not reachable at {socket}: {source}
    #[error("vswitchd is not reachable at {}: {}", socket.display(), plain(source))]
    Unreachable {
        /// The socket that was tried.
        socket: PathBuf,
        /// What connecting answered.
        source: io::Error,
    },
    /// vswitchd at {socket} did not answer {method} {path} within {deadline} s
    #[error("vswitchd at {} did not answer {method} {path} within {} s", socket.display(), deadline.as_secs_f32())]
    Deadline {
        /// The socket that was tried.
        socket: PathBuf,
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// The time that was given.
        deadline: Duration,
    },
    /// {error}
    #[error("{error}")]
    Refused {
        /// The HTTP status: 400 malformed, 404 unknown, 409 in the way of something, 503 cannot now.
        status: u16,
        /// What is wrong, in vswitchd's words.
        error: String,
        /// The network, port or other thing that is meant; may be empty.
        object: String,
        /// What can be done; may be empty.
        remedy: String,
    },
    /// {method} {path} at {socket}: {what}
    #[error("{method} {path} at {}: {what}", socket.display())]
    Protocol {
        /// The socket that was tried.
        socket: PathBuf,
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// What was unexpected.
        what: String,
    },
}

impl Error {
    /// What can be done about it, when something is known to help.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run as root, or as a member of the group that owns the socket".into())
            }
            Self::Unreachable { .. } => Some(format!(
                "is it running? start it with `systemctl start vswitchd` or `vswitchd`, \
                 or name its socket with --socket or {SOCKET_VARIABLE}"
            )),
            Self::Deadline { .. } => {
                Some("it may be busy or waiting for its store: see its log and `vsctl show`, then try again".into())
            }
            Self::Refused { remedy, .. } => Some(remedy.clone()).filter(|remedy| !remedy.is_empty()),
            Self::Protocol { .. } => {
                Some("check that the socket is vswitchd's, and of the same version as this program".into())
            }
        }
    }

    /// The status of an answer that refused the request; `None` when there was no such answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the error is about, in vswitchd's words, when it said so.
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::Refused { object, .. } if !object.is_empty() => Some(object),
            _ => None,
        }
    }

    /// Whether vswitchd answered that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND.as_u16())
    }
}

/// A way to vswitchd's API. Cheap to make; connects anew for each request.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    deadline: Duration,
}

impl Client {
    /// A client of the vswitchd that listens at `socket`, with [`DEFAULT_DEADLINE`].
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf(), deadline: DEFAULT_DEADLINE }
    }

    /// The same client with another deadline for each request.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The socket this client asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// GET `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    /// GET `path`, whose answer is text and no JSON.
    pub async fn text(&self, path: &str) -> Result<Bytes, Error> {
        self.answer(&Method::GET, path, Bytes::new(), JSON).await
    }

    /// PUT `text`, as it is, to `path`.
    pub async fn put_text<T: DeserializeOwned>(&self, path: &str, text: Bytes) -> Result<T, Error> {
        let answer = self.answer(&Method::PUT, path, text, "text/plain; charset=utf-8").await?;
        self.read(&Method::PUT, path, &answer)
    }

    /// POST `body` as JSON to `path`. An answer without content (204) reads as JSON `null`: `T = ()`.
    pub async fn post<B, T>(&self, path: &str, body: &B) -> Result<T, Error>
    where
        B: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        let encoded = serde_json::to_vec(body)
            .map_err(|error| self.protocol(&Method::POST, path, format!("cannot encode the request: {error}")))?;
        self.request(Method::POST, path, encoded.into()).await
    }

    /// PATCH `path` by `body` as JSON.
    pub async fn patch<B, T>(&self, path: &str, body: &B) -> Result<T, Error>
    where
        B: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        let encoded = serde_json::to_vec(body)
            .map_err(|error| self.protocol(&Method::PATCH, path, format!("cannot encode the request: {error}")))?;
        self.request(Method::PATCH, path, encoded.into()).await
    }

    /// DELETE `path`. An answer without content (204) reads as JSON `null`: `T = ()`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.request(Method::DELETE, path, Bytes::new()).await
    }

    async fn request<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Error> {
        let answer = self.answer(&method, path, body, JSON).await?;
        self.read(&method, path, &answer)
    }

    fn read<T: DeserializeOwned>(&self, method: &Method, path: &str, answer: &[u8]) -> Result<T, Error> {
        let text: &[u8] = if answer.is_empty() { b"null" } else { answer };
        serde_json::from_slice(text)
            .map_err(|error| self.protocol(method, path, format!("cannot read the answer: {error}")))
    }

    /// The body of a successful answer.
    async fn answer(&self, method: &Method, path: &str, body: Bytes, kind: &'static str) -> Result<Bytes, Error> {
        let late = || Error::Deadline {
            socket: self.socket.clone(),
            method: method.clone(),
            path: path.to_owned(),
            deadline: self.deadline,
        };
        let (status, answer) = tokio::time::timeout(self.deadline, self.exchange(method, path, body, kind))
            .await
            .map_err(|_| late())??;
        if !status.is_success() {
            return Err(self.refused(method, path, status, &answer));
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        kind: &'static str,
    ) -> Result<(StatusCode, Bytes), Error> {
        let broken = |what: String| self.protocol(method, path, what);
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| Error::Unreachable { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(format!("no HTTP connection: {error}")))?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, "vswitchd");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request =
            request.body(Full::new(body)).map_err(|error| broken(format!("cannot form the request: {error}")))?;

        let conversation = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| broken(format!("the connection broke before an answer: {error}")))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    broken(format!("the answer is longer than {} MiB", ANSWER_LIMIT >> 20))
                } else {
                    broken(format!("the answer broke off: {error}"))
                }
            })?;
            Ok((status, body.to_bytes()))
        };
        // The connection does the reading and writing inside this future, so that nothing outlives the
        // deadline. A daemon that closes after its answer ends it early: what was read still counts.
        let drive = async {
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            biased;
            result = conversation => result,
            result = drive => result,
        }
    }

    fn refused(&self, method: &Method, path: &str, status: StatusCode, answer: &[u8]) -> Error {
        #[derive(serde::Deserialize)]
        struct Refusal {
            error: String,
            #[serde(default)]
            object: String,
            #[serde(default)]
            remedy: String,
        }
        match serde_json::from_slice::<Refusal>(answer) {
            Ok(Refusal { error, object, remedy }) => Error::Refused { status: status.as_u16(), error, object, remedy },
            Err(_) => {
                let said: String = String::from_utf8_lossy(answer).trim().chars().take(200).collect();
                let what = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
                self.protocol(method, path, what)
            }
        }
    }

    fn protocol(&self, method: &Method, path: &str, what: String) -> Error {
        Error::Protocol { socket: self.socket.clone(), method: method.clone(), path: path.to_owned(), what }
    }
}

/// `text` as one segment of a path: everything but RFC 3986's unreserved characters percent-encoded.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The system's words without Rust's "(os error 2)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
