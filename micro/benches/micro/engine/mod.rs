//! What the engine costs a frame: out of the flow cache and past it, between ports, through tunnels, through translation.
//! A frame is taken from the pool as a device would fill it, and comes back to the pool.

mod local;
mod outside;
mod tunnel;
mod world;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("engine/local-hit-64", || local::hits(1, 22)),
    ("engine/local-hit-64k", local::super_frame),
    ("engine/local-hit-64-of-17000", || local::hits(17_000, 22)),
    ("engine/local-hit-64-judged", local::judged),
    ("engine/local-miss-64", local::misses),
    ("engine/local-flood-64", local::floods),
    ("engine/arp-answer", local::arp),
    ("engine/tunnel-out-64", tunnel::out_small),
    ("engine/tunnel-out-64k", tunnel::out_super),
    ("engine/tunnel-in-64", tunnel::in_small),
    ("engine/tunnel-in-64k", tunnel::in_run),
    ("engine/nat-out-64", || outside::out(22)),
    ("engine/nat-out-64k", outside::out_super),
    ("engine/nat-in-64", outside::back),
    ("engine/nat-first-64", outside::first),
    ("engine/name-query", outside::query),
];
