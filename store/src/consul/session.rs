//! Sessions: opened, renewed, closed. Their rows are Consul's to remove: behaviour `delete`.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Consul;
use super::client::Request;
use crate::Error;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewSession<'a> {
    name: &'a str,
    #[serde(rename = "TTL")]
    ttl: String,
    behavior: &'static str,
    lock_delay: &'static str,
    node_checks: [&'static str; 0],
}

#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "ID")]
    id: String,
}

impl Consul {
    pub(super) async fn open(&self, name: &str, ttl: Duration) -> Result<String, Error> {
        let body = NewSession {
            name,
            ttl: format!("{}ms", ttl.as_millis()),
            behavior: "delete",
            // Else nobody could publish the rows again for 15 s after the end of a session.
            lock_delay: "0s",
            // The default, serfHealth, ends a session when gossip loses the agent; ours ends by its time to live only.
            node_checks: [],
        };
        // A session opened twice holds no rows and ends by itself.
        let mut request = Request::new(Method::PUT, "/v1/session/create".to_owned()).repeatable();
        request.body = serde_json::to_vec(&body).map_err(|e| self.client.refused(format!("cannot write JSON: {e}")))?;
        let answer = self.client.send(&request).await?;
        match serde_json::from_slice::<Opened>(&answer.body) {
            Ok(opened) if answer.status == StatusCode::OK && is_id(&opened.id) => Ok(opened.id),
            _ => Err(self.client.not_consul(&format!("it answered {} without a session", answer.status))),
        }
    }

    pub(super) async fn renew(&self, session: &str) -> Result<(), Error> {
        let lost = Error::SessionLost { session: session.to_owned() };
        if !is_id(session) {
            return Err(lost);
        }
        // A leader that has not applied all of its log yet does not know a session that lives: ours would be opened
        // again, and the old one with all its rows ended. Only when a leader that has caught up says so, it is gone.
        if self.renewed(session).await? || (self.is_there(session).await? && self.renewed(session).await?) {
            return Ok(());
        }
        Err(lost)
    }

    /// Asks for another time to live. False: the leader knows of no such session.
    async fn renewed(&self, session: &str) -> Result<bool, Error> {
        let path = format!("/v1/session/renew/{session}");
        let answer = self.client.send(&Request::new(Method::PUT, path).repeatable()).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(self.client.not_consul(&format!("it answered {status} to a renewal"))),
        }
    }

    /// Whether a session is there by all that was ever confirmed.
    async fn is_there(&self, session: &str) -> Result<bool, Error> {
        let mut request = Request::new(Method::GET, format!("/v1/session/info/{session}"));
        request.query.push("consistent".to_owned());
        let answer = self.client.send(&request).await?;
        match serde_json::from_slice::<Option<Vec<IgnoredAny>>>(&answer.body) {
            Ok(found) if answer.status == StatusCode::OK => Ok(found.is_some_and(|found| !found.is_empty())),
            _ => Err(self.client.not_consul(&format!("it answered {} about a session", answer.status))),
        }
    }

    pub(super) async fn close(&self, session: &str) -> Result<(), Error> {
        if !is_id(session) {
            return Ok(());
        }
        let path = format!("/v1/session/destroy/{session}");
        let answer = self.client.send(&Request::new(Method::PUT, path).repeatable()).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            status => Err(self.client.not_consul(&format!("it answered {status} to a session's end"))),
        }
    }
}

/// Whether a text has the form of Consul's session ids (UUIDs) and may stand in a path.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
