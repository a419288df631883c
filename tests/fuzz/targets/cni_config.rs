//! libFuzzer's way into [`fuzz::cni_config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::cni_config::run(data));
