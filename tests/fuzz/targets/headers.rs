//! Any bytes as a frame: parsed without panic, every offset inside it, and all readers total on the result.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = vxlan::decode(data);
    let Ok(headers) = wire::parse(data) else { return };
    let _ = wire::arp::parse(data, &headers);
    let _ = wire::nd::parse(data, &headers);
    let _ = wire::checksum::verify_transport(data, &headers);
    let _ = wire::checksum::is_partial(data, &headers);
    let _ = wire::infer_offload(&headers, 1450);
    if let Some(ecn) = wire::ecn(data, &headers) {
        // Writing the bits that are there changes nothing, the header's checksum included.
        let mut copy = data.to_vec();
        wire::set_ecn(&mut copy, &headers, ecn);
        assert_eq!(wire::parse(&copy).map(|again| again.key), Ok(headers.key));
    }
});
