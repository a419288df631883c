//! The redb file: rows by key, and the counter that gives them versions. Blocking; one writer at a time.
//! A commit is on the disk before it returns. Sessions are only names here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::apply::{Contents, apply};
use crate::{Error, Op, Row, Snapshot, key};

/// Key to version, owning session, value.
pub(super) type Rows<'txn> = redb::Table<'txn, &'static str, Stored>;
type Stored = (u64, Option<&'static str>, &'static [u8]);
const ROWS: TableDefinition<'static, &'static str, Stored> = TableDefinition::new("rows");
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// In `meta`: how the file is to be read.
const FORMAT: (&str, u64) = ("format", 1);
/// In `meta`: the number of the last transaction that changed something; the version of what it changed.
const REVISION: &str = "revision";

/// Bytes of the file kept in memory.
const CACHE: usize = 8 << 20;

/// What a transaction changed.
pub(super) struct Changed {
    pub(super) revision: u64,
    pub(super) keys: BTreeSet<String>,
}

/// The open file.
pub(super) struct Table {
    path: PathBuf,
    name: String,
    /// None: closed after an I/O error, after which redb takes no more; opened again by the next request.
    database: RwLock<Option<Database>>,
}

impl Table {
    /// Opens or creates the file.
    pub(super) fn open(path: PathBuf, name: String) -> Result<Self, Error> {
        let database = open_database(&path, &name)?;
        Ok(Table { path, name, database: RwLock::new(Some(database)) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn revision(&self) -> Result<u64, Error> {
        self.with(|database| revision_of(&database.begin_read()?))
    }

    /// The rows below a prefix, and the revision they belong to.
    pub(super) fn snapshot(&self, prefix: &str) -> Result<Snapshot, Error> {
        self.with(|database| {
            let txn = database.begin_read()?;
            let mut snapshot = Snapshot { revision: revision_of(&txn)?.max(1), ..Snapshot::default() };
            for entry in txn.open_table(ROWS)?.range(prefix..)? {
                let (key, stored) = entry?;
                let key = key.value();
                if !key.starts_with(prefix) {
                    break;
                }
                if !key::is_below(key, prefix) {
                    continue;
                }
                let (version, session, value) = stored.value();
                let row =
                    Row { key: key.to_owned(), value: value.to_vec(), version, session: session.map(str::to_owned) };
                snapshot.rows.insert(row.key.clone(), row);
            }
            Ok(snapshot)
        })
    }

    /// Applies all steps or none; none if they change nothing.
    pub(super) fn transact(&self, ops: &[Op]) -> Result<Option<Changed>, Error> {
        self.write(|contents| apply(contents, ops))
    }

    /// Removes the rows of the sessions for which `gone` is true.
    pub(super) fn remove_owned(&self, gone: impl Fn(&str) -> bool) -> Result<Option<Changed>, Error> {
        self.write(|contents| contents.remove_owned(&gone))
    }

    fn write(&self, change: impl Fn(&mut Contents<'_, '_>) -> Result<(), Fault>) -> Result<Option<Changed>, Error> {
        self.with(|database| {
            let txn = database.begin_write()?;
            let changed = {
                let mut meta = txn.open_table(META)?;
                let revision = meta.get(REVISION)?.map_or(1, |guard| guard.value()) + 1;
                let mut rows = txn.open_table(ROWS)?;
                let mut contents = Contents::new(&mut rows, revision);
                change(&mut contents)?;
                let keys = contents.changed();
                meta.insert(REVISION, revision)?;
                Changed { revision, keys }
            };
            if changed.keys.is_empty() {
                txn.abort()?;
                return Ok(None);
            }
            txn.commit()?;
            Ok(Some(changed))
        })
    }

    /// Runs something on the open file; opens it again first, or closes it after, when an I/O error asks for that.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Error> {
        let mut guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            drop(guard);
            let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
            if slot.is_none() {
                *slot = Some(open_database(&self.path, &self.name)?);
            }
            drop(slot);
            guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        }
        let result = match guard.as_ref() {
            Some(database) => work(database),
            None => Err(Fault::Redb(redb::Error::PreviousIo)),
        };
        drop(guard);
        result.map_err(|fault| match fault {
            Fault::Refused(error) => error,
            Fault::Redb(error) => {
                if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
                    *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
                }
                explain(error, &self.path, &self.name)
            }
        })
    }
}

/// Why a transaction did not go through.
pub(super) enum Fault {
    /// A comparison failed.
    Refused(Error),
    /// The file failed.
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Fault::Redb(error.into())
    }
}

fn revision_of(txn: &redb::ReadTransaction) -> Result<u64, Fault> {
    let meta = txn.open_table(META)?;
    Ok(meta.get(REVISION)?.map_or(1, |guard| guard.value()))
}

fn open_database(path: &Path, name: &str) -> Result<Database, Error> {
    let explain = |error: redb::Error| explain(error, path, name);
    // Every page's checksum is verified, so that nothing later trips over a damaged one.
    let database = Database::builder()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true)
        .create(path)
        .map_err(|e: DatabaseError| explain(e.into()))?;
    let prepare = || -> Result<u64, Fault> {
        let txn = database.begin_write()?;
        let format = {
            let mut meta = txn.open_table(META)?;
            txn.open_table(ROWS)?;
            let format = meta.get(FORMAT.0)?.map(|guard| guard.value());
            if format.is_none() {
                meta.insert(FORMAT.0, FORMAT.1)?;
            }
            format.unwrap_or(FORMAT.1)
        };
        txn.commit()?;
        Ok(format)
    };
    match prepare() {
        Ok(format) if format == FORMAT.1 => Ok(database),
        Ok(format) => Err(Error::Refused {
            store: name.to_owned(),
            why: format!("written in format {format} by another release (use that release, or move the file away)"),
        }),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Redb(error)) => Err(explain(error)),
    }
}

/// redb's errors in our terms, with the remedy.
fn explain(error: redb::Error, path: &Path, name: &str) -> Error {
    let store = name.to_owned();
    let path = path.display();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Error::Refused {
            store,
            why: "another process has the file open (one vswitchd for each state directory)".to_owned(),
        },
        // redb says so of a file that does not begin as its own do.
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => damaged(store, &e.to_string()),
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => damaged(store, &e.to_string()),
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Error::Refused { store, why: format!("{path}: permission denied (run as root, or give another file)") }
        }
        redb::Error::Io(e) => Error::Unreachable { store, why: format!("{path}: {e} (is the disk full?)") },
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => Error::Unreachable {
            store,
            why: format!("{path}: closed after an I/O error, and opened again with the next request"),
        },
        other => damaged(store, &other.to_string()),
    }
}

pub(super) fn damaged(store: String, what: &str) -> Error {
    Error::Corrupt {
        store,
        why: format!("{what} (restore the file from a copy, or move it away to start with an empty store)"),
    }
}
