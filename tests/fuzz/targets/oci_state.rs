//! libFuzzer's way into [`fuzz::oci_state`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oci_state::run(data));
