//! The meaning of a transaction's steps on one table of rows; the same as Consul gives them.
//! It neither begins nor commits: who calls it throws everything away on an error.

use std::collections::BTreeSet;

use redb::ReadableTable;

use super::table::{Fault, Rows};
use crate::{Error, Op};

/// The rows within one write transaction, and what became of them.
pub(super) struct Contents<'rows, 'txn> {
    rows: &'rows mut Rows<'txn>,
    /// The version of all that this transaction writes.
    revision: u64,
    changed: BTreeSet<String>,
}

/// What a comparison needs to know of a row.
struct Found {
    version: u64,
    session: Option<String>,
    value: Vec<u8>,
}

impl<'rows, 'txn> Contents<'rows, 'txn> {
    pub(super) fn new(rows: &'rows mut Rows<'txn>, revision: u64) -> Self {
        Contents { rows, revision, changed: BTreeSet::new() }
    }

    /// The keys that were written or removed.
    pub(super) fn changed(self) -> BTreeSet<String> {
        self.changed
    }

    fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        Ok(self.rows.get(key)?.map(|guard| {
            let (version, session, value) = guard.value();
            Found { version, session: session.map(str::to_owned), value: value.to_vec() }
        }))
    }

    /// Writes a row unless it is already just so: then nobody needs to be woken.
    fn set(&mut self, key: &str, value: &[u8], session: Option<&str>, old: Option<&Found>) -> Result<(), Fault> {
        if old.is_some_and(|old| old.value == value && old.session.as_deref() == session) {
            return Ok(());
        }
        self.rows.insert(key, (self.revision, session, value))?;
        self.changed.insert(key.to_owned());
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Result<(), Fault> {
        if self.rows.remove(key)?.is_some() {
            self.changed.insert(key.to_owned());
        }
        Ok(())
    }

    /// Removes the rows of the sessions that are gone.
    pub(super) fn remove_owned(&mut self, gone: &dyn Fn(&str) -> bool) -> Result<(), Fault> {
        let mut keys = Vec::new();
        for entry in self.rows.iter()? {
            let (key, stored) = entry?;
            if stored.value().1.is_some_and(gone) {
                keys.push(key.value().to_owned());
            }
        }
        keys.iter().try_for_each(|key| self.remove(key))
    }
}

/// Takes the steps in order. A session that publishes must be alive: its owner looks after that.
pub(super) fn apply(contents: &mut Contents<'_, '_>, ops: &[Op]) -> Result<(), Fault> {
    for op in ops {
        let key = op.key();
        let old = contents.get(key)?;
        let old = old.as_ref();
        match op {
            Op::Create { value, .. } => {
                if old.is_some() {
                    return conflict(key, "exists already");
                }
                contents.set(key, value, None, None)?;
            }
            Op::Put { value, .. } => {
                contents.set(key, value, old.and_then(|old| old.session.as_deref()), old)?;
            }
            Op::Replace { value, version, .. } => {
                let old = expect(key, old, *version)?;
                contents.set(key, value, old.session.as_deref(), Some(old))?;
            }
            Op::Publish { value, session, .. } => match old.and_then(|old| old.session.as_deref()) {
                Some(owner) if owner != session => {
                    return conflict(key, &format!("owned by session {owner}"));
                }
                _ => contents.set(key, value, Some(session), old)?,
            },
            Op::Delete { .. } => contents.remove(key)?,
            Op::DeleteIf { version, .. } => {
                expect(key, old, *version)?;
                contents.remove(key)?;
            }
            Op::Expect { version: Some(version), .. } => {
                expect(key, old, *version)?;
            }
            Op::Expect { version: None, .. } => {
                if old.is_some() {
                    return conflict(key, "exists");
                }
            }
        }
    }
    Ok(())
}

fn expect<'a>(key: &str, old: Option<&'a Found>, version: u64) -> Result<&'a Found, Fault> {
    match old {
        Some(old) if old.version == version => Ok(old),
        Some(old) => conflict(key, &format!("has version {}, not {version}", old.version)),
        None => conflict(key, &format!("does not exist; version {version} was expected")),
    }
}

fn conflict<T>(key: &str, why: &str) -> Result<T, Fault> {
    Err(Fault::Refused(Error::Conflict { key: key.to_owned(), why: why.to_owned() }))
}
