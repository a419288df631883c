//! Contract: what a transaction does, and what it refuses.

use std::sync::Arc;

use store::{Error, MAX_KEY, MAX_OPS, MAX_TRANSACTION, MAX_VALUE, Op, Store};

use crate::{conflict, create, delete, keys, put, version};

pub(crate) async fn values_are_bytes(store: Arc<dyn Store>) {
    let values: [Vec<u8>; 4] = [vec![], vec![0xff, 0, 0xc3], b"{}".to_vec(), vec![7; MAX_VALUE]];
    for (i, value) in values.iter().enumerate() {
        let key = format!("bytes/{i}");
        let value = value.clone();
        store.transact(vec![Op::Create { key, value }]).await.unwrap();
    }
    let snapshot = store.snapshot("bytes/").await.unwrap();
    assert!(snapshot.revision > 0);
    let read: Vec<_> = snapshot.rows.values().map(|row| row.value.clone()).collect();
    assert_eq!(read, values);
    for (key, row) in &snapshot.rows {
        assert_eq!(*key, row.key);
        assert!(row.version > 0 && row.session.is_none());
    }
}

pub(crate) async fn compare_and_set(store: Arc<dyn Store>) {
    let replace = |value: &str, version| vec![Op::Replace { key: "cas/a".to_owned(), value: value.into(), version }];
    assert_eq!(conflict(store.transact(replace("0", 1)).await), "cas/a");
    assert_eq!(conflict(store.transact(replace("0", 0)).await), "cas/a");
    store.transact(vec![create("cas/a", "1")]).await.unwrap();
    let first = version(&*store, "cas/a").await;
    store.transact(replace("2", first)).await.unwrap();
    assert_eq!(conflict(store.transact(replace("3", first)).await), "cas/a");
    let snapshot = store.snapshot("cas/a").await.unwrap();
    assert_eq!(snapshot.rows["cas/a"].value, b"2");
    assert_ne!(snapshot.rows["cas/a"].version, first);
    // A version is not used again by a row that was removed and made anew.
    store.transact(vec![delete("cas/a")]).await.unwrap();
    store.transact(vec![create("cas/a", "1")]).await.unwrap();
    assert_eq!(conflict(store.transact(replace("4", first)).await), "cas/a");
}

pub(crate) async fn one_of_twenty_creates_wins(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let ops = vec![create("race/it", &i.to_string()), create(&format!("race/by{i}"), "")];
            store.transact(ops).await.map(|()| i)
        });
    }
    let results = tasks.join_all().await;
    let winners: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    for lost in results.iter().filter_map(|r| r.as_ref().err()) {
        assert!(matches!(lost, Error::Conflict { key, .. } if key == "race/it"), "{lost}");
    }
    assert_eq!(keys(&*store).await, [format!("race/by{}", winners[0]), "race/it".to_owned()]);
}

pub(crate) async fn all_or_nothing(store: Arc<dyn Store>) {
    store.transact(vec![create("all/b", "old")]).await.unwrap();
    let ops = vec![create("all/a", "1"), put("all/b", "new"), create("all/b", "2"), create("all/c", "3")];
    assert_eq!(conflict(store.transact(ops).await), "all/b");
    let rows = store.snapshot("all/").await.unwrap().rows;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows["all/b"].value, b"old");
    store.transact(vec![]).await.unwrap();
    let ops = (0..MAX_OPS).map(|i| create(&format!("all/n{i}"), "x")).collect();
    store.transact(ops).await.unwrap();
    assert_eq!(keys(&*store).await.len(), 1 + MAX_OPS);
}

pub(crate) async fn deletions_and_expectations(store: Arc<dyn Store>) {
    let delete_if = |version| Op::DeleteIf { key: "del/a".to_owned(), version };
    let expect = |version| Op::Expect { key: "del/a".to_owned(), version };
    store.transact(vec![delete("del/a")]).await.unwrap();
    assert_eq!(conflict(store.transact(vec![delete_if(1)]).await), "del/a", "it is not there");
    assert_eq!(conflict(store.transact(vec![expect(Some(1))]).await), "del/a");
    assert_eq!(conflict(store.transact(vec![expect(Some(0))]).await), "del/a");
    store.transact(vec![expect(None), create("del/a", "1")]).await.unwrap();
    let at = version(&*store, "del/a").await;
    assert_eq!(conflict(store.transact(vec![expect(None)]).await), "del/a");
    let ops = vec![put("del/b", ""), delete_if(at + 1000)];
    assert_eq!(conflict(store.transact(ops).await), "del/a");
    store.transact(vec![expect(Some(at)), put("del/c", "1")]).await.unwrap();
    store.transact(vec![put("del/d", "1"), delete_if(at)]).await.unwrap();
    store.transact(vec![delete("del/c"), delete("del/c")]).await.unwrap();
    assert_eq!(keys(&*store).await, ["del/d"]);
}

pub(crate) async fn same_value_is_no_change(store: Arc<dyn Store>) {
    store.transact(vec![put("same/a", "1")]).await.unwrap();
    let at = version(&*store, "same/a").await;
    store.transact(vec![put("same/a", "1")]).await.unwrap();
    assert_eq!(version(&*store, "same/a").await, at);
    store.transact(vec![put("same/a", "2")]).await.unwrap();
    assert_ne!(version(&*store, "same/a").await, at);
}

pub(crate) async fn limits_are_refused(store: Arc<dyn Store>) {
    let too_large = |result: Result<(), Error>| matches!(result, Err(Error::TooLarge { .. }));
    let many = (0..=MAX_OPS).map(|i| create(&format!("big/{i}"), "")).collect();
    assert!(too_large(store.transact(many).await));
    let sized = |key: &str, size| Op::Put { key: key.to_owned(), value: vec![b'x'; size] };
    assert!(too_large(store.transact(vec![sized("big/a", MAX_VALUE + 1)]).await));
    let three = vec![sized("big/a", MAX_VALUE), sized("big/b", MAX_VALUE), sized("big/c", MAX_VALUE)];
    assert!(too_large(store.transact(three).await));
    assert!(keys(&*store).await.is_empty());
    // The largest that is allowed is taken, with the longest keys.
    let key = |i: usize| format!("{i:03}/{}", "k".repeat(MAX_KEY - 60));
    let size = MAX_TRANSACTION / MAX_OPS;
    let ops = (0..MAX_OPS).map(|i| sized(&key(i), size)).collect();
    store.transact(ops).await.unwrap();
    assert_eq!(keys(&*store).await.len(), MAX_OPS);
}

pub(crate) async fn wrong_keys_are_refused(store: Arc<dyn Store>) {
    for key in ["", "/a", "a/", "a//b", "../a", "a/./b", "a:b", "a b", "a%20b", "a?b", "ä", "a\n"] {
        let ops = vec![put("fine", "1"), put(key, "1")];
        let result = store.transact(ops).await;
        assert!(matches!(result, Err(Error::BadKey { .. })), "{key:?}: {result:?}");
    }
    for prefix in ["/", "a//", "a?b", "a&recurse", "../"] {
        let bad = |result| matches!(result, Err(Error::BadKey { .. }));
        assert!(bad(store.snapshot(prefix).await), "{prefix:?}");
        assert!(bad(store.watch(prefix, 0).await), "{prefix:?}");
    }
    assert!(keys(&*store).await.is_empty());
}

pub(crate) async fn prefixes_are_folders_or_keys(store: Arc<dyn Store>) {
    let all = ["a/b", "a/b/c", "a/bc", "a0", "b"];
    store.transact(all.iter().map(|key| create(key, key)).collect()).await.unwrap();
    for (prefix, expected) in [
        ("", &all[..]),
        ("a/", &["a/b", "a/b/c", "a/bc"]),
        ("a/b/", &["a/b/c"]),
        ("a/b", &["a/b"]),
        ("a", &[]),
        ("none/", &[]),
    ] {
        let rows = store.snapshot(prefix).await.unwrap().rows;
        assert!(rows.keys().eq(expected), "{prefix:?}: {rows:?}");
    }
}
