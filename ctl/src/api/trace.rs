//! `POST /v1/filter/trace`: a packet in words, and its way through the rules. Nothing is sent, nothing counted.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use wire::Mac;

use super::{Error, body};
use crate::control::Control;

/// What a packet is to be like. Whatever is not said is as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TracePacket {
    /// The network whose rules it meets after those for all; none: that of the sandbox where it comes in or goes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whether it is an IPv6 packet, where no address tells.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ipv6: bool,
    /// Where it comes in: a sandbox's name, `uplink`, `vsw0`, `tunnel`; none: the gateway itself sends it.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Where it goes out; none: it is for the gateway itself.
    #[serde(rename = "out", skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Its source; the address of the sandbox where it comes in, if that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<IpAddr>,
    /// Its destination; the address of the sandbox where it goes out, if that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpAddr>,
    /// As rules have it: `tcp` (the default), `udp`, `icmp`, ..., or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// Source port; 40000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<u16>,
    /// Destination port; 80.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<u16>,
    /// As rules have it, a name or `type/code`; an echo request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<String>,
    /// TCP flags as rules have them; SYN with the state NEW, else ACK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// `NEW` (the default), `ESTABLISHED`, `RELATED`, `INVALID`, `UNTRACKED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The packet's mark; 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// The connection's mark; 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connmark: Option<u32>,
    /// Bytes of the IP packet; as few as it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u16>,
    /// Time to live, or hop limit; 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// Type of service, or traffic class; 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos: Option<u8>,
    /// The sender's MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub mac: Option<Mac>,
}

/// The answer: every rule that the packet matched, in order, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Traced {
    /// The packet in words.
    pub packet: String,
    /// Rules and policies.
    pub steps: Vec<TraceStep>,
    /// `accept`, `drop` or `reject`.
    pub verdict: String,
}

/// A rule that a packet matched, or a policy that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TraceStep {
    /// `PREROUTING` and so on: where the packet is.
    pub hook: String,
    /// `raw`, `mangle`, `nat`, `filter`.
    pub table: String,
    /// The network whose rule it is; none: it is of those for all networks.
    pub network: Option<String>,
    /// The rule as `filter save` prints it, or the policy in words.
    pub rule: String,
    /// What it did to the packet, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<String>,
}

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/v1/filter/trace", post(trace))
}

async fn trace(State(control): State<Arc<Control>>, bytes: Bytes) -> Result<impl IntoResponse, Error> {
    Ok(Json(control.trace(body::read(&bytes)?).await?))
}
