//! The ipam crate.
#![forbid(unsafe_code)]
