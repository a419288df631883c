//! Warns of rows that are left out, once for each state of a row and not with every snapshot. Bounded.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Most warnings remembered; beyond, all are forgotten and may be said again.
const REMEMBERED: usize = 1024;

/// What was already said.
#[derive(Default)]
pub(super) struct Warnings {
    said: Mutex<HashSet<(String, u64)>>,
}

impl Warnings {
    /// Says that the row of this key and version in this store is left out.
    pub(super) fn once(&self, key: &str, version: u64, store: &str, why: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= REMEMBERED {
            said.clear();
        }
        let shown: String = key.chars().take(200).collect();
        if said.insert((shown.clone(), version)) {
            tracing::warn!(store, key = ?shown, version, "row left out: {why} (remove it, or write it again)");
        }
    }
}
