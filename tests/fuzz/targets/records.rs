//! Rows of the store and bodies of requests: strangers write both.
#![no_main]

use ctl::{api, model};
use libfuzzer_sys::fuzz_target;
use serde_json::from_slice;

fuzz_target!(|data: &[u8]| {
    let _ = model::HostEndpoints::read(data);
    let _ = from_slice::<model::HostRecord>(data);
    let _ = from_slice::<model::Cluster>(data);
    let id = "0123456789abcdef".repeat(4);
    if let Ok(network) = model::NetworkRecord::read(&id, data) {
        // What was accepted is written and read again as the same.
        let bytes = serde_json::to_vec(&network).expect("a record is JSON");
        model::NetworkRecord::read(&id, &bytes).expect("an accepted record stays acceptable");
    }
    let _ = from_slice::<api::CreateNetwork>(data);
    let _ = from_slice::<api::AddPort>(data);
    let _ = from_slice::<api::Connect>(data);
    let _ = from_slice::<api::Disconnect>(data);
    let _ = from_slice::<api::StaticFdb>(data);
    let _ = from_slice::<api::StaticPeer>(data);
});
