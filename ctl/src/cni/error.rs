//! Why a call fails, as a runtime reads it: a number that says what sort of failure it is, and words for people.
//! Invariant: 3 ("unknown container") is never answered, because a runtime would then not clean up.

use serde_json::{Value, json};

use crate::client;

/// The config's `cniVersion` is none of ours, or older than the verb.
pub const INCOMPATIBLE: u32 = 1;
/// A field asks for what the switch does not have.
pub const UNSUPPORTED: u32 = 2;
/// An environment variable is missing, or cannot be what it is.
pub const ENVIRONMENT: u32 = 4;
/// Standard input cannot be read.
pub const INPUT: u32 = 5;
/// The config is no JSON.
pub const DECODE: u32 = 6;
/// The config, or what the runtime wants beside it, makes no sense.
pub const CONFIG: u32 = 7;
/// CNI_NETNS is no namespace of a container.
pub const NAMESPACE: u32 = 8;
/// It may succeed later.
pub const LATER: u32 = 11;
/// STATUS: nothing can be added now.
pub const UNAVAILABLE: u32 = 50;
/// Our own: something else is in the way.
pub const CONFLICT: u32 = 100;
/// Our own: CHECK found something else than ADD made.
pub const CHANGED: u32 = 101;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct Failure {
    /// What sort of failure.
    pub code: u32,
    /// What is wrong; begins with the object.
    pub msg: String,
    /// What helps; may be empty.
    pub details: String,
}

impl Failure {
    /// A failure without a remedy.
    pub fn new(code: u32, msg: impl Into<String>) -> Failure {
        Failure { code, msg: msg.into(), details: String::new() }
    }

    /// The same with what helps.
    #[must_use]
    pub fn help(self, details: impl Into<String>) -> Failure {
        Failure { details: details.into(), ..self }
    }

    /// As the specification has it. The version is the config's, where it could be read.
    pub fn json(&self, version: &str) -> Value {
        json!({ "cniVersion": version, "code": self.code, "msg": self.msg, "details": self.details })
    }
}

/// What vswitchd's answer, or its silence, means for a runtime.
impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Failure {
        let code = match error.status() {
            // No answer: it is down, starts again, or hangs.
            None | Some(503) => LATER,
            Some(400 | 404) => CONFIG,
            Some(_) => CONFLICT,
        };
        Failure::new(code, error.to_string()).help(error.remedy().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> client::Error {
        client::Error::Refused { status, error: "no".into(), object: "x".into(), remedy: "do".into() }
    }

    #[test]
    fn a_runtime_learns_whether_it_may_try_again() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let down = Failure::from(client::Error::Unreachable { socket: "/s".into(), source });
        assert!(down.code == LATER && down.details.contains("vswitchd"), "{down:?}");
        let codes = [400, 404, 409, 503].map(|status| Failure::from(refused(status)).code);
        assert_eq!(codes, [CONFIG, CONFIG, CONFLICT, LATER]);
        let json = Failure::from(refused(409)).json("1.0.0");
        assert_eq!(json, json!({"cniVersion": "1.0.0", "code": 100, "msg": "no", "details": "do"}));
    }
}
