//! Where hosts agree: one trait, [`Store`], over a shared server (Consul) or a file of this host alone (redb).
//! A store keeps rows (bytes under a key), changes them in transactions, tells watchers, and lets rows live as long
//! as a session. It knows nothing of networks and endpoints, and keeps no copy: what a caller holds is its last
//! [`Snapshot`], which stays good when the store is away.
#![forbid(unsafe_code)]

mod consul;
mod error;
mod file;
mod key;
mod row;
mod url;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use error::Error;
pub use key::MAX_TRANSACTION;
pub use row::{MAX_KEY, MAX_OPS, MAX_VALUE, Op, Row, Snapshot};

/// What the trait's methods return: boxed, so that a store can be a trait object.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// Rows under keys, changed by transactions. A dropped future leaves nothing half done; a transaction whose future is
/// dropped may or may not have been applied.
pub trait Store: Send + Sync {
    /// The store's name for people: `consul://127.0.0.1:8500/vswitch`. Never holds a token.
    fn describe(&self) -> String;

    /// Whether other hosts see the same rows.
    fn shared(&self) -> bool;

    /// The rows below `prefix` now. A prefix ends in `/` (or is empty: everything); without it, it is one full key.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`], [`Error::BadKey`].
    fn snapshot<'a>(&'a self, prefix: &'a str) -> Future<'a, Result<Snapshot, Error>>;

    /// Waits until something below `prefix` may have changed since `revision` (0: returns at once), or about 60 s are
    /// over; then returns the snapshot. The prefix need not exist. A return does not imply a change, and changes
    /// between two calls are seen as one: compare with the last snapshot.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`], [`Error::BadKey`].
    fn watch<'a>(&'a self, prefix: &'a str, revision: u64) -> Future<'a, Result<Snapshot, Error>>;

    /// Applies all steps or none, in order. At most [`MAX_OPS`] steps, [`MAX_TRANSACTION`] bytes of
    /// values. Writing what a row already holds is not a change: its version stays, and nobody is woken.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a comparison failed or another session owns a row to publish, [`Error::SessionLost`],
    /// [`Error::TooLarge`], [`Error::BadKey`], [`Error::Refused`]: nothing was written. [`Error::Unreachable`]: not
    /// known; read before trying again.
    fn transact<'a>(&'a self, ops: Vec<Op>) -> Future<'a, Result<(), Error>>;

    /// Opens a session that ends when it is not renewed for `ttl` (Consul: 10 s to 86,400 s, and it may end it only
    /// after twice that). Renew at a third of it.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`].
    fn open_session<'a>(&'a self, name: &'a str, ttl: Duration) -> Future<'a, Result<String, Error>>;

    /// Keeps a session alive for another time to live.
    ///
    /// # Errors
    /// [`Error::SessionLost`] when it is gone, and its rows with it; [`Error::Unreachable`]: not known.
    fn renew_session<'a>(&'a self, session: &'a str) -> Future<'a, Result<(), Error>>;

    /// Ends a session; its rows vanish. Ending one that is gone succeeds.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`].
    fn close_session<'a>(&'a self, session: &'a str) -> Future<'a, Result<(), Error>>;
}

/// How to reach a store, beside its URL; what the URL says wins.
#[derive(Clone, Default)]
pub struct Options {
    /// ACL token. Without one here and in the URL, the environment's `CONSUL_HTTP_TOKEN` is used.
    pub token: Option<String>,
    /// PEM file of the authority that signs the server's certificate; without it the system's authorities.
    pub ca_cert: Option<PathBuf>,
    /// PEM file of the client's certificate chain, for servers that ask for one.
    pub client_cert: Option<PathBuf>,
    /// PEM file of the client's private key.
    pub client_key: Option<PathBuf>,
    /// Whether snapshots may come from any server, not only the leader: they still work without a leader.
    pub stale: bool,
}

/// Names what is set, never the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("ca_cert", &self.ca_cert)
            .field("client_cert", &self.client_cert)
            .field("client_key", &self.client_key)
            .field("stale", &self.stale)
            .finish()
    }
}

/// Whether [`open`] would understand the URL; nothing is opened or asked.
///
/// # Errors
/// [`Error::BadUrl`].
pub fn check(url: &str) -> Result<(), Error> {
    url::parse(url, Options::default()).map(drop)
}

/// Opens the store a URL names. A server need not be up: requests say [`Error::Unreachable`] until it is.
///
/// `consul://HOST:PORT[,HOST:PORT]/PREFIX[?token=..&ca=..&cert=..&key=..&stale=1]`, `consul+tls://` the same by HTTPS;
/// `file:///path/store.redb`, or `file://` for `store.redb` in `state_dir`. Call it within a tokio runtime.
///
/// # Errors
/// [`Error::BadUrl`]; [`Error::Refused`] when a file cannot be read, or another process has the store's file;
/// [`Error::Corrupt`] when the store's file is damaged.
pub async fn open(url: &str, state_dir: &Path, options: Options) -> Result<Arc<dyn Store>, Error> {
    match url::parse(url, options)? {
        url::Target::Consul(cluster) => Ok(Arc::new(consul::Consul::new(&cluster)?)),
        url::Target::File(path) => {
            let path = path.unwrap_or_else(|| state_dir.join("store.redb"));
            Ok(Arc::new(file::File::open(path).await?))
        }
    }
}
