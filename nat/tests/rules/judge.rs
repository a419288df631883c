//! Packets before rules.

mod connection;
mod flow;
mod rates;
mod sets;
mod short;
mod targets;
mod wanted;
mod world;
