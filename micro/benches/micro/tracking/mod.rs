//! What tracking, translation and rules cost a packet.

mod rules;
mod tracked;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("nat/translate-udp4", tracked::translate_udp4),
    ("nat/translate-tcp6", tracked::translate_tcp6),
    ("nat/decrement-ttl", tracked::decrement_ttl),
    ("nat/advance-udp", tracked::advance_udp),
    ("nat/advance-tcp", tracked::advance_tcp),
    ("nat/track-known", tracked::track_known),
    ("nat/connection", tracked::connection),
    ("nat/rules-10", || rules::of(10, rules::source)),
    ("nat/rules-10000", || rules::of(10_000, rules::source)),
    ("nat/rules-10000-mixed", || rules::of(10_000, rules::mixed)),
    ("nat/load-1000-rules", rules::load_many),
];
