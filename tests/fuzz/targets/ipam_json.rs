//! libFuzzer's way into [`fuzz::ipam_json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::ipam_json::run(data));
