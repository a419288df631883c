//! The responder, asked and read through another implementation of DNS.

mod answers;
mod edns;
mod errors;
mod hostile;
mod services;
mod world;
