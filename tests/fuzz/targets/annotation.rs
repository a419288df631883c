//! What a container's annotations and a runtime's state may say to the hook.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = ctl::oci::State::parse(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ctl::oci::parse_networks(text);
    }
});
