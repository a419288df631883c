//! Where hosts agree: one trait, [`Store`], over a shared server (Consul) or a file of this host alone (redb).
//! A store keeps rows (bytes under a key), changes them in transactions, tells watchers, and lets rows live as long
//! as a session. It knows nothing of networks and endpoints, and keeps no copy: what a caller holds is its last
//! [`Snapshot`], which stays good when the store is away.
#![forbid(unsafe_code)]

mod error;
mod row;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub use error::Error;
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

    /// Applies all steps or none, in order. At most [`MAX_OPS`].
    ///
    /// # Errors
    /// [`Error::Conflict`] if a comparison failed, [`Error::SessionLost`], [`Error::TooLarge`], [`Error::BadKey`],
    /// [`Error::Refused`]: nothing was written. [`Error::Unreachable`]: unknown; read before trying again.
    fn transact<'a>(&'a self, ops: Vec<Op>) -> Future<'a, Result<(), Error>>;

    /// Opens a session that ends unless renewed within `ttl` (10 s to 86,400 s; renew at a third of it).
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`].
    fn open_session<'a>(
        &'a self,
        name: &'a str,
        ttl: Duration,
    ) -> Future<'a, Result<String, Error>>;

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
