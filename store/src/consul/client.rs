//! One HTTP request to the cluster: which server, how long, and what its status means. It knows no keys and sessions.
//! A request that may have been carried out is never sent twice unless that does no harm.

use std::time::Duration;

use rand::RngExt;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use super::servers::Servers;
use crate::Error;

/// How long a request that does not wait for changes may take to be answered, and each piece of an answer to arrive.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Largest answer that is read, in bytes: about four times the largest cluster the switch is made for.
const LARGEST_ANSWER: usize = 256 << 20;

/// Longest part of a server's error text that is shown, in characters.
const SHOWN: usize = 200;

/// A cluster's HTTP side.
pub(super) struct Client {
    http: reqwest::Client,
    servers: Servers,
    token: Option<HeaderValue>,
    name: String,
}

/// A request, not yet addressed to one server.
pub(super) struct Request {
    pub(super) method: Method,
    /// `/v1/...`; made of characters that need no escape.
    pub(super) path: String,
    /// Joined by `&`; made of characters that need no escape.
    pub(super) query: Vec<String>,
    pub(super) body: Vec<u8>,
    /// Until the answer's head is there.
    pub(super) patience: Duration,
    /// Whether carrying it out twice is as good as once.
    pub(super) repeatable: bool,
}

impl Request {
    pub(super) fn new(method: Method, path: String) -> Self {
        Request {
            repeatable: method == Method::GET,
            method,
            path,
            query: Vec::new(),
            body: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// For requests that change something, but no more when they are carried out twice.
    pub(super) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

/// An answer whose status is 200, 404 or 409.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// `X-Consul-Index`.
    pub(super) index: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// Why one server did not answer, and whether the request can have been carried out all the same.
struct Failure {
    why: String,
    maybe_done: bool,
}

impl Client {
    pub(super) fn new(http: reqwest::Client, servers: Servers, token: Option<HeaderValue>, name: String) -> Self {
        Client { http, servers, token, name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> Error {
        Error::Refused { store: self.name.clone(), why: why.into() }
    }

    /// An answer that no Consul gives.
    pub(super) fn not_consul(&self, what: &str) -> Error {
        Error::Corrupt {
            store: self.name.clone(),
            why: format!("{what} (is this address a Consul agent's, without a proxy between?)"),
        }
    }

    /// Asks one server after the other until one answers.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let order = self.servers.order();
        let mut reasons = Vec::new();
        for (attempt, &server) in order.iter().enumerate() {
            if attempt > 0 {
                // The hosts of a cluster lose a server all at once: do not let them meet at the next one.
                let pause = rand::rng().random_range(0..100);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let failure = match self.ask(server, request).await {
                Err(failure) => failure,
                Ok((status, index, body)) => match self.judge(status, &body) {
                    Err(Judgement::Later(failure)) => failure,
                    Err(Judgement::Final(error)) => {
                        self.servers.succeeded(server);
                        return Err(error);
                    }
                    Ok(()) => {
                        self.servers.succeeded(server);
                        return Ok(Answer { status, index, body });
                    }
                },
            };
            self.servers.failed(server);
            reasons.push(format!("{}: {}", self.servers.base(server), failure.why));
            if failure.maybe_done && !request.repeatable {
                break;
            }
        }
        Err(Error::Unreachable { store: self.name.clone(), why: reasons.join("; ") })
    }

    async fn ask(&self, server: usize, request: &Request) -> Result<(StatusCode, Option<u64>, Vec<u8>), Failure> {
        let mut url = format!("{}{}", self.servers.base(server), request.path);
        if !request.query.is_empty() {
            url = format!("{url}?{}", request.query.join("&"));
        }
        let mut builder = self.http.request(request.method.clone(), url);
        if let Some(token) = &self.token {
            builder = builder.header("X-Consul-Token", token.clone());
        }
        if request.method != Method::GET {
            builder = builder.body(request.body.clone());
        }
        let sent = tokio::time::timeout(request.patience, builder.send()).await;
        let mut response = match sent {
            Err(_) => {
                return Err(Failure {
                    why: format!("no answer within {} s", request.patience.as_secs()),
                    maybe_done: true,
                });
            }
            Ok(Err(e)) => {
                return Err(Failure { maybe_done: !e.is_connect() && !e.is_builder(), why: chain(&e.without_url()) });
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        let index = index(response.headers());
        let mut body = Vec::new();
        loop {
            let why = match tokio::time::timeout(PATIENCE, response.chunk()).await {
                Ok(Ok(None)) => return Ok((status, index, body)),
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= LARGEST_ANSWER => {
                    body.extend_from_slice(&chunk);
                    continue;
                }
                Ok(Ok(Some(_))) => format!("an answer of more than {LARGEST_ANSWER} bytes"),
                Ok(Err(e)) => chain(&e.without_url()),
                Err(_) => format!("the answer stopped for {} s", PATIENCE.as_secs()),
            };
            return Err(Failure { why, maybe_done: true });
        }
    }

    /// What a status other than success means. Bodies are the server's plain text; they hold no token.
    fn judge(&self, status: StatusCode, body: &[u8]) -> Result<(), Judgement> {
        if matches!(status.as_u16(), 200 | 404 | 409) {
            return Ok(());
        }
        let text = shown(body);
        // Releases differ in the status of what a server refuses on behalf of an agent.
        if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED || is_about_rights(&text) {
            return Err(Judgement::Final(self.denied(&text)));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Judgement::Later(Failure {
                // Without a leader nothing was proposed, so nothing can have been done.
                maybe_done: !text.contains("No cluster leader"),
                why: format!("{status}: {text}"),
            }));
        }
        Err(Judgement::Final(self.refused(format!("{status}: {text}"))))
    }

    /// The token is wrong or weak.
    pub(super) fn denied(&self, text: &str) -> Error {
        let remedy = match &self.token {
            None => "give a token: ?token=, or CONSUL_HTTP_TOKEN",
            Some(_) => {
                "the token needs `key_prefix \"<prefix>/\" { policy = \"write\" }` and `session_prefix \"\" { policy = \"write\" }`"
            }
        };
        self.refused(format!("{text} ({remedy})"))
    }
}

enum Judgement {
    /// No other server will say anything else.
    Final(Error),
    /// Another server, or this one later, may.
    Later(Failure),
}

/// Whether a server's text speaks of access rights.
pub(super) fn is_about_rights(text: &str) -> bool {
    text.contains("Permission denied") || text.contains("ACL not found")
}

/// The start of a server's text, on one line.
pub(super) fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)])
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(SHOWN)
        .collect()
}

fn index(headers: &HeaderMap) -> Option<u64> {
    headers.get("X-Consul-Index")?.to_str().ok()?.parse().ok()
}

/// An error with its causes: the first alone says "error sending request" only.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
