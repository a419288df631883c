//! Connection tracking and address translation, in userspace, for IPv4 and IPv6 alike.
//!
//! [`Tracker`] has what is remembered: connections, the bindings of inside endpoints to public ones, datagrams in pieces.
//! [`translate`] and [`translate_error`] change packets by a [`Rewrite`]; they remember nothing. A packet's way: the tracker
//! says where it belongs; the caller decides about new ones; the connection's rewrite is applied, or cached and applied.
//!
//! Pure: time and randomness are arguments, no descriptor, no clock, no thread. Nothing panics on input, and every table is
//! bounded and says what happens when it is full.
#![forbid(unsafe_code)]

mod binding;
mod conn;
mod fragment;
mod hash;
mod held;
mod reason;
pub mod rules;
mod settings;
mod shares;
mod tcp;
mod tick;
mod tracker;
mod translate;
mod tuple;

pub use conn::{ConnId, State, Traffic};
pub use fragment::Datagram;
pub use held::Held;
pub use reason::Reason;
pub use settings::{Filtering, Settings, Timers};
pub use shares::Shares;
pub use tcp::TcpState;
pub use tracker::{
    Advance, BindingId, BindingRow, ConnRow, Counters, Destination, Filter, Fresh, Hit, Inbound, Mapping, Page, Plan,
    Pool, Random, Source, Tracked, Tracker, Usage, Way,
};
pub use translate::{
    End, Expired, Rewrite, Untranslatable, decrement_ttl, ipv4_header_is_sound, translate, translate_error,
};
pub use tuple::{Address, Direction, Tuple, Zone};
