//! Contract: watches wake for what happens below their prefix.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::Store;

use crate::{TTL, create, delete, publish, put, wait_for_keys};

/// Does something a moment after a watch has begun to wait.
fn shortly(store: &Arc<dyn Store>, ops: Vec<store::Op>) -> tokio::task::JoinHandle<()> {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.transact(ops).await.unwrap();
    })
}

pub(crate) async fn an_empty_prefix_wakes_on_create(store: Arc<dyn Store>) {
    let before = store.snapshot("none/yet/").await.unwrap();
    assert!(before.rows.is_empty() && before.revision > 0);
    let change = shortly(&store, vec![create("none/yet/a", "1")]);
    wait_for_keys(&*store, "none/yet/", before.revision, &["none/yet/a"]).await;
    change.await.unwrap();
}

pub(crate) async fn a_watch_wakes_on_delete(store: Arc<dyn Store>) {
    store.transact(vec![create("w/a", "1"), create("w/b", "1")]).await.unwrap();
    let revision = store.snapshot("w/").await.unwrap().revision;
    let change = shortly(&store, vec![delete("w/b")]);
    wait_for_keys(&*store, "w/", revision, &["w/a"]).await;
    change.await.unwrap();
    let revision = store.snapshot("w/").await.unwrap().revision;
    let change = shortly(&store, vec![delete("w/a")]);
    wait_for_keys(&*store, "w/", revision, &[]).await;
    change.await.unwrap();
}

pub(crate) async fn a_single_key_is_watched(store: Arc<dyn Store>) {
    let mut revision = store.snapshot("one/key").await.unwrap().revision;
    let change = shortly(&store, vec![create("one/key2", "x"), create("one/key", "1")]);
    wait_for_keys(&*store, "one/key", revision, &["one/key"]).await;
    change.await.unwrap();
    revision = store.snapshot("one/key").await.unwrap().revision;
    let change = shortly(&store, vec![put("one/key", "2")]);
    loop {
        let snapshot = store.watch("one/key", revision).await.unwrap();
        if snapshot.rows["one/key"].value == b"2" {
            break;
        }
        revision = snapshot.revision;
    }
    change.await.unwrap();
}

pub(crate) async fn no_revision_returns_at_once(store: Arc<dyn Store>) {
    let started = Instant::now();
    assert!(store.watch("", 0).await.unwrap().rows.is_empty());
    store.transact(vec![create("a", "1")]).await.unwrap();
    assert_eq!(store.watch("", 0).await.unwrap().rows.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
}

pub(crate) async fn a_session_end_wakes(store: Arc<dyn Store>) {
    let session = store.open_session("host", TTL * 20).await.unwrap();
    store.transact(vec![publish("h/a", "1", &session)]).await.unwrap();
    let revision = store.snapshot("h/").await.unwrap().revision;
    let closer = Arc::clone(&store);
    let change = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        closer.close_session(&session).await.unwrap();
    });
    wait_for_keys(&*store, "h/", revision, &[]).await;
    change.await.unwrap();
}

pub(crate) async fn many_watches_do_not_starve_others(store: Arc<dyn Store>) {
    let mut watchers = tokio::task::JoinSet::new();
    for i in 0..24 {
        let store = Arc::clone(&store);
        watchers.spawn(async move {
            let prefix = format!("m/{i}/");
            let key = format!("{prefix}x");
            let revision = store.snapshot(&prefix).await.unwrap().revision;
            wait_for_keys(&*store, &prefix, revision, &[&key]).await;
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for i in 0..24 {
        store.transact(vec![create(&format!("m/{i}/x"), "")]).await.unwrap();
    }
    watchers.join_all().await;
}
