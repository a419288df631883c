//! A file as the store of one host: rows in redb, sessions and watchers in this process, which alone has the file open.
//! After a restart no session of before is alive, so their rows are removed when the file is opened.

mod apply;
mod changes;
mod session;
mod table;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{Error, Future, Op, Snapshot, Store, key};
use changes::Changes;
use session::Sessions;
use table::Table;

/// How long a watch without changes waits.
const WAIT: Duration = Duration::from_secs(60);

/// The store behind `file://`.
pub(crate) struct File {
    inner: Arc<Inner>,
}

struct Inner {
    table: Table,
    changes: Changes,
    /// Locked for the length of each write, so that a session cannot end between being looked at and its row's write;
    /// and of each read, so that what is read was told to the watchers.
    sessions: Mutex<Sessions>,
}

impl File {
    /// Opens or creates the file and its folder; the file is readable by its owner only.
    pub(crate) async fn open(path: PathBuf) -> Result<Self, Error> {
        let name = format!("file://{}", path.display());
        let inner = blocking(&name, move |name| {
            prepare(&path, name)?;
            let table = Table::open(path, name.to_owned())?;
            table.remove_owned(|_| true)?;
            let changes = Changes::new(table.revision()?);
            Ok(Inner { table, changes, sessions: Mutex::default() })
        })
        .await?;
        Ok(File { inner: Arc::new(inner) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(self.inner.table.name(), move |_| work(&inner)).await
    }

    async fn wait_for_change(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        let end = Instant::now() + WAIT;
        // Before the first look, so that no change falls between.
        let mut latest = self.inner.changes.subscribe();
        while !self.inner.changes.since(prefix, revision) && Instant::now() < end {
            // A session that ends changes rows, though nobody writes.
            let deadline = self.run(|inner| Ok(inner.sessions().next_deadline())).await?;
            let until = deadline.map_or(end, |deadline| deadline.min(end));
            if timeout_at(until, latest.changed()).await.is_err() && until < end {
                self.run(|inner| inner.expire(&mut inner.sessions())).await?;
            }
        }
        self.read(prefix).await
    }

    async fn read(&self, prefix: &str) -> Result<Snapshot, Error> {
        let prefix = prefix.to_owned();
        self.run(move |inner| {
            let mut sessions = inner.sessions();
            inner.expire(&mut sessions)?;
            let snapshot = inner.table.snapshot(&prefix)?;
            inner.changes.catch_up(snapshot.revision);
            Ok(snapshot)
        })
        .await
    }
}

impl Inner {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the sessions whose time is over.
    fn expire(&self, sessions: &mut Sessions) -> Result<(), Error> {
        for session in sessions.expired(Instant::now()) {
            self.end(sessions, &session)?;
        }
        Ok(())
    }

    /// Removes a session's rows, and when that is done the session.
    fn end(&self, sessions: &mut Sessions, session: &str) -> Result<(), Error> {
        let changed = self.table.remove_owned(|owner| owner == session)?;
        sessions.remove(session);
        self.wake(changed);
        Ok(())
    }

    fn transact(&self, ops: &[Op]) -> Result<(), Error> {
        let mut sessions = self.sessions();
        self.expire(&mut sessions)?;
        for op in ops {
            if let Op::Publish { session, .. } = op
                && !sessions.is_alive(session)
            {
                return Err(Error::SessionLost { session: session.clone() });
            }
        }
        self.wake(self.table.transact(ops)?);
        Ok(())
    }

    fn wake(&self, changed: Option<table::Changed>) {
        if let Some(changed) = changed {
            self.changes.record(changed.revision, changed.keys);
        }
    }
}

impl Store for File {
    fn describe(&self) -> String {
        self.inner.table.name().to_owned()
    }

    fn shared(&self) -> bool {
        false
    }

    fn snapshot<'a>(&'a self, prefix: &'a str) -> Future<'a, Result<Snapshot, Error>> {
        Box::pin(async move {
            key::check_prefix(prefix)?;
            self.read(prefix).await
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str, revision: u64) -> Future<'a, Result<Snapshot, Error>> {
        Box::pin(async move {
            key::check_prefix(prefix)?;
            self.wait_for_change(prefix, revision).await
        })
    }

    fn transact<'a>(&'a self, ops: Vec<Op>) -> Future<'a, Result<(), Error>> {
        Box::pin(async move {
            key::check_ops(&ops)?;
            self.run(move |inner| inner.transact(&ops)).await
        })
    }

    fn open_session<'a>(&'a self, _name: &'a str, ttl: Duration) -> Future<'a, Result<String, Error>> {
        Box::pin(self.run(move |inner| {
            let mut sessions = inner.sessions();
            inner.expire(&mut sessions)?;
            sessions
                .open(ttl, Instant::now())
                .map_err(|why| Error::Refused { store: inner.table.name().to_owned(), why })
        }))
    }

    fn renew_session<'a>(&'a self, session: &'a str) -> Future<'a, Result<(), Error>> {
        let session = session.to_owned();
        Box::pin(self.run(move |inner| {
            let mut sessions = inner.sessions();
            inner.expire(&mut sessions)?;
            if sessions.renew(&session, Instant::now()) { Ok(()) } else { Err(Error::SessionLost { session }) }
        }))
    }

    fn close_session<'a>(&'a self, session: &'a str) -> Future<'a, Result<(), Error>> {
        let session = session.to_owned();
        Box::pin(self.run(move |inner| inner.end(&mut inner.sessions(), &session)))
    }
}

/// Runs work on the file where it may block: a commit waits for the disk.
async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&str) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let owned = name.to_owned();
    tokio::task::spawn_blocking(move || work(&owned))
        .await
        .unwrap_or_else(|_| Err(table::damaged(name.to_owned(), "reading it failed unexpectedly")))
}

/// Makes the folder and an empty file if there is none; redb fills it.
fn prepare(path: &Path, name: &str) -> Result<(), Error> {
    let refused = |what: &Path, e: std::io::Error| Error::Refused {
        store: name.to_owned(),
        why: format!("cannot create {}: {e} (choose another --state-dir)", what.display()),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| refused(folder, e))?;
    }
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| refused(path, e))?;
    Ok(())
}
