//! libFuzzer's way into [`fuzz::oci_annotation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oci_annotation::run(data));
