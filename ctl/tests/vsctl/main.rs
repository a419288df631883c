//! `vsctl` as a program, against a server that answers what each test says.
#![forbid(unsafe_code)]

mod answers;
mod completion;
mod dns;
mod fake;
mod filter;
mod format;
mod networks;
mod publish;
mod rule;
mod streams;
mod tables;
