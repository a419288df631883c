//! Cases without a peer: figures that are held against a fixed line.

pub(crate) mod connections;
pub(crate) mod engine;
pub(crate) mod fair;
pub(crate) mod flood;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod memory;
pub(crate) mod rules;
