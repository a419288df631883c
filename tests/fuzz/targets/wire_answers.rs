//! libFuzzer's way into [`fuzz::wire_answers`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire_answers::run(data));
