//! Raw requests to a daemon's API socket, for what no client would send. Scenarios otherwise use `vsctl`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// Sends one request with this body, as it is, and returns the status and the JSON answer, or null.
pub fn request(socket: &Path, method: &str, path: &str, body: &[u8]) -> Result<(u16, Value)> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: vswitch\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let said = raw(socket, &[head.as_bytes(), body].concat())?;
    let text = String::from_utf8_lossy(&said);
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no HTTP answer: {text:?}"))?;
    let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

/// Sends any bytes, closes that direction and returns what came back until the daemon closed.
pub fn raw(socket: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut connection =
        UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    // The daemon may refuse and close before it has read everything: its answer still counts.
    let _ = connection.write_all(bytes);
    let _ = connection.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let _ = connection.read_to_end(&mut said);
    Ok(said)
}
