//! The client against servers that answer byte for byte what a test says, well or badly.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A socket where one request is answered with these bytes, after which the connection is closed.
struct Once {
    socket: PathBuf,
    _home: tempfile::TempDir,
    request: std::thread::JoinHandle<Vec<u8>>,
}

fn once(answer: impl Into<Vec<u8>>) -> Once {
    let answer = answer.into();
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let request = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while !complete(&request) {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(n) => request.extend_from_slice(&part[..n]),
            }
        }
        let _ = stream.write_all(&answer);
        request
    });
    Once { socket, _home: home, request }
}

/// Whether the head and as much body as it announces are there.
fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()))
        .unwrap_or(0);
    body.len() >= length
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn an_answer_is_read_and_the_body_is_sent() {
    let server = once(http("201 Created", r#"{"id":"ab"}"#));
    let answer: Value = wait(Client::new(&server.socket).post("/v1/networks", &json!({"name": "RED"}))).unwrap();
    assert_eq!(answer, json!({"id": "ab"}));
    let request = String::from_utf8(server.request.join().unwrap()).unwrap();
    assert!(request.starts_with("POST /v1/networks HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json"), "{request}");
    assert!(request.ends_with(r#"{"name":"RED"}"#), "{request}");
}

#[test]
fn no_content_reads_as_nothing() {
    let server = once("HTTP/1.1 204 No Content\r\n\r\n");
    wait(Client::new(&server.socket).delete::<()>("/v1/networks/RED")).unwrap();
}

#[test]
fn an_answer_that_closes_the_connection_is_whole() {
    let body = format!("[{}0]", "0,".repeat(100_000));
    let server = once(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"));
    let answer: Vec<u8> = wait(Client::new(&server.socket).get("/v1/flows")).unwrap();
    assert_eq!(answer.len(), 100_001);
}

#[test]
fn a_refusal_keeps_its_words() {
    let body = r#"{"error":"network RED not found","object":"network RED","remedy":"see `vsctl network ls`"}"#;
    let server = once(http("404 Not Found", body));
    let error = wait(Client::new(&server.socket).get::<Value>("/v1/networks/RED")).unwrap_err();
    assert_eq!(error.to_string(), "network RED not found");
    assert_eq!(error.status(), Some(404));
    assert_eq!(error.object(), Some("network RED"));
    assert_eq!(error.remedy().as_deref(), Some("see `vsctl network ls`"));
    assert!(error.is_not_found());
}

#[test]
fn a_refusal_in_other_words_is_told_with_its_status() {
    let server = once(http("404 Not Found", "no such page"));
    let error = wait(Client::new(&server.socket).get::<Value>("/v1/x")).unwrap_err();
    assert!(error.to_string().ends_with("404 Not Found: no such page"), "{error}");
    assert_eq!(error.status(), None, "not vswitchd's word");
}

#[test]
fn what_is_not_http_or_not_the_answer_is_told_and_not_believed() {
    for answer in [
        &b"\x00\xff\x00\xff\r\n\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}}",
    ] {
        let server = once(answer);
        let error = wait(Client::new(&server.socket).get::<Vec<u64>>("/v1/fdb")).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{answer:?}: {error:?}");
        assert!(error.remedy().is_some());
    }
}

#[test]
fn a_missing_socket_is_told_with_its_path_and_what_to_do() {
    let error = wait(Client::new(Path::new("/nonexistent/vswitchd.sock")).get::<Value>("/v1/show")).unwrap_err();
    assert_eq!(error.to_string(), "vswitchd is not reachable at /nonexistent/vswitchd.sock: no such file or directory");
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains("is it running?") && remedy.contains("--socket"), "{remedy}");
}

#[test]
fn silence_ends_at_the_deadline() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("api.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let client = Client::new(&socket).with_deadline(Duration::from_millis(50));
    let error = wait(client.get::<Value>("/v1/show")).unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
    assert!(error.to_string().ends_with("did not answer GET /v1/show within 0.05 s"), "{error}");
}

#[test]
fn a_segment_is_one_segment() {
    assert_eq!(segment("RED-1.a_b~c"), "RED-1.a_b~c");
    assert_eq!(segment("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
    assert_eq!(segment("fd00::1"), "fd00%3A%3A1");
}

proptest! {
    #[test]
    fn a_segment_is_always_a_valid_path(text in "\\PC{0,40}") {
        let path = format!("/v1/networks/{}", segment(&text));
        let uri: hyper::Uri = path.parse().unwrap();
        prop_assert_eq!(uri.path(), path.as_str());
        prop_assert!(uri.query().is_none());
    }
}
