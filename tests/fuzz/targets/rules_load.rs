//! libFuzzer's way into [`fuzz::rules_load`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rules_load::run(data));
