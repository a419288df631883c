//! A server that answers what no Consul answers, or too late, or not to the end: each is an error by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use store::{Error, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{create, open};

/// A server that gives these answers in turn, the last one for ever, one for each connection.
struct Server {
    store: Arc<dyn Store>,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(answers: &[&str]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let turn = count.fetch_add(1, Ordering::SeqCst);
            let answer = &answers[turn.min(answers.len() - 1)];
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let store = open(&format!("consul://127.0.0.1:{port}/p")).await;
    Server { store, asked, task }
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// The list of keys, with an index.
pub(crate) fn list(index: u64, body: &str) -> String {
    answer("200 OK", &format!("X-Consul-Index: {index}\r\n"), body)
}

async fn read(answer: &str) -> Error {
    serve(&[answer]).await.store.snapshot("").await.unwrap_err()
}

#[tokio::test]
async fn trouble_of_the_server_is_temporary() {
    for (status, body) in [
        ("500 Internal Server Error", "No cluster leader"),
        ("500 Internal Server Error", "rpc error making call: EOF"),
        ("503 Service Unavailable", "rate limit"),
        ("429 Too Many Requests", "Your IP is issuing too many concurrent connections"),
    ] {
        let error = read(&answer(status, "", body)).await;
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(body), "{error}");
    }
    for cut in ["", "HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nContent-Length: 50\r\n\r\n[", "nonsense\r\n\r\n"] {
        assert!(read(cut).await.is_temporary(), "{cut:?}");
    }
}

#[tokio::test]
async fn refusals_are_final() {
    for (status, body) in [
        ("403 Forbidden", "Permission denied"),
        ("403 Forbidden", "ACL not found"),
        ("500 Internal Server Error", "rpc error making call: Permission denied"),
        ("400 Bad Request", "Invalid index"),
        ("301 Moved Permanently", ""),
        ("413 Request Entity Too Large", "too large"),
    ] {
        let error = read(&answer(status, "Location: http://127.0.0.1:1/\r\n", body)).await;
        assert!(matches!(error, Error::Refused { .. }), "{status}: {error}");
    }
}

#[tokio::test]
async fn what_is_not_consul_is_named_so() {
    for text in [
        list(5, "<html>"),
        list(5, "{}"),
        list(5, ""),
        answer("200 OK", "", "[]"),
        answer("404 Not Found", "", "no such page"),
        answer("200 OK", "X-Consul-Index: many\r\n", "[]"),
        answer("409 Conflict", "X-Consul-Index: 5\r\n", "[]"),
    ] {
        let error = read(&text).await;
        assert!(matches!(error, Error::Corrupt { .. }), "{text}: {error}");
        assert!(error.to_string().contains("proxy"), "{error}");
    }
    let long = format!("500 Oops\r\nX: {}", "y".repeat(2000));
    let error = read(&answer(&long, "", &"z".repeat(5000))).await;
    assert!(error.to_string().len() < 500, "an answer is not repeated at length");
}

#[tokio::test]
async fn odd_elements_of_a_list_do_not_hide_the_others() {
    let rows = r#"[
        7, null, [], {}, "x",
        {"Key":"p/no-index","Value":"MQ=="},
        {"Key":"p/negative","Value":"MQ==","ModifyIndex":-1},
        {"Key":"p/number","Value":1,"ModifyIndex":5},
        {"Key":"p/base64","Value":"!!!","ModifyIndex":5},
        {"Key":"q/foreign","Value":"MQ==","ModifyIndex":5},
        {"Key":"p/good","Value":"MQ==","ModifyIndex":5,"Flags":0,"More":{}},
        {"Key":"p/null","Value":null,"ModifyIndex":6,"Session":""}
    ]"#;
    let server = serve(&[&list(6, rows)]).await;
    let snapshot = server.store.snapshot("").await.unwrap();
    assert!(snapshot.rows.keys().eq(["good", "null"]), "{snapshot:?}");
    assert_eq!(snapshot.rows["null"].session, None);
}

#[tokio::test]
async fn an_index_that_goes_back_is_read_again_from_nothing() {
    let old = list(3, r#"[{"Key":"p/old","Value":"","ModifyIndex":3}]"#);
    let new = list(4, r#"[{"Key":"p/new","Value":"","ModifyIndex":4}]"#);
    let server = serve(&[&old, &new]).await;
    let snapshot = server.store.watch("", 100).await.unwrap();
    assert!(snapshot.rows.contains_key("new"));
    assert_eq!(snapshot.revision, 4);
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
    let zero = serve(&[&list(0, "[]")]).await;
    assert_eq!(zero.store.snapshot("").await.unwrap().revision, 1);
}

#[tokio::test]
async fn a_watch_that_never_blocks_is_no_hot_loop() {
    let server = serve(&[&list(9, "[]")]).await;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let watch = server.store.watch("", 9);
        let _ = tokio::time::timeout_at(end.into(), watch).await;
    }
    let asked = server.asked.load(Ordering::SeqCst);
    assert!((1..20).contains(&asked), "asked {asked} times in 2 s");
}

#[tokio::test]
async fn a_write_that_may_have_been_done_is_not_sent_again() {
    let broken = answer("500 Internal Server Error", "", "rpc error making call: EOF");
    let no_leader = answer("500 Internal Server Error", "", "No cluster leader");
    for (text, both) in [(broken.as_str(), false), ("", false), (no_leader.as_str(), true)] {
        let (one, two) = (serve(&[text]).await, serve(&[text]).await);
        let name = |server: &Server| server.store.describe().replace("consul://", "").replace("/p", "");
        let pair = open(&format!("consul://{},{}/p", name(&one), name(&two))).await;
        let error = pair.transact(vec![create("a", "1")]).await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert_eq!(two.asked.load(Ordering::SeqCst), usize::from(both), "{text}");
        assert!(pair.snapshot("").await.is_err());
        assert!(two.asked.load(Ordering::SeqCst) > usize::from(both), "a read tries all");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_5_s() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let store = open(&format!("consul://127.0.0.1:{port}/p")).await;
    let error = store.snapshot("").await.unwrap_err();
    assert!(error.to_string().contains("no answer within 5 s"), "{error}");
    drop(listener);
}

#[tokio::test]
async fn a_refused_transaction_without_a_reason_is_still_an_error() {
    for body in ["", "{}", r#"{"Errors":[]}"#, r#"{"Errors":[{"OpIndex":99,"What":"x"}]}"#, "null", r#"{"Errors":7}"#] {
        let server = serve(&[&answer("409 Conflict", "", body)]).await;
        let error = server.store.transact(vec![create("a", "1")]).await.unwrap_err();
        assert!(!matches!(error, Error::Conflict { .. }), "{body}: {error}");
    }
}
