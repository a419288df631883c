//! Packets before rules.

mod connection;
mod flow;
mod rates;
mod short;
mod targets;
mod wanted;
mod world;
