//! libFuzzer's way into [`fuzz::vxlan_decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::vxlan_decode::run(data));
