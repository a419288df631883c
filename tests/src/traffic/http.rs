//! One HTTP GET over IPv4 or IPv6, for asking a server of the lab. Not a client: no redirects, no TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::netns::Place;

const LIMIT: Duration = Duration::from_secs(5);

/// Fetches `http://IP:PORT/PATH` from inside the place and returns the body; only 200 is success.
pub fn get(from: &impl Place, url: &str) -> Result<String> {
    let rest = url.strip_prefix("http://").context("not an http:// URL")?;
    let (server, path) = rest.split_once('/').context("no path in the URL")?;
    let address: SocketAddr = server.parse().with_context(|| format!("not IP:PORT: {server}"))?;
    let said = from.enter(|| {
        let mut connection = TcpStream::connect_timeout(&address, LIMIT)?;
        connection.set_read_timeout(Some(LIMIT))?;
        write!(connection, "GET /{path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
        let mut said = String::new();
        connection.read_to_string(&mut said)?;
        Ok(said)
    })?;
    let (head, body) = said.split_once("\r\n\r\n").context("no HTTP answer")?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => bail!("{url}: {}: {body}", head.lines().next().unwrap_or_default()),
    }
}
