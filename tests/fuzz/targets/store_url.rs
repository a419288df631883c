//! libFuzzer's way into [`fuzz::store_url`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::store_url::run(data));
