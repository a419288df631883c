//! The rows of the standards that this crate answers for, each in a test named by its ID, on whole packets.

mod checksum;
mod packet;
mod quotation;
mod translation;
mod ttl;
