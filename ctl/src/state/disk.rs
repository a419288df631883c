//! The file: text keys, JSON values, one table, changes in transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;

const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");

/// {path}: {why}
#[derive(Clone, Debug, thiserror::Error)]
#[error("state file {}: {why}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// The reason, and what helps.
    pub why: String,
}

/// One change of the file.
#[derive(Clone, Debug)]
pub struct Change {
    key: String,
    value: Option<Vec<u8>>,
}

impl Change {
    /// Writes a row. Our records have text keys only, so that writing JSON cannot fail.
    pub fn put<T: Serialize>(key: String, value: &T) -> Change {
        Change { key, value: Some(serde_json::to_vec(value).unwrap_or_default()) }
    }

    /// Removes a row if it is there.
    pub fn remove(key: String) -> Change {
        Change { key, value: None }
    }
}

/// The open file. Cheap to clone.
#[derive(Clone)]
pub struct Disk {
    database: Arc<Database>,
    path: Arc<Path>,
}

impl Disk {
    /// Opens `<dir>/state.redb`, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened or is damaged.
    pub fn open(dir: &Path) -> Result<Disk, Error> {
        let path = dir.join("state.redb");
        let failed = |why: String| Error { path: path.clone(), why };
        let database = Database::create(&path)
            .map_err(|error| failed(format!("{error} (move it away to start with nothing remembered)")))?;
        let disk = Disk { database: Arc::new(database), path: path.as_path().into() };
        disk.commit(&[])?;
        Ok(disk)
    }

    /// Writes all changes or none; they are on the disk when this returns.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        let disk = self.clone();
        match tokio::task::spawn_blocking(move || disk.commit(&changes)).await {
            Ok(result) => result,
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The same in the calling thread: for the start and the end.
    ///
    /// # Errors
    /// As [`Disk::write`].
    pub fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let write = self.database.begin_write().map_err(|error| self.failed(error))?;
        {
            let mut table = write.open_table(ROWS).map_err(|error| self.failed(error))?;
            for Change { key, value } in changes {
                match value {
                    Some(value) => table.insert(key.as_str(), value.as_slice()).map(drop),
                    None => table.remove(key.as_str()).map(drop),
                }
                .map_err(|error| self.failed(error))?;
            }
        }
        write.commit().map_err(|error| self.failed(error))
    }

    /// All rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let table = read.open_table(ROWS).map_err(|error| self.failed(error))?;
        let range = table.range::<&str>(..).map_err(|error| self.failed(error))?;
        range
            .map(|row| {
                let (key, value) = row.map_err(|error| self.failed(error))?;
                Ok((key.value().to_owned(), value.value().to_vec()))
            })
            .collect()
    }

    fn failed(&self, error: impl ToString) -> Error {
        Error { path: self.path.to_path_buf(), why: format!("{} (is the disk full or failing?)", error.to_string()) }
    }
}
