//! The wire crate.
#![forbid(unsafe_code)]
