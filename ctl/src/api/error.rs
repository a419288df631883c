//! Why a request was not done: what is wrong, with which object, and what helps. One type from the control plane to
//! the HTTP answer; its kind decides the status.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What sort of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request can never succeed as it is.
    Invalid,
    /// 404: the object is not there.
    NotFound,
    /// 409: something else is in the way.
    Conflict,
    /// 503: the machine did not do what it should, or the store is away; it may succeed later.
    Unavailable,
}

/// {error}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[error("{error}")]
pub struct Error {
    /// Decides the status.
    #[serde(skip)]
    pub kind: Kind,
    /// What is wrong; begins with the object.
    pub error: String,
    /// `network RED`, `port web0`, `request` ...
    pub object: String,
    /// What helps.
    pub remedy: String,
}

impl Error {
    /// A refusal: `<object>: <why>`, and what helps.
    pub fn new(kind: Kind, object: impl Into<String>, why: impl AsRef<str>, remedy: impl Into<String>) -> Error {
        let object = object.into();
        Error { kind, error: format!("{object}: {}", why.as_ref()), object, remedy: remedy.into() }
    }

    /// A request that can never succeed as it is.
    pub fn invalid(object: impl Into<String>, why: impl AsRef<str>, remedy: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, object, why, remedy)
    }

    /// Something else is in the way.
    pub fn conflict(object: impl Into<String>, why: impl AsRef<str>, remedy: impl Into<String>) -> Error {
        Error::new(Kind::Conflict, object, why, remedy)
    }

    /// `network RED not found`.
    pub fn not_found(object: impl Into<String>, remedy: impl Into<String>) -> Error {
        let object = object.into();
        Error { kind: Kind::NotFound, error: format!("{object} not found"), object, remedy: remedy.into() }
    }

    /// The machine did not do what it should; the cause's text says what helps.
    pub fn failed(object: impl Into<String>, why: impl AsRef<str>) -> Error {
        Error::new(Kind::Unavailable, object, why, "see the log of vswitchd, and `vsctl show`")
    }

    /// What a store's error means for the request about `object`.
    pub fn store(object: impl Into<String>, error: &store::Error) -> Error {
        use store::Error as E;
        let text = error.to_string();
        match error {
            E::Conflict { .. } => Error::conflict(object, text, "another host changed it at the same time; try again"),
            E::Unreachable { .. } | E::SessionLost { .. } => Error::new(
                Kind::Unavailable,
                object,
                text,
                "needs the agreement of all hosts: try again when the store answers (`vsctl show` tells)",
            ),
            E::TooLarge { .. } | E::BadKey { .. } => {
                Error::invalid(object, text, "make it smaller or name it differently")
            }
            _ => Error::new(
                Kind::Unavailable,
                object,
                text,
                "correct the store's settings (--store) or its access rules",
            ),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status(), axum::Json(self)).into_response()
    }
}
