//! A server that became the leader a moment ago and has not applied all of its log yet: to Consul's default reads it
//! shows a past with rows missing, and it does not know sessions that live. None of that may come through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use store::{Error, Op, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::hostile::{answer, list};
use crate::open;

const ALL: &str = r#"[{"Key":"p/a","Value":"MQ==","ModifyIndex":7},{"Key":"p/b","Value":"MQ==","ModifyIndex":9}]"#;
const FEW: &str = r#"[{"Key":"p/a","Value":"MQ==","ModifyIndex":7}]"#;
const SESSION: &str = "6a0f3c2e-1111-2222-3333-444455556666";

/// Opens a store whose server answers as `reply` says, given the first line of each request. `query` is the URL's.
async fn served(query: &str, reply: impl Fn(&str) -> String + Send + 'static) -> Arc<dyn Store> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            let _ = stream.write_all(reply(text.lines().next().unwrap_or_default()).as_bytes()).await;
        }
    });
    open(&format!("consul://127.0.0.1:{port}/p{query}")).await
}

/// The rows as a young leader tells them: all of them only when it is asked to be sure.
fn young(line: &str) -> String {
    if line.contains("consistent") { list(9, ALL) } else { list(7, FEW) }
}

#[tokio::test]
async fn a_snapshot_has_all_rows() {
    let store = served("", young).await;
    let snapshot = store.snapshot("").await.unwrap();
    assert!(snapshot.rows.keys().eq(["a", "b"]), "{snapshot:?}");
}

#[tokio::test]
async fn the_first_watch_and_the_one_after_a_failure_have_all_rows() {
    let away = Arc::new(AtomicBool::new(false));
    let server = Arc::clone(&away);
    let store = served("", move |line| match server.load(Ordering::SeqCst) {
        true => answer("500 Internal Server Error", "", "No cluster leader"),
        false => young(line),
    })
    .await;
    let first = store.watch("", 0).await.unwrap();
    assert!(first.rows.keys().eq(["a", "b"]), "{first:?}");
    away.store(true, Ordering::SeqCst);
    assert!(store.watch("", first.revision).await.is_err());
    away.store(false, Ordering::SeqCst);
    for revision in [first.revision, 0] {
        let after = store.watch("", revision).await.unwrap();
        assert_eq!(after, first);
    }
}

#[tokio::test]
async fn an_index_that_goes_back_is_looked_into() {
    let store = served("", young).await;
    let snapshot = store.watch("", 9).await.unwrap();
    assert!(snapshot.rows.keys().eq(["a", "b"]), "{snapshot:?}");
}

#[tokio::test]
async fn any_server_may_answer_but_not_with_less_than_was_known() {
    let (turn, leader) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let there = Arc::clone(&leader);
    let store = served("?stale=1", move |line| {
        if line.contains("consistent") && there.load(Ordering::SeqCst) {
            return list(9, ALL);
        }
        if line.contains("consistent") {
            return answer("500 Internal Server Error", "", "No cluster leader");
        }
        // The first server has all, then it fails, then one answers that is behind.
        match turn.fetch_add(1, Ordering::SeqCst) {
            0 => list(9, ALL),
            1 => answer("500 Internal Server Error", "", "rpc error making call: EOF"),
            _ => list(7, FEW),
        }
    })
    .await;
    let first = store.watch("", 0).await.unwrap();
    assert_eq!(first.rows.len(), 2, "without a leader too");
    assert!(store.watch("", first.revision).await.is_err());
    for revision in [first.revision, 0] {
        let late = store.watch("", revision).await;
        assert!(matches!(late, Err(Error::Unreachable { .. })), "{late:?}");
    }
    leader.store(true, Ordering::SeqCst);
    assert_eq!(store.watch("", 0).await.unwrap(), first);
}

#[tokio::test]
async fn a_session_it_does_not_know_yet_is_not_lost() {
    let renewals = AtomicUsize::new(0);
    let store = served("", move |line| match line.starts_with("PUT /v1/session/renew/") {
        true if renewals.fetch_add(1, Ordering::SeqCst) == 0 => answer("404 Not Found", "", "Session id not found"),
        true => answer("200 OK", "", "[{}]"),
        false => {
            assert!(line.starts_with("GET /v1/session/info/") && line.contains("?consistent"), "{line}");
            answer("200 OK", "X-Consul-Index: 9\r\n", r#"[{"ID":"x"}]"#)
        }
    })
    .await;
    store.renew_session(SESSION).await.unwrap();
}

#[tokio::test]
async fn a_session_is_lost_only_when_a_leader_is_sure() {
    for (status, body, lost) in [
        ("200 OK", "[]", true),
        ("200 OK", "null", true),
        ("500 Internal Server Error", "Not ready to serve consistent reads", false),
        ("200 OK", "<html>", false),
    ] {
        let info = answer(status, "X-Consul-Index: 9\r\n", body);
        let store = served("", move |line| match line.starts_with("PUT ") {
            true => answer("404 Not Found", "", "Session id not found"),
            false => info.clone(),
        })
        .await;
        let result = store.renew_session(SESSION).await;
        assert_eq!(matches!(result, Err(Error::SessionLost { .. })), lost, "{body}: {result:?}");
    }
}

#[tokio::test]
async fn expectations_alone_are_checked_against_all_rows() {
    let store = served("", |line| match line.contains("?consistent") {
        true => answer("200 OK", "", r#"{"Results":[],"Errors":null}"#),
        false => answer("409 Conflict", "", r#"{"Errors":[{"OpIndex":0,"What":"key does not exist"}]}"#),
    })
    .await;
    let expect = Op::Expect { key: "a".to_owned(), version: Some(7) };
    store.transact(vec![expect]).await.unwrap();
}
