//! Whole frames against independent references: etherparse as the builder and oracle, naive code as the model.

mod answer;
mod arp;
mod checksum;
mod cut;
mod echo;
mod fragment;
mod headers;
mod icmp;
mod join;
mod nd;
mod packet;
mod reset;
mod total;
