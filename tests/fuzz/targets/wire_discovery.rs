//! libFuzzer's way into [`fuzz::wire_discovery`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire_discovery::run(data));
