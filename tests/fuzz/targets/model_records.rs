//! libFuzzer's way into [`fuzz::model_records`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::model_records::run(data));
