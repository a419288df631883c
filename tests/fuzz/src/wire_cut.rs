//! A frame that can be cut becomes segments that are right in themselves and together hold its payload; one that cannot
//! leaves nothing behind.

use wire::{Cut, Gso, Layer3, checksum, cut, parse};

use super::records::received;

/// Stands for the VXLAN header.
const PREFIX: [u8; 8] = *b"prefix..";

/// Most bytes of all segments together. 8192 segments, each with Ethernet, tag, IPv6 and the longest TCP header, a few
/// extension headers and a prefix, are below it; headers of kilobytes, repeated as often, would be a container's way to
/// take the host's memory.
const MOST: usize = 2 << 20;

/// The input is an offload header and a frame.
pub fn run(data: &[u8]) {
    let Some(frame) = received(data) else { return };
    let Ok(headers) = parse(frame.bytes()) else { return };
    let mut out = b"before".to_vec();
    let Ok(cut) = cut(&frame, &headers, &PREFIX, &mut out) else {
        assert_eq!(out, b"before", "nothing is appended when cutting fails");
        return;
    };
    assert!(out.len() <= MOST, "{} bytes become {}", frame.len(), out.len());
    assert_eq!(&out[..6], b"before");
    let segments = segments(&out[6..], cut);
    if frame.offload.gso() == Gso::None {
        assert_eq!((segments.len(), segments[0].len()), (1, frame.len()));
        let changed = segments[0].iter().zip(frame.bytes()).filter(|(a, b)| a != b).count();
        assert!(changed <= if frame.offload.partial_checksum().is_some() { 2 } else { 0 });
        return;
    }
    let (l3, end) = (usize::from(headers.l3), headers.end as usize);
    let mut payload = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let own = parse(segment).expect("a segment parses");
        assert_eq!(own.key, headers.key);
        assert_eq!((own.l3, own.l4, own.payload, own.end as usize), (headers.l3, headers.l4, headers.payload, segment.len()));
        assert_ne!(checksum::verify_transport(segment, &own), Some(false), "segment {index}");
        if headers.layer3 == Layer3::Ipv4 {
            assert_eq!(checksum::fold(checksum::sum(&segment[l3..usize::from(own.l4)])), 0xffff, "segment {index}");
        }
        let part = &segment[usize::from(own.payload)..];
        let size = usize::from(frame.offload.gso_size());
        assert!(part.len() == size || (index + 1 == segments.len() && part.len() <= size));
        payload.extend_from_slice(part);
    }
    assert_eq!(payload, frame.bytes()[usize::from(headers.payload)..end]);
}

/// The segments of what was appended, each without the prefix that must be there.
pub(super) fn segments(appended: &[u8], cut: Cut) -> Vec<&[u8]> {
    assert!(cut.count >= 1 && cut.last_len <= cut.segment_len && cut.last_len > PREFIX.len());
    assert_eq!(appended.len(), (cut.count - 1) * cut.segment_len + cut.last_len);
    let segments: Vec<&[u8]> = appended.chunks(cut.segment_len).collect();
    assert_eq!(segments.len(), cut.count);
    segments.into_iter().map(|segment| segment.strip_prefix(&PREFIX).expect("the prefix")).collect()
}
