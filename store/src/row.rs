//! What a store holds and how it is changed: rows, snapshots of a prefix, operations.
//! Not how a backend lays them out. Keys here are always relative to the store's own prefix.

use std::collections::BTreeMap;

/// Longest value a row may have, in bytes. A longer record is split into numbered parts by its owner.
pub const MAX_VALUE: usize = 128 * 1024;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 512;

/// Most steps one transaction may hold (Consul before 1.14 takes no more). An [`Op::DeleteIf`] counts as two.
pub const MAX_OPS: usize = 64;

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, relative to the store's prefix: `v1/networks/abc`.
    pub key: String,
    /// The bytes as they were written; the store gives them no meaning.
    pub value: Vec<u8>,
    /// Changes whenever the row changes; what [`Op::Replace`], [`Op::DeleteIf`] and [`Op::Expect`] compare. Never 0.
    pub version: u64,
    /// The session that owns the row, when it was written with [`Op::Publish`].
    pub session: Option<String>,
}

/// All rows below a prefix at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The rows by key.
    pub rows: BTreeMap<String, Row>,
    /// The moment, to be handed to [`Store::watch`](crate::Store::watch). It may go backwards (a restored or replaced
    /// store) and is only to be compared by the store that gave it.
    pub revision: u64,
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a row that must not exist yet.
    Create {
        /// Where.
        key: String,
        /// What.
        value: Vec<u8>,
    },
    /// Writes a row whether it exists or not. An owned row keeps its owner.
    Put {
        /// Where.
        key: String,
        /// What.
        value: Vec<u8>,
    },
    /// Writes a row that must still have this version.
    Replace {
        /// Where.
        key: String,
        /// What.
        value: Vec<u8>,
        /// The version last read.
        version: u64,
    },
    /// Writes a row owned by a session: it vanishes with the session. A conflict if another live session owns it.
    Publish {
        /// Where.
        key: String,
        /// What.
        value: Vec<u8>,
        /// The owner, from [`Store::open_session`](crate::Store::open_session).
        session: String,
    },
    /// Removes a row if it is there.
    Delete {
        /// Where.
        key: String,
    },
    /// Removes a row that must still be there and have this version.
    DeleteIf {
        /// Where.
        key: String,
        /// The version last read.
        version: u64,
    },
    /// Changes nothing; the transaction fails unless the row has this version, or with `None` does not exist.
    Expect {
        /// Where.
        key: String,
        /// The version last read; `None`: the row must be absent.
        version: Option<u64>,
    },
}

impl Op {
    /// The key the step is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Op::Create { key, .. }
            | Op::Put { key, .. }
            | Op::Replace { key, .. }
            | Op::Publish { key, .. }
            | Op::Delete { key }
            | Op::DeleteIf { key, .. }
            | Op::Expect { key, .. } => key,
        }
    }

    /// What the step counts towards [`MAX_OPS`].
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Op::DeleteIf { .. } => 2,
            _ => 1,
        }
    }

    /// The value the step writes, if it writes one.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Op::Create { value, .. }
            | Op::Put { value, .. }
            | Op::Replace { value, .. }
            | Op::Publish { value, .. } => Some(value),
            Op::Delete { .. } | Op::DeleteIf { .. } | Op::Expect { .. } => None,
        }
    }
}
