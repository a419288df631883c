//! The store crate.
#![forbid(unsafe_code)]
