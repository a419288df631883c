//! Whole frames against independent references: etherparse as the builder and oracle, naive code as the model.

mod arp;
mod checksum;
mod cut;
mod headers;
mod join;
mod nd;
mod packet;
mod total;
