//! Contract: rows that live as long as a session.

use std::sync::Arc;

use store::{Error, Op, Store};

use crate::{TTL, conflict, create, keys, publish, put, version, wait_for_keys};

async fn open(store: &dyn Store) -> String {
    store.open_session("host1", TTL).await.unwrap()
}

fn is_lost(result: Result<(), Error>, session: &str) -> bool {
    matches!(result, Err(Error::SessionLost { session: lost }) if lost == session)
}

pub(crate) async fn rows_vanish_when_a_session_is_closed(store: Arc<dyn Store>) {
    let session = store.open_session("a name: \"quoted\"", TTL * 10).await.unwrap();
    let ops = vec![publish("s/a", "1", &session), publish("s/b", "2", &session), create("s/c", "3")];
    store.transact(ops).await.unwrap();
    let rows = store.snapshot("s/").await.unwrap().rows;
    assert_eq!(rows["s/a"].session.as_ref(), Some(&session));
    assert_eq!(rows["s/c"].session, None);
    store.transact(vec![publish("s/a", "changed", &session)]).await.unwrap();
    store.close_session(&session).await.unwrap();
    wait_for_keys(&*store, "s/", 0, &["s/c"]).await;
    store.close_session(&session).await.unwrap();
    // Nothing keeps the next session from publishing the same rows at once.
    let next = open(&*store).await;
    assert_ne!(next, session);
    store.transact(vec![publish("s/a", "1", &next)]).await.unwrap();
}

pub(crate) async fn rows_vanish_when_a_session_is_not_renewed(store: Arc<dyn Store>) {
    let session = open(&*store).await;
    store.transact(vec![publish("e/a", "1", &session)]).await.unwrap();
    assert_eq!(keys(&*store).await, ["e/a"]);
    let revision = store.snapshot("e/").await.unwrap().revision;
    wait_for_keys(&*store, "e/", revision, &[]).await;
    assert!(is_lost(store.renew_session(&session).await, &session));
}

pub(crate) async fn a_renewed_session_stays(store: Arc<dyn Store>) {
    let session = open(&*store).await;
    store.transact(vec![publish("r/a", "1", &session)]).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(TTL / 4).await;
        store.renew_session(&session).await.unwrap();
    }
    assert_eq!(keys(&*store).await, ["r/a"]);
}

pub(crate) async fn unknown_sessions_are_lost(store: Arc<dyn Store>) {
    for session in ["6a0f3c2e-1111-2222-3333-444455556666", "none", "", "../../kv/x?recurse", "ä"] {
        assert!(is_lost(store.renew_session(session).await, session), "{session}");
        store.close_session(session).await.unwrap();
        let ops = vec![put("u/a", "1"), publish("u/b", "1", session)];
        let result = store.transact(ops).await;
        assert!(is_lost(result.clone(), session), "{session}: {result:?}");
    }
    assert!(keys(&*store).await.is_empty());
}

pub(crate) async fn another_sessions_row_is_not_taken(store: Arc<dyn Store>) {
    let one = store.open_session("one", TTL * 10).await.unwrap();
    let two = store.open_session("two", TTL * 10).await.unwrap();
    store.transact(vec![publish("o/a", "1", &one)]).await.unwrap();
    let taken = store.transact(vec![put("o/b", ""), publish("o/a", "2", &two)]).await;
    assert_eq!(conflict(taken), "o/a");
    store.close_session(&one).await.unwrap();
    store.transact(vec![publish("o/a", "2", &two)]).await.unwrap();
    let rows = store.snapshot("o/").await.unwrap().rows;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows["o/a"].session, Some(two));
}

pub(crate) async fn owned_rows_keep_their_owner(store: Arc<dyn Store>) {
    let session = store.open_session("one", TTL * 10).await.unwrap();
    store.transact(vec![create("k/a", "1"), publish("k/b", "1", &session)]).await.unwrap();
    // A row that has no owner can be taken into ownership; writing an owned one leaves it owned.
    store.transact(vec![publish("k/a", "1", &session), put("k/b", "2")]).await.unwrap();
    let replace = Op::Replace { key: "k/a".to_owned(), value: b"3".to_vec(), version: version(&*store, "k/a").await };
    store.transact(vec![replace]).await.unwrap();
    let rows = store.snapshot("k/").await.unwrap().rows;
    assert_eq!(rows["k/a"].value, b"3");
    assert_eq!(rows["k/b"].value, b"2");
    assert!(rows.values().all(|row| row.session.as_ref() == Some(&session)));
    store.close_session(&session).await.unwrap();
    wait_for_keys(&*store, "k/", 0, &[]).await;
}
