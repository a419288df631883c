//! Why a store did not do what it was asked. Each text names the object and, where there is one, the remedy.
//! No text ever holds an ACL token.

/// A store's refusal or failure. Whatever the error, a transaction that returned one of the first group wrote nothing;
/// after [`Error::Unreachable`] it may or may not have been applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// store key {key}: {why}
    #[error("store key {key}: {why}")]
    Conflict {
        /// The key whose comparison failed.
        key: String,
        /// What was found instead.
        why: String,
    },
    /// store session {session} is gone (open a new one and publish again)
    #[error("store session {session} is gone (open a new one and publish again)")]
    SessionLost {
        /// The session's id.
        session: String,
    },
    /// {object}: {size} is more than the {limit} allowed
    #[error("{object}: {size} is more than the {limit} allowed")]
    TooLarge {
        /// What is too large, with the remedy.
        object: String,
        /// Its size, in the unit the object names.
        size: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// store key {key:?}: {why}
    #[error("store key {key:?}: {why}")]
    BadKey {
        /// The key as given.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// store {store}: {why}: a request that will not succeed by trying again
    #[error("store {store}: {why}")]
    Refused {
        /// The store, as [`Store::describe`](crate::Store::describe) names it.
        store: String,
        /// The reason and its remedy.
        why: String,
    },
    /// store {store} cannot be reached: {why}: trying again later may succeed
    #[error("store {store} cannot be reached: {why}")]
    Unreachable {
        /// The store, as [`Store::describe`](crate::Store::describe) names it.
        store: String,
        /// The reason.
        why: String,
    },
    /// store URL {url}: {why}
    #[error("store URL {url}: {why}")]
    BadUrl {
        /// The URL, its token removed.
        url: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// store {store} is damaged: {why}
    #[error("store {store} is damaged: {why}")]
    Corrupt {
        /// The store or its file.
        store: String,
        /// What was found, and the remedy.
        why: String,
    },
}

impl Error {
    /// Whether the same request may succeed later without anything being changed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Error::Unreachable { .. })
    }
}
