//! Sums are those of the definition; completing changes the checksum field alone, and makes it right where it was partial.

use wire::{Gso, Offload, checksum, parse};

use super::records::received;

/// The input is an offload header and a frame.
pub fn run(data: &[u8]) {
    let plain = data.chunks(2).fold(0u32, |sum, pair| {
        let word = u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        (sum + word) % 0xffff
    });
    assert_eq!(u32::from(checksum::fold(checksum::sum(data))) % 0xffff, plain);
    let _ = checksum::ipv4_header(data);

    let Some(mut frame) = received(data) else { return };
    let before = frame.bytes().to_vec();
    let headers = parse(&before).ok();
    let offload = frame.offload;
    let partial = headers.is_some_and(|headers| checksum::is_partial(&before, &headers));
    let done = checksum::complete(&mut frame);
    let changed: Vec<usize> = (0..before.len()).filter(|&at| before[at] != frame.bytes()[at]).collect();
    let Some((start, offset)) = offload.partial_checksum() else {
        assert!(done.is_ok() && changed.is_empty());
        return;
    };
    let field = usize::from(start) + usize::from(offset);
    if done.is_err() {
        assert!(changed.is_empty() && frame.offload == offload);
        assert!(offload.gso() != Gso::None || field + 2 > before.len());
        return;
    }
    assert!(changed.iter().all(|at| (field..field + 2).contains(at)));
    assert_eq!(frame.offload, Offload::NONE);
    let Some(headers) = headers else { return };
    let own = start == headers.l4 && headers.end as usize == before.len() && udp_fits(&before, &headers);
    let number = headers.key.protocol();
    if partial && own && offset == if number == wire::protocol::TCP { 16 } else { 6 } {
        assert_eq!(checksum::verify_transport(frame.bytes(), &headers), Some(true));
    }
}

/// Whether a UDP header says the length that the packet has.
fn udp_fits(frame: &[u8], headers: &wire::Headers) -> bool {
    let l4 = usize::from(headers.l4);
    headers.key.protocol() != wire::protocol::UDP
        || usize::from(u16::from_be_bytes([frame[l4 + 4], frame[l4 + 5]])) == frame.len() - l4
}
