//! libFuzzer's way into [`fuzz::switch_gateway`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::switch_gateway::run(data));
