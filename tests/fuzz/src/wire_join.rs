//! What is joined can be cut into the same segments again, in the order in which they came.

use wire::{Frame, Headers, Joiner, Layer3, Pool, Push, checksum, cut, parse, protocol};

use super::mend::mend;
use super::records::records;

/// The first byte says whether UDP is joined (1) and whether checksums are put right first (2). Frames follow.
pub fn run(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else { return };
    let mut joiner = Joiner::new().with_udp(flags & 1 != 0);
    let mut pool = Pool::new(4);
    let mut held = Vec::new();
    for record in records(data) {
        let mut bytes = record.to_vec();
        if flags & 2 != 0 {
            mend(&mut bytes);
        }
        let Ok(headers) = parse(&bytes) else { continue };
        take(&mut joiner, &mut pool, &mut held, &bytes, &headers);
    }
    release(joiner.flush(), &mut held);
}

/// One segment, handled as the engine does it.
fn take(joiner: &mut Joiner, pool: &mut Pool, held: &mut Vec<Vec<u8>>, bytes: &[u8], headers: &Headers) {
    let own = &bytes[..headers.end as usize];
    // What a comparison takes for the next segment of the flow is one: the same key comes out of it.
    let expects = joiner.key() == Some(&headers.key);
    let mut next = joiner.push_next(bytes, pool);
    assert!(next.is_none() || expects);
    for attempt in 0..2 {
        match next.take().unwrap_or_else(|| joiner.push(bytes, headers, pool)) {
            Push::Taken => {
                held.push(own.to_vec());
                assert_eq!(joiner.key(), Some(&headers.key));
                return;
            }
            Push::Full(frame) => {
                held.push(own.to_vec());
                release(Some(frame), held);
                assert!(joiner.key().is_none());
                return;
            }
            Push::Flushed(None) => {
                assert!(held.is_empty());
                return;
            }
            Push::Flushed(frame) => {
                assert_eq!(attempt, 0, "a second try finds nothing held");
                release(frame, held);
            }
            Push::BadChecksum => {
                let l3 = usize::from(headers.l3)..usize::from(headers.l4);
                let ip = headers.layer3 != Layer3::Ipv4 || checksum::fold(checksum::sum(&bytes[l3])) == 0xffff;
                assert!(!ip || checksum::verify_transport(bytes, headers) != Some(true));
                return release(joiner.flush(), held);
            }
        }
    }
}

/// Checks a frame that came out against the segments that went in.
fn release(frame: Option<Frame>, held: &mut Vec<Vec<u8>>) {
    let Some(frame) = frame else { return assert!(held.is_empty(), "{} segments are lost", held.len()) };
    let headers = parse(frame.bytes()).expect("a joined frame parses");
    assert_eq!(headers.end as usize, frame.len());
    let mut out = Vec::new();
    let cut = cut(&frame, &headers, &[], &mut out).expect("a joined frame can be cut");
    assert_eq!(cut.count, held.len());
    for (segment, wanted) in out.chunks(cut.segment_len).zip(held.drain(..)) {
        let own = parse(segment).expect("a segment parses");
        assert_eq!(checksum::verify_transport(segment, &own), Some(true));
        assert_eq!(plain(segment, &own), plain(&wanted, &own));
    }
}

/// A segment without what may differ: checksums, of which each has two forms of zero, and an identification that means
/// nothing (RFC 6864: the packet is never fragmented).
fn plain(segment: &[u8], headers: &Headers) -> Vec<u8> {
    let mut segment = segment.to_vec();
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    if headers.layer3 == Layer3::Ipv4 {
        assert_eq!(checksum::fold(checksum::sum(&segment[l3..l4])), 0xffff);
        segment[l3 + 10..l3 + 12].fill(0);
        if segment[l3 + 6] & 0x40 != 0 {
            segment[l3 + 4..l3 + 6].fill(0);
        }
    }
    let field = l4 + if headers.key.protocol() == protocol::TCP { 16 } else { 6 };
    segment[field..field + 2].fill(0);
    segment
}
