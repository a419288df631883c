//! A small file of the host's that others change as they like. Looked at, not watched: it costs an idle host nothing.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
const LONGEST: u64 = 1 << 16;

/// The file, and what it was when it was read last.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Device, inode, size, and time of the change, in nanoseconds.
    seen: Option<(u64, u64, u64, i128)>,
}

impl File {
    pub(super) fn new(path: &Path) -> File {
        File { path: path.into(), seen: None }
    }

    /// Its text, if it is not what was read last. A file that cannot be read says nothing: what it said last stays.
    pub(super) async fn fresh(&mut self) -> Option<String> {
        // Through links, which is how others put their file in its place.
        let meta = tokio::fs::metadata(&self.path).await.ok()?;
        let now = Some(identity(&meta));
        if now == self.seen || meta.len() > LONGEST {
            return None;
        }
        let bytes = tokio::fs::read(&self.path).await.ok()?;
        self.seen = now;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn identity(meta: &Metadata) -> (u64, u64, u64, i128) {
    let time = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    (meta.dev(), meta.ino(), meta.len(), time)
}
