//! A run of frames through the joiner: none is lost or invented, and what was joined can be cut again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Frame, Gso, Joiner, Pool, Push};

/// Frames are cut off the input by two bytes of length each.
fn frames(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        let (frame, rest) = rest.split_at(len);
        data = rest;
        Some(frame)
    })
}

fn segments_of(frame: &Frame) -> usize {
    if frame.offload.gso() == Gso::None {
        return 1;
    }
    let headers = wire::parse(frame.bytes()).expect("a joined frame parses");
    let mut out = Vec::new();
    wire::cut(frame, &headers, &[], &mut out).expect("a joined frame can be cut").count
}

fuzz_target!(|data: &[u8]| {
    let mut pool = Pool::new(4);
    let mut joiner = Joiner::new().with_udp(true);
    let (mut taken, mut given) = (0, 0);
    for bytes in frames(data) {
        let Ok(headers) = wire::parse(bytes) else { continue };
        let done = match joiner.push(bytes, &headers, &mut pool) {
            Push::Taken => {
                taken += 1;
                None
            }
            Push::Full(frame) => {
                taken += 1;
                Some(frame)
            }
            Push::Flushed(frame) => frame,
            Push::BadChecksum => None,
        };
        if let Some(frame) = done {
            given += segments_of(&frame);
            pool.put(frame);
        }
    }
    if let Some(frame) = joiner.flush() {
        given += segments_of(&frame);
    }
    assert_eq!(taken, given, "segments in and out");
});
