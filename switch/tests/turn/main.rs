//! The turn on real links and sockets, each test in a network namespace of its own (needs root).

mod daemon;
mod links;
#[path = "../world/mod.rs"]
mod world;
mod xdp;
