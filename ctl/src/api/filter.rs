//! Packet filters over HTTP: texts as `iptables-save` has them, in and out, and what is loaded where.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nat::rules::{Family, LoadError};
use serde::{Deserialize, Serialize};

use super::Error;
use super::server::{queries, to_the_end};
use crate::control::Control;
use crate::filter::family_named;

type App = State<Arc<Control>>;

/// Longest text of rules, in bytes: more rules than may be loaded fit.
const BODY: usize = 128 << 20;

/// Whose rules are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterOf {
    /// A network; none: all networks of this host.
    pub network: Option<String>,
    /// Whose addresses.
    pub family: Family,
}

/// How a text is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadHow {
    /// On top of what the tables have, as `iptables-restore --noflush`.
    pub noflush: bool,
    /// With the counters that the text has.
    pub counters: bool,
    /// Only read: nothing changes.
    pub test: bool,
}

/// A row of `GET /v1/filter/scopes`, and the answer of `PUT /v1/filter`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FilterRow {
    /// The network's name; none: all networks of this host.
    pub network: Option<String>,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Tables that are there, in the order in which a packet meets them.
    pub tables: Vec<String>,
    /// Rules of all tables.
    pub rules: usize,
    /// Packets that rules have matched; one that several match counts several times.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Whether packets meet them now; a network's rules wait while it has no endpoint on this host.
    pub active: bool,
}

/// Why a text was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// A line is wrong.
    Text {
        /// Whose rules they were to be.
        object: String,
        /// Where and why.
        error: LoadError,
    },
    /// Something else.
    Other(Error),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Rejected {
        Rejected::Other(error)
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Error {
        match rejected {
            Rejected::Text { object, error } => {
                Error::invalid(object, error.to_string(), "correct the line; nothing was changed")
            }
            Rejected::Other(error) => error,
        }
    }
}

impl IntoResponse for Rejected {
    fn into_response(self) -> Response {
        /// A refusal that says where.
        #[derive(Serialize)]
        struct Refusal {
            #[serde(flatten)]
            error: Error,
            line: usize,
            word: String,
            reason: String,
        }
        match self.clone() {
            Rejected::Text { error: LoadError { line, word, reason }, .. } => {
                let error = Error::from(self);
                (error.status(), Json(Refusal { error, line, word, reason })).into_response()
            }
            Rejected::Other(error) => error.into_response(),
        }
    }
}

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/v1/filter", get(save).put(load).delete(flush).layer(DefaultBodyLimit::max(BODY)))
        .route("/v1/filter/scopes", get(list))
}

async fn list(State(control): App) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.filters().await?))
}

async fn save(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let (of, flags) = read(text, &["counters"])?;
    let text = control.save_filter(of, flags.contains(&"counters")).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

async fn load(
    State(control): App,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Rejected> {
    let (of, flags) = read(query, &["noflush", "counters", "test"])?;
    let text = body.map_err(|rejection| {
        let why = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => format!("the text is longer than {} MiB", BODY >> 20),
            _ => rejection.to_string(),
        };
        Error::invalid("filter", why, "load fewer rules; nothing was changed")
    })?;
    let has = |flag| flags.contains(&flag);
    let how = LoadHow { noflush: has("noflush"), counters: has("counters"), test: has("test") };
    let done = to_the_end(async move { Ok(control.load_filter(of, how, text).await) }).await?;
    done.map(Json)
}

async fn flush(State(control): App, RawQuery(text): RawQuery) -> Result<impl IntoResponse, Error> {
    let (of, _) = read(text, &[])?;
    to_the_end(async move { control.flush_filter(of).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose rules, and which of the flags are set.
fn read(text: Option<String>, flags: &[&'static str]) -> Result<(FilterOf, Vec<&'static str>), Error> {
    let known: Vec<&'static str> = ["network", "family"].iter().chain(flags).copied().collect();
    let (mut of, mut set) = (FilterOf { network: None, family: Family::Ipv4 }, Vec::new());
    for (key, value) in queries(text.as_deref().unwrap_or_default(), &known)? {
        let refused = |remedy| Error::invalid("request", format!("{key}: {value:?} makes no sense"), remedy);
        match (key, value.as_str()) {
            ("network", _) => of.network = Some(value),
            ("family", name) => of.family = family_named(name).ok_or_else(|| refused("use ipv4 or ipv6"))?,
            (flag, "true") => set.push(flag),
            (_, "false") => {}
            _ => return Err(refused("use true or false")),
        }
    }
    Ok((of, set))
}
