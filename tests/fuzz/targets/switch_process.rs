//! libFuzzer's way into [`fuzz::switch_process`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::switch_process::run(data));
