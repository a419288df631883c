//! How an input holds several frames: each behind its length in two bytes, highest first. The last may be cut short.
//! An offload header in front of a frame is read as the kernel's ten bytes.

use wire::{Frame, Offload};

/// Most records taken from one input, so that no run is long.
const MOST: usize = 128;

/// The records of an input.
pub(crate) fn records(mut data: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((len, rest)) = data.split_first_chunk::<2>()
        && found.len() < MOST
    {
        let (record, behind) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
        found.push(record);
        data = behind;
    }
    found
}

/// Offload header and frame, as a TAP gives them. `None` if there is not even a header.
pub(crate) fn received(data: &[u8]) -> Option<Frame> {
    let mut frame = Frame::new();
    receive(data, &mut frame).then_some(frame)
}

/// The same into a frame that is there already; `false`, and an empty frame, if there is not even a header.
pub(crate) fn receive(data: &[u8], frame: &mut Frame) -> bool {
    let len = data.len().min(Offload::LEN + Frame::MAX_LEN);
    frame.receive_area()[..len].copy_from_slice(&data[..len]);
    frame.received(len)
}
