//! Writing: a transaction of ours as one of Consul's, and its refusal as our error. Never split, never retried blindly.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::Consul;
use super::client::{Request, is_about_rights, shown};
use super::session::is_id;
use crate::{Error, Op, key};

/// One step as Consul's `PUT /v1/txn` takes it.
#[derive(Serialize)]
struct Step {
    #[serde(rename = "KV")]
    kv: Kv,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kv {
    verb: &'static str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
}

/// The body of a 409.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rejection {
    #[serde(default)]
    errors: Option<Vec<StepError>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StepError {
    #[serde(default)]
    op_index: usize,
    #[serde(default)]
    what: String,
}

impl Consul {
    pub(super) async fn transaction(&self, ops: Vec<Op>) -> Result<(), Error> {
        key::check_ops(&ops)?;
        if ops.is_empty() {
            return Ok(());
        }
        let mut steps = Vec::with_capacity(ops.len());
        // Which of our steps each of Consul's belongs to.
        let mut origin = Vec::with_capacity(ops.len());
        for (at, op) in ops.iter().enumerate() {
            self.steps(op, &mut steps)?;
            origin.resize(steps.len(), at);
        }
        let mut request = Request::new(Method::PUT, "/v1/txn".to_owned());
        request.body =
            serde_json::to_vec(&steps).map_err(|e| self.client.refused(format!("cannot write JSON: {e}")))?;
        // Without a write it is a read to Consul, and would be answered by a leader that has not caught up.
        if ops.iter().all(|op| matches!(op, Op::Expect { .. })) {
            request.query.push("consistent".to_owned());
        }
        let answer = self.client.send(&request).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            StatusCode::CONFLICT => Err(self.rejected(&ops, &origin, &answer.body)),
            status => Err(self.client.not_consul(&format!("it answered {status} to a transaction"))),
        }
    }

    fn steps(&self, op: &Op, steps: &mut Vec<Step>) -> Result<(), Error> {
        let mut push = |verb, index, session: Option<&str>| {
            steps.push(Step {
                kv: Kv {
                    verb,
                    key: format!("{}{}", self.root, op.key()),
                    value: op.value().map(|value| STANDARD.encode(value)),
                    index,
                    session: session.map(str::to_owned),
                },
            });
        };
        match op {
            // An index of 0 asks that the key is absent; check-not-exists would cost a step of the 64.
            Op::Create { .. } => push("cas", Some(0), None),
            Op::Put { .. } => push("set", None, None),
            Op::Publish { session, .. } if !is_id(session) => {
                return Err(Error::SessionLost { session: session.clone() });
            }
            Op::Publish { session, .. } => push("lock", None, Some(session)),
            Op::Delete { .. } => push("delete", None, None),
            Op::Expect { version: None, .. } => push("check-not-exists", None, None),
            Op::Replace { version: 0, .. } | Op::DeleteIf { version: 0, .. } | Op::Expect { version: Some(0), .. } => {
                return Err(Error::Conflict { key: op.key().to_owned(), why: "no row has version 0".to_owned() });
            }
            Op::Replace { version, .. } => push("cas", Some(*version), None),
            Op::Expect { version: Some(version), .. } => push("check-index", Some(*version), None),
            // delete-cas alone takes a row that is gone for success.
            Op::DeleteIf { version, .. } => {
                push("check-index", Some(*version), None);
                push("delete-cas", Some(*version), None);
            }
        }
        Ok(())
    }

    /// Reads a 409. Consul uses it for missing rights and sessions too.
    fn rejected(&self, ops: &[Op], origin: &[usize], body: &[u8]) -> Error {
        let first = serde_json::from_slice::<Rejection>(body)
            .ok()
            .and_then(|rejection| rejection.errors)
            .and_then(|errors| errors.into_iter().next());
        let Some(first) = first else {
            return self.client.not_consul(&format!("a refused transaction: {}", shown(body)));
        };
        let what = shown(first.what.as_bytes());
        let op = origin.get(first.op_index).and_then(|at| ops.get(*at));
        if is_about_rights(&what) {
            return self.client.denied(&what);
        }
        match op {
            // Only the beginning counts: a key's name may follow, and say anything.
            Some(Op::Publish { session, .. }) if is_lost_session(&what) => {
                Error::SessionLost { session: session.clone() }
            }
            Some(op) => Error::Conflict { key: op.key().to_owned(), why: what },
            None => self.client.refused(what),
        }
    }
}

/// Whether a step was refused as its session is not there (any more).
fn is_lost_session(what: &str) -> bool {
    ["invalid session", "failed session lookup", "missing session"].iter().any(|start| what.starts_with(start))
}
