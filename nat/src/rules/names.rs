//! Names that rule files use for numbers. Tables only: each maps both ways, and the first name of a number is the one that
//! is saved.

pub(super) mod class;
pub(super) mod icmp;
pub(super) mod kind;
pub(super) mod protocol;
pub(super) mod reject;
pub(super) mod service;
