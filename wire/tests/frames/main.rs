//! Whole frames against independent references: etherparse as the builder and oracle, naive code as the model.

mod cut;
mod headers;
mod join;
mod packet;
mod total;
