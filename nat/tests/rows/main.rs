//! The rows of the standards that this crate answers for, each in a test named by its ID, on whole packets.

mod binding;
mod checksum;
mod fragments;
mod histories;
mod icmp;
mod limits;
mod packet;
mod quotation;
mod states;
mod tcp;
mod timers;
mod translation;
mod ttl;
mod world;
