//! What is particular to the file: it is found again, owned by one process, and never trusted.

use std::time::Duration;

use store::{Error, Options};

use crate::{TTL, create, keys, open, open_with, publish, put};

#[tokio::test]
async fn rows_are_found_again_but_not_those_of_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/deep/er/s.redb", folder.path().display());
    let first = open(&url).await;
    assert_eq!(first.describe(), url);
    assert!(!first.shared());
    let session = first.open_session("host", TTL * 100).await.unwrap();
    let ops = vec![create("a", "1"), publish("b", "2", &session)];
    first.transact(ops).await.unwrap();
    let before = first.snapshot("").await.unwrap();
    let twice = open_with(&url, Options::default()).await.err().unwrap();
    assert!(matches!(twice, Error::Refused { .. }) && twice.to_string().contains("another process"));
    drop(first);

    let second = open(&url).await;
    assert_eq!(keys(&*second).await, ["a"]);
    let after = second.snapshot("").await.unwrap();
    assert_eq!(after.rows["a"], before.rows["a"]);
    assert!(after.revision > before.revision, "the removal is a change");
    let lost = second.renew_session(&session).await;
    assert!(matches!(lost, Err(Error::SessionLost { .. })));
    // A revision of before the restart wakes at once; a current one does not.
    second.watch("none/", before.revision).await.unwrap();
    let waits = second.watch("none/", after.revision);
    assert!(tokio::time::timeout(Duration::from_millis(200), waits).await.is_err());
}

#[tokio::test]
async fn the_state_directory_is_the_default() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = store::open("file://", folder.path(), Options::default()).await.unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(store.describe(), format!("file://{}", path.display()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn changes_elsewhere_do_not_wake() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&format!("file://{}/s.redb", folder.path().display())).await;
    let revision = store.snapshot("a/").await.unwrap().revision;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.watch("a/", revision).await })
    };
    for i in 0..50 {
        store.transact(vec![put("b/x", &i.to_string())]).await.unwrap();
    }
    assert!(!waiting.is_finished());
    store.transact(vec![put("a/x", "1")]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().rows.len(), 1);
}

#[tokio::test]
async fn places_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let below_a_file = format!("file://{}/s.redb", file.display());
    let error = open_with(&below_a_file, Options::default()).await.err().unwrap();
    assert!(error.to_string().contains("cannot create"), "{error}");
    let a_folder = format!("file://{}", folder.path().display());
    assert!(open_with(&a_folder, Options::default()).await.is_err());
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.redb");
    let url = format!("file://{}", good.display());
    let store = open(&url).await;
    for i in 0..40 {
        let value = "v".repeat(i * 100);
        store.transact(vec![put(&format!("k/{i}"), &value)]).await.unwrap();
    }
    let rows = store.snapshot("").await.unwrap().rows;
    drop(store);
    let bytes = std::fs::read(&good).unwrap();
    let bad = folder.path().join("bad.redb");
    let url = format!("file://{}", bad.display());
    let mut refused = 0;
    for i in 0..120_usize {
        let mut damaged = bytes.clone();
        match i % 4 {
            0 => damaged.truncate(bytes.len() * i / 120),
            1 => damaged[i].rotate(),
            2 => damaged[bytes.len() / 120 * i].rotate(),
            _ => damaged[bytes.len() / 120 * i..].iter_mut().take(600).for_each(Rotate::rotate),
        }
        std::fs::write(&bad, &damaged).unwrap();
        match open_with(&url, Options::default()).await {
            // Damage where nothing is kept does not matter; a file cut to nothing is a new one.
            Ok(store) => {
                let read = store.snapshot("").await.unwrap().rows;
                assert!(read == rows || damaged.is_empty(), "damage {i} went unnoticed");
            }
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(text.contains("bad.redb"), "{text}");
                assert!(!text.contains("unexpectedly"), "damage {i} made it panic");
            }
        }
    }
    assert!(refused > 30, "{refused}");
    std::fs::write(&bad, b"not a database, but a letter").unwrap();
    let error = open_with(&url, Options::default()).await.err().unwrap();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
}

/// Makes a byte another one.
trait Rotate {
    fn rotate(&mut self);
}

impl Rotate for u8 {
    fn rotate(&mut self) {
        *self ^= 0x5a;
    }
}

/// Runs itself again with a small file system of its own, which needs root.
#[tokio::test]
async fn a_full_disk_is_survived() {
    const PLACE: &str = "VSWITCH_TEST_SMALL_DISK";
    let Ok(folder) = std::env::var(PLACE) else {
        let folder = tempfile::tempdir().unwrap();
        let inner = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg(format!(
                "mount -t tmpfs -o size=3m none \"${PLACE}\" && exec \"$0\" --exact file::a_full_disk_is_survived"
            ))
            .arg(std::env::current_exe().unwrap())
            .env(PLACE, folder.path())
            .output()
            .unwrap();
        assert!(
            inner.status.success(),
            "{}{}",
            String::from_utf8_lossy(&inner.stdout),
            String::from_utf8_lossy(&inner.stderr)
        );
        return;
    };
    let store = open(&format!("file://{folder}/s.redb")).await;
    store.transact(vec![put("first", "1")]).await.unwrap();
    let ballast = format!("{folder}/ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let mut written = 0;
    let error = loop {
        let value = vec![1; store::MAX_VALUE];
        let key = format!("big/{written}");
        match store.transact(vec![store::Op::Put { key, value }]).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the disk never was full");
    };
    assert!(error.is_temporary(), "{error}");
    assert!(error.to_string().contains("disk full"), "{error}");
    std::fs::remove_file(&ballast).unwrap();
    let mut tries = 0;
    while let Err(error) = store.transact(vec![put("after", "1")]).await {
        tries += 1;
        assert!(error.is_temporary() && tries < 3, "{error}");
    }
    let rows = store.snapshot("").await.unwrap().rows;
    assert!(rows.contains_key("first") && rows.contains_key("after"));
    assert_eq!(rows.keys().filter(|key| key.starts_with("big/")).count(), written);
}
