//! The forwarder with servers that are there, slow, silent, wrong or hostile, and time moved by hand.

mod cache;
mod failover;
mod hostile;
mod world;
