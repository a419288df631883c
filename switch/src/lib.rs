//! The switch crate.
#![forbid(unsafe_code)]
