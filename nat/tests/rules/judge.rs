//! Packets before rules.

mod connection;
mod flow;
mod formulas;
mod indexed;
mod rates;
mod sets;
mod short;
mod speed;
mod targets;
mod wanted;
mod world;
