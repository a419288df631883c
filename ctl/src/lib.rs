//! The ctl crate.
#![forbid(unsafe_code)]
