//! The tests crate.
#![forbid(unsafe_code)]
