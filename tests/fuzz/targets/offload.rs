//! A virtio-net header and a frame, as a container's kernel might hand them over: whatever they claim, a cut
//! ends in segments that parse and whose checksums are right, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Frame, Offload};

fuzz_target!(|data: &[u8]| {
    let Some((header, bytes)) = data.split_first_chunk::<{ Offload::LEN }>() else { return };
    let mut frame = Frame::from_bytes(bytes);
    frame.offload = Offload::from_bytes(header);
    let Ok(headers) = wire::parse(frame.bytes()) else { return };

    let prefix = [0xaa; 8];
    let mut out = Vec::new();
    match wire::cut(&frame, &headers, &prefix, &mut out) {
        Err(_) => assert!(out.is_empty(), "a refused cut left something behind"),
        Ok(cut) => {
            assert_eq!(out.len(), (cut.count - 1) * cut.segment_len + cut.last_len);
            for segment in out.chunks(cut.segment_len) {
                assert_eq!(segment[..8], prefix);
                // Of an ordinary frame the engine checks the offsets before, against its headers.
                if cut.count > 1 {
                    let again = wire::parse(&segment[8..]).expect("a segment parses");
                    assert_ne!(wire::checksum::verify_transport(&segment[8..], &again), Some(false));
                }
            }
        }
    }
    let _ = wire::checksum::complete(&mut frame);
});
