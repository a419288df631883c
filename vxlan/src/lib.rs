//! The vxlan crate.
#![forbid(unsafe_code)]
