//! The socket and the router. One vswitchd for one socket: a lock beside it says whose it is, so that a socket that a
//! crash left behind is replaced, and a living one is not.

use std::fs::{self, File, OpenOptions, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::patience::{self, Patient};
use super::{Error, conns, dns, filter, networks, ports, publish, rule, tables, trace};
use crate::control::Control;

/// Largest body of a request, in bytes.
const BODY: usize = 1 << 20;

/// Connections at once; more wait to be taken.
const CONNECTIONS: usize = 256;

/// How long a connection may be without a whole request head.
const IDLE: Duration = Duration::from_secs(30);

/// socket {path}: {why}
#[derive(Debug, thiserror::Error)]
#[error("socket {}: {why}", path.display())]
pub struct SocketError {
    path: PathBuf,
    why: String,
}

/// The listening socket; removed when this is dropped.
pub struct Listener {
    path: PathBuf,
    listener: Option<UnixListener>,
    _lock: Flock<File>,
}

impl Listener {
    /// Listens at `path` (mode 0660), whose directory is made if it is missing.
    ///
    /// # Errors
    /// When another vswitchd listens there, or the file system does not allow it.
    pub fn bind(path: &Path) -> Result<Listener, SocketError> {
        let failed = |why: String| SocketError { path: path.into(), why };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::create_dir_all(dir).map_err(|error| failed(format!("cannot make its directory: {error}")))?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
        let lock =
            lock.map_err(|error| failed(format!("cannot open its lock: {error} (choose another with --socket)")))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| {
            failed("another vswitchd listens there; stop it, or choose another socket with --socket".into())
        })?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed(
                    "something that is no socket is there; remove it, or choose another with --socket".into(),
                ));
            }
            // Nobody holds its lock: a crash left it behind.
            Ok(_) => fs::remove_file(path).map_err(|error| failed(format!("cannot replace the stale one: {error}")))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.to_string())),
        }
        // Bound beside and moved into place, so that it never answers with the wrong mode.
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(|error| failed(error.to_string()))?;
        let placed = fs::set_permissions(&fresh, Permissions::from_mode(0o660)).and_then(|()| fs::rename(&fresh, path));
        placed.map_err(|error| failed(error.to_string()))?;
        Ok(Listener { path: path.into(), listener: Some(listener), _lock: lock })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The lock's file stays: to remove it would let two processes lock two files of the same name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers requests until `end` comes, then those under way.
///
/// # Errors
/// When the socket breaks.
pub async fn serve(
    listener: Listener,
    control: Arc<Control>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_routes(listener, router(control), end).await
}

/// The same for other paths than the API's.
pub(crate) async fn serve_routes(
    mut listener: Listener,
    router: Router,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Some(socket) = listener.listener.take() else { return Ok(()) };
    let router = router.layer(from_fn(patience::of_bodies));
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let ending = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            () = &mut end => break,
            Some(_) = connections.join_next() => continue,
            accepted = async { (room.clone().acquire_owned().await, socket.accept().await) } => accepted,
        };
        match accepted {
            (Ok(permit), Ok((stream, _))) => {
                let answering = answer(stream, router.clone(), ending.subscribe());
                connections.spawn(async move {
                    answering.await;
                    drop(permit);
                });
            }
            // Descriptors ran out, or a client left before it was taken: the next one may do better.
            (_, Err(error)) => {
                tracing::warn!(%error, socket = %listener.path.display(), "the socket could not take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (Err(_), _) => break,
        }
    }
    ending.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// One connection. A client that has said all it has to say may close its half and still gets its answer.
async fn answer(stream: UnixStream, router: Router, mut ending: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router);
    let mut server = http1::Builder::new();
    server.half_close(true).timer(TokioTimer::new()).header_read_timeout(IDLE);
    let connection = server.serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = async { drop(ending.wait_for(|ending| *ending).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an API connection broke");
    }
}

/// All paths.
pub(super) fn router(control: Arc<Control>) -> Router {
    Router::new()
        .merge(networks::routes())
        .merge(ports::routes())
        .merge(conns::routes())
        .merge(dns::routes())
        .merge(filter::routes())
        .merge(publish::routes())
        .merge(rule::routes())
        .merge(tables::routes())
        .merge(trace::routes())
        .fallback(async |uri: axum::http::Uri| {
            Error::not_found(format!("path {}", uri.path()), "see the API's description")
        })
        .method_not_allowed_fallback(async |method: axum::http::Method, uri: axum::http::Uri| {
            Error::invalid(
                format!("path {}", uri.path()),
                format!("{method} is not for it"),
                "see the API's description",
            )
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(map_response(in_our_words))
        .with_state(control)
}

/// Refusals that are not ours, of what could not even be read, in the form of all others.
async fn in_our_words(response: Response) -> Response {
    let status = response.status();
    let is_json =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (why, remedy) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            (format!("its body is longer than {} MiB", BODY >> 20), "ask for less at once")
        }
        _ => (format!("it cannot be read ({status})"), "write names in paths as percent-encoded UTF-8"),
    };
    (status, axum::Json(Error::invalid("request", why, remedy))).into_response()
}

/// Runs a change to its end, also when the client has hung up meanwhile: half a change is worse than an unheard answer.
pub(crate) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(error) => Err(Error::failed("request", format!("it ended early: {error}"))),
    }
}

/// The only parameter of a query, if it is there; any other is refused by name.
pub(super) fn query(text: &str, name: &'static str) -> Result<Option<String>, Error> {
    Ok(queries(text, &[name])?.pop().map(|(_, value)| value))
}

/// The parameters of a query, as they come; one that is not known is refused by name.
pub(super) fn queries(text: &str, known: &[&'static str]) -> Result<Vec<(&'static str, String)>, Error> {
    let mut found = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = known.iter().find(|name| **name == key) else {
            let why = format!("parameter {key} is not known");
            return Err(Error::invalid("request", why, format!("use {}", known.join(", "))));
        };
        found.push((*name, decode(value)));
    }
    Ok(found)
}

/// Undoes percent-encoding; what is not encoded right stays as it is, and names nothing.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = || u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok();
        match (first, hex()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/vswitchd.sock");
        fs::create_dir(dir.path().join("run")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Listener::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let refused = Listener::bind(&path).err().unwrap().to_string();
        assert!(refused.contains("another vswitchd") && refused.contains("--socket"), "{refused}");
        drop(first);
        assert!(!path.exists());
        fs::write(&path, "x").unwrap();
        assert!(Listener::bind(&path).err().unwrap().to_string().contains("no socket"));
    }

    #[tokio::test]
    async fn a_client_that_closes_its_half_gets_its_answer() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, stream) = UnixStream::pair().unwrap();
        let slow = async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            "done"
        };
        let ending = watch::Sender::new(false);
        let router = Router::new().route("/", axum::routing::get(slow));
        let answering = tokio::spawn(answer(stream, router, ending.subscribe()));
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("done"), "{said}");
        answering.await.unwrap();
    }

    #[test]
    fn queries_are_strict() {
        assert_eq!(query("network=RED%2f1", "network").unwrap(), Some("RED/1".into()));
        assert_eq!(query("", "network").unwrap(), None);
        assert!(query("netwrok=RED", "network").unwrap_err().error.contains("netwrok"));
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
