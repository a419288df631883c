//! The seeds of the corpus: what real senders send and real rows look like, one small input for each way through a
//! parser. Mutations of them are the fuzzer's part.

mod frames;
mod names;
mod packets;
mod routed;
mod rows;
mod rules;

/// Target, file name, bytes.
pub(crate) type Seed = (&'static str, &'static str, Vec<u8>);

/// All seeds of all targets.
pub(crate) fn all() -> Vec<Seed> {
    [frames::seeds(), names::seeds(), routed::seeds(), rows::seeds(), rules::seeds()].concat()
}
