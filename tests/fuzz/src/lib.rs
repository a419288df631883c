//! What each fuzz target does with its input: one module each, `run(data)`, which panics when a promise is broken.
//! Knows nothing of libFuzzer: the programs in `targets/` call it, and so does the ordinary test `tests/corpus`, which
//! includes this file by its path. Inputs are plain bytes as they come from outside, so that a corpus can be read.
#![forbid(unsafe_code)]

mod json;
mod mend;
mod records;
mod routed;
mod world;

macro_rules! targets {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        $($(#[doc = $what])+ pub mod $name;)+

        /// Every target by its name, which is that of its program and of its folder in the corpus.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::run),)+];
    };
}

targets! {
    /// A frame: `wire::parse`, and what depends on nothing else.
    wire_parse,
    /// A frame: ARP and neighbour discovery, read and answered.
    wire_discovery,
    /// An offload header and a frame: what a gateway says about it, and its fragments.
    wire_answers,
    /// An offload header and a frame, as a TAP gives them: cut into segments.
    wire_cut,
    /// A row of frames: joined, and cut again.
    wire_join,
    /// An offload header and a frame: checksums verified, recognised as partial, completed.
    wire_checksum,
    /// A datagram of the underlay: the VXLAN header.
    vxlan_decode,
    /// A message to a name server.
    dns_respond,
    /// Frames from a guarded port of an engine with two networks.
    switch_process,
    /// Datagrams from the underlay for an engine with two networks.
    switch_decapsulate,
    /// Frames from containers and from the host for an engine with gateways.
    switch_gateway,
    /// Rows: a subnet, a lease, a pool with leases.
    ipam_json,
    /// The text of a container's `org.vswitch.networks`.
    oci_annotation,
    /// A container's state, as a runtime writes it to the hook.
    oci_state,
    /// A CNI configuration, as a runtime writes it to the plugin.
    cni_config,
    /// Rows that other hosts wrote into the store.
    model_records,
    /// Bodies of requests to the API.
    api_requests,
    /// The text after `--store`.
    store_url,
    /// A text of rules, as `iptables-save` writes it.
    rules_load,
}
