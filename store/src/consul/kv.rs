//! Reading rows: one key, or all below a folder, at once or when they change. It never writes.
//! A row that cannot be understood is left out with a warning; it never hides the others.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Consul;
use super::client::{PATIENCE, Request};
use crate::{Error, MAX_VALUE, Row, Snapshot, key};

/// What a blocking query waits at most; the server adds up to a sixteenth.
const WAIT: Duration = Duration::from_secs(55);

/// One element of Consul's answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Row {
        #[serde(rename = "Key")]
        key: String,
        #[serde(rename = "Value")]
        value: Option<String>,
        #[serde(rename = "ModifyIndex")]
        modify_index: u64,
        #[serde(rename = "Session")]
        session: Option<String>,
    },
    Other(IgnoredAny),
}

/// How new the rows must be, and who may say so. Consul's default, any moment of whoever leads, is not among it: a
/// server that has just become the leader answers before it has applied all of its log, with rows missing.
#[derive(Clone, Copy)]
pub(super) enum Age {
    /// With everything that was ever confirmed: the leader asks the others whether it still is, and has caught up.
    Latest,
    /// What any server has, be it late.
    Any,
    /// As soon as the index is higher than this, or [`WAIT`] is over. A server that is late waits for itself.
    After(u64),
}

impl Consul {
    /// What a read that does not wait asks for.
    pub(super) fn now(&self) -> Age {
        if self.stale { Age::Any } else { Age::Latest }
    }

    /// The rows below `prefix`.
    pub(super) async fn read(&self, prefix: &str, age: Age) -> Result<Snapshot, Error> {
        let mut request = Request::new(Method::GET, format!("/v1/kv/{}{prefix}", self.root));
        // Consul matches plain text: without the slash at the end `a/b` would bring `a/bc` too.
        if prefix.is_empty() || prefix.ends_with('/') {
            request.query.push("recurse".to_owned());
        }
        match age {
            Age::Latest => request.query.push("consistent".to_owned()),
            Age::Any => request.query.push("stale".to_owned()),
            Age::After(index) => {
                if self.stale {
                    request.query.push("stale".to_owned());
                }
                request.query.push(format!("index={index}"));
                request.query.push(format!("wait={}s", WAIT.as_secs()));
                request.patience = WAIT + WAIT / 16 + PATIENCE;
            }
        }
        let answer = self.client.send(&request).await?;
        let Some(index) = answer.index else {
            return Err(self.client.not_consul("it answered without an X-Consul-Index"));
        };
        let entries: Vec<Entry> = match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body)
                .map_err(|e| self.client.not_consul(&format!("its list of keys is not read: {e}")))?,
            StatusCode::NOT_FOUND => Vec::new(),
            status => return Err(self.client.not_consul(&format!("it answered {status}"))),
        };
        let mut rows = BTreeMap::new();
        for entry in entries {
            if let Some(row) = self.row(entry)
                && key::is_below(&row.key, prefix)
            {
                rows.insert(row.key.clone(), row);
            }
        }
        Ok(Snapshot {
            rows,
            // An index of 0 would mean "at once" to the next watch, for ever.
            revision: index.max(1),
        })
    }

    fn row(&self, entry: Entry) -> Option<Row> {
        let Entry::Row { key: full, value, modify_index, session } = entry else {
            self.warnings.once("", 0, self.client.name(), "no key, value and index");
            return None;
        };
        let warn = |why: &str| {
            self.warnings.once(&full, modify_index, self.client.name(), why);
            None
        };
        let Some(key) = full.strip_prefix(&self.root) else {
            return warn("the server sent a key that was not asked for");
        };
        if let Err(Error::BadKey { why, .. }) = key::check(key) {
            return warn(&why);
        }
        let value = match STANDARD.decode(value.unwrap_or_default()) {
            Ok(value) => value,
            Err(_) => return warn("the value is not base64"),
        };
        if value.len() > MAX_VALUE {
            return warn("the value is longer than any the switch writes");
        }
        Some(Row {
            key: key.to_owned(),
            value,
            version: modify_index,
            session: session.filter(|session| !session.is_empty()),
        })
    }
}
