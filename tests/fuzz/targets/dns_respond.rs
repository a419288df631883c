//! libFuzzer's way into [`fuzz::dns_respond`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::dns_respond::run(data));
