//! Reads the text after `--store`. It touches neither network nor files, and no error text repeats a token.
//!
//! `consul://HOST:PORT[,HOST:PORT]/PREFIX[?token=..&ca=..&cert=..&key=..&stale=1]`, `consul+tls://` for HTTPS,
//! `file://` or `file:///path/store.redb`.

use std::path::PathBuf;

use crate::{Error, Options, key};

/// Most servers one URL may name.
const MAX_SERVERS: usize = 16;

/// Where a URL points.
pub(crate) enum Target {
    /// A Consul cluster.
    Consul(Cluster),
    /// A file; none: the one in the state directory.
    File(Option<PathBuf>),
}

/// A Consul cluster's servers or agents, and how to speak with them.
pub(crate) struct Cluster {
    /// `host:port`, brackets around an IPv6 address.
    pub(crate) servers: Vec<String>,
    /// Whether HTTPS is spoken.
    pub(crate) tls: bool,
    /// Put before each key with a `/`.
    pub(crate) prefix: String,
    /// What the URL's query changed.
    pub(crate) options: Options,
}

impl Cluster {
    /// The URL without what is secret.
    pub(crate) fn name(&self) -> String {
        let scheme = if self.tls { "consul+tls" } else { "consul" };
        format!("{scheme}://{}/{}", self.servers.join(","), self.prefix)
    }
}

/// Reads a store's URL; what it does not say is taken from `options`.
pub(crate) fn parse(url: &str, options: Options) -> Result<Target, Error> {
    let bad = |why: String| Error::BadUrl { url: redact(url), why };
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(bad("no scheme (use consul://HOST:8500/vswitch or file://)".to_owned()));
    };
    match scheme {
        "consul" => cluster(rest, false, options).map(Target::Consul).map_err(bad),
        "consul+tls" => cluster(rest, true, options).map(Target::Consul).map_err(bad),
        "file" if rest.is_empty() => Ok(Target::File(None)),
        "file" if rest.starts_with('/') && !rest.ends_with('/') => Ok(Target::File(Some(PathBuf::from(rest)))),
        "file" => {
            Err(bad("the path must be that of a file, from the root: file:///var/lib/vswitch/store.redb".to_owned()))
        }
        _ => Err(bad("unknown scheme (use consul://, consul+tls:// or file://)".to_owned())),
    }
}

fn cluster(rest: &str, tls: bool, mut options: Options) -> Result<Cluster, String> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let default_port = if tls { 8501 } else { 8500 };
    let servers = authority
        .split(',')
        .take(MAX_SERVERS + 1)
        .map(|server| with_port(server, default_port))
        .collect::<Result<Vec<_>, _>>()?;
    if servers.len() > MAX_SERVERS {
        return Err(format!("more than {MAX_SERVERS} servers"));
    }
    let prefix = match path.trim_end_matches('/') {
        "" => "vswitch",
        path => path,
    };
    if prefix.len() > 200 {
        return Err("the prefix is longer than 200 bytes".to_owned());
    }
    if let Err(Error::BadKey { why, .. }) = key::check(prefix) {
        return Err(format!("the prefix: {why}"));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or_else(|| format!("{name}: a wrong %-escape"))?;
        match (name, value.as_str()) {
            ("token", _) => options.token = Some(value).filter(|v| !v.is_empty()),
            ("ca", _) => options.ca_cert = Some(value.into()),
            ("cert", _) => options.client_cert = Some(value.into()),
            ("key", _) => options.client_key = Some(value.into()),
            ("stale", "" | "1" | "true") => options.stale = true,
            ("stale", "0" | "false") => options.stale = false,
            ("stale", _) => return Err("stale: neither 1 nor 0".to_owned()),
            // The name is not repeated: with a stray `&` it may be a piece of the token.
            _ => {
                return Err("unknown parameter (known: token, ca, cert, key, stale; write & as %26)".to_owned());
            }
        }
    }
    if options.client_cert.is_some() != options.client_key.is_some() {
        return Err("cert and key are needed together".to_owned());
    }
    let certificates = options.ca_cert.is_some() || options.client_cert.is_some();
    if certificates && !tls {
        return Err("certificates are of use with consul+tls:// only".to_owned());
    }
    Ok(Cluster { servers, tls, prefix: prefix.to_owned(), options })
}

/// One server of the list, its port made explicit.
fn with_port(server: &str, default_port: u16) -> Result<String, String> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("a [ without ]")?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "no IPv6 address between [ and ]")?;
            let port = match port {
                "" => None,
                _ => Some(port.strip_prefix(':').ok_or("no : after ]")?),
            };
            (format!("[{address}]"), port)
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (server.to_owned(), None),
        },
    };
    if server.contains('@') {
        return Err("user and password are not known to Consul (use ?token=)".to_owned());
    }
    let name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !name && !host.starts_with('[') {
        return Err("no host name or address (IPv6 addresses go in brackets)".to_owned());
    }
    let port = match port {
        None => default_port,
        Some(port) => {
            port.parse::<u16>().ok().filter(|port| *port != 0).ok_or("the port is not a number from 1 to 65535")?
        }
    };
    Ok(format!("{host}:{port}"))
}

/// Undoes %-escapes (RFC 3986, 2.1).
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The URL for error texts: no query, nothing before an `@`, not longer than a line.
fn redact(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let shown = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        _ => url.to_owned(),
    };
    shown.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
