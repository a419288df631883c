//! The gateway's name server on memory ports: who is told what, and what goes to the control plane.

#[path = "../world/mod.rs"]
mod world;

mod asked;
mod client;
mod datagrams;
mod sandbox;
mod scope;
mod segments;
mod streams;
