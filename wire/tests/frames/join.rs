//! Joining: what comes out is the super-frame that was cut, and cuts into the same segments again.

use proptest::prelude::*;
use rstest::rstest;
use wire::{Frame, Gso, Headers, Joiner, Layer3, Offload, Pool, Push, checksum, cut, parse};

use crate::cut::split;
use crate::packet::{ACK, FIN, PSH, Packet, packet};

/// Pushes every segment as the switch does; gives the frames that leave, in order. Whether a segment is parsed first or
/// compared with the one before makes no difference.
fn join(segments: &[Vec<u8>], udp: bool) -> Vec<Frame> {
    let [frames, compared] = [false, true].map(|compare| join_with(segments, udp, compare));
    assert_eq!(frames.len(), compared.len());
    for (frame, other) in frames.iter().zip(&compared) {
        assert_eq!((frame.bytes(), frame.offload), (other.bytes(), other.offload));
    }
    frames
}

fn join_with(segments: &[Vec<u8>], udp: bool, compare: bool) -> Vec<Frame> {
    let mut pool = Pool::new(1);
    let mut joiner = Joiner::new().with_udp(udp);
    let mut frames = Vec::new();
    for bytes in segments {
        let headers = parse(bytes).expect("parse");
        let mut next = if compare { joiner.push_next(bytes, &mut pool) } else { None };
        loop {
            match next.take().unwrap_or_else(|| joiner.push(bytes, &headers, &mut pool)) {
                Push::Taken => assert_eq!(joiner.key(), Some(&headers.key)),
                Push::Full(frame) => {
                    assert_eq!(joiner.key(), None);
                    frames.push(frame);
                }
                Push::Flushed(Some(frame)) => {
                    frames.push(frame);
                    continue;
                }
                Push::Flushed(None) => frames.push(Frame::from_bytes(bytes)),
                Push::BadChecksum => panic!("checksum of {bytes:?}"),
            }
            break;
        }
    }
    frames.extend(joiner.flush());
    frames
}

/// What is said to each segment, and what is held at the end.
fn outcomes(segments: &[Vec<u8>], compare: bool) -> (Vec<String>, Option<Vec<u8>>) {
    let (mut pool, mut joiner) = (Pool::new(1), Joiner::new().with_udp(true));
    let said = segments.iter().map(|bytes| {
        let compared = if compare { joiner.push_next(bytes, &mut pool) } else { None };
        match compared.unwrap_or_else(|| joiner.push(bytes, &parse(bytes).expect("parse"), &mut pool)) {
            Push::Full(frame) | Push::Flushed(Some(frame)) => format!("{frame:?} {:?}", frame.bytes()),
            other => format!("{other:?}"),
        }
    });
    (said.collect(), joiner.flush().map(|frame| frame.bytes().to_vec()))
}

/// Flips a bit, and lets the checksum of the header that it is in follow.
fn flip(bytes: &mut [u8], headers: &Headers, at: usize, bit: u8) {
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    let offset = if headers.key.protocol() == 6 { 16 } else { 6 };
    let (start, field) = if at < l4 { (l3, l3 + 10) } else { (l4, l4 + offset) };
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let around = at.checked_sub(start).map(|from| start + from / 2 * 2).filter(|&around| around != field);
    let old = around.and_then(|around| word(bytes, around));
    bytes[at] ^= 1 << bit;
    let new = around.and_then(|around| word(bytes, around));
    let has_checksum = at >= l4 || headers.layer3 == Layer3::Ipv4;
    if let (true, Some(old), Some(new), Some(sum)) = (has_checksum, old, new, word(bytes, field)) {
        bytes[field..field + 2].copy_from_slice(&checksum::update(sum, old, new).to_be_bytes());
    }
}

fn cut_again(frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for frame in frames {
        let mut out = Vec::new();
        let headers = parse(frame.bytes()).expect("parse");
        let done = cut(frame, &headers, b"", &mut out).expect("cut");
        segments.extend(split(&out, done, b""));
    }
    segments
}

fn kinds() -> impl Iterator<Item = Packet> {
    let both = |tcp: Packet| [Packet { tcp: false, ..tcp.clone() }, tcp];
    [(false, None), (true, None), (false, Some(0x2007)), (true, Some(0))]
        .into_iter()
        .flat_map(move |(v6, tag)| both(Packet { v6, tag, ..Packet::tcp4(Vec::new()) }))
}

#[rstest]
#[case::whole_segments(1000, 20_000)]
#[case::short_last(999, 20_000)]
#[case::longest(1448, 60_000)]
#[case::single_bytes(1, 60)]
fn ip_18_joined_segments_are_the_super_frame(#[case] size: usize, #[case] len: usize) {
    for kind in kinds() {
        let packet = Packet { payload: (0..len).map(|n| (n * 3) as u8).collect(), ..kind };
        let frames = join(&packet.segments(size), true);
        let (expected, _) = packet.super_frame(size);
        assert_eq!(frames.len(), 1, "{packet:?}");
        assert!(frames[0].bytes() == expected.bytes(), "{packet:?}");
        assert_eq!(frames[0].offload, expected.offload);
    }
}

#[test]
fn a_single_segment_comes_out_as_verified() {
    for kind in kinds() {
        let bytes = Packet { payload: vec![1; 100], ..kind }.bytes();
        let mut padded = bytes.clone();
        padded.extend([0; 4]);
        let frames = join(&[padded], true);
        assert_eq!((frames[0].bytes(), frames[0].offload), (&bytes[..], Offload::VALID));
    }
}

#[test]
fn push_ends_a_run_and_is_kept() {
    let packet = Packet { flags: ACK | PSH, ..Packet::tcp4(vec![4; 3000]) };
    let mut segments = packet.segments(1000);
    segments.extend(Packet { sequence: 4000, id: 10, ..Packet::tcp4(vec![5; 1000]) }.segments(1000));
    let frames = join(&segments, false);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].bytes()[34 + 13], ACK | PSH);
    assert!(cut_again(&frames) == segments);
}

#[test]
fn a_run_ends_before_the_longest_packet_and_at_64_datagrams() {
    let tcp = |sequence, id| Packet { sequence, id, ..Packet::tcp4(vec![1; 1448]) }.bytes();
    let segments: Vec<_> = (0..50u16).map(|n| tcp(u32::from(n) * 1448, n)).collect();
    let frames = join(&segments, false);
    assert_eq!(frames.iter().map(|f| f.len() - 66).collect::<Vec<_>>(), [45 * 1448, 5 * 1448]);
    assert!(cut_again(&frames) == segments);
    let segments = Packet::udp4(vec![1; 130]).segments(1);
    let frames = join(&segments, true);
    assert_eq!(frames.iter().map(|f| f.len() - 42).collect::<Vec<_>>(), [64, 64, 2]);
    assert!(cut_again(&frames) == segments);
}

/// The second of three segments with a difference: it must not be in one frame with the first.
#[rstest]
#[case::gap(|p: &mut Packet| p.sequence += 1)]
#[case::repeated(|p: &mut Packet| p.sequence -= 500)]
#[case::longer(|p: &mut Packet| p.payload.push(1))]
#[case::fin(|p: &mut Packet| p.flags |= FIN)]
#[case::no_ack(|p: &mut Packet| p.flags = 0)]
#[case::empty(|p: &mut Packet| p.payload.clear())]
#[case::other_options(|p: &mut Packet| p.timestamps = false)]
#[case::other_address(|p: &mut Packet| p.address = 9)]
#[case::other_port(|p: &mut Packet| p.ports.1 = 9)]
#[case::other_tos(|p: &mut Packet| p.tos = 3)]
#[case::other_tag(|p: &mut Packet| p.tag = Some(0))]
#[case::other_df(|p: &mut Packet| p.df = false)]
#[case::other_protocol(|p: &mut Packet| p.tcp = false)]
fn segments_that_differ_are_not_joined(#[case] change: fn(&mut Packet)) {
    let first = Packet::tcp4(vec![1; 500]);
    let mut second = Packet { sequence: first.sequence + 500, id: first.id + 1, ..first.clone() };
    assert_eq!(join(&[first.bytes(), second.bytes()], true).len(), 1);
    change(&mut second);
    let segments = [first.bytes(), second.bytes()];
    let frames = join(&segments, true);
    assert_eq!(frames.len(), 2);
    assert!(cut_again(&frames) == segments);
}

/// Bytes that must be equal, changed in the second segment with the checksums kept right.
#[rstest]
#[case::ttl(22, 10)]
#[case::source_mac(11, 0)]
#[case::acknowledgement(34 + 11, 16)]
#[case::window(34 + 15, 16)]
#[case::timestamp(34 + 27, 16)]
fn header_bytes_that_differ_are_not_joined(#[case] at: usize, #[case] ip_field: usize) {
    let first = Packet::tcp4(vec![1; 500]);
    let mut second = Packet { sequence: first.sequence + 500, ..first.clone() }.bytes();
    let old = u16::from_be_bytes([second[at & !1], second[at | 1]]);
    second[at] ^= 1;
    let new = u16::from_be_bytes([second[at & !1], second[at | 1]]);
    let field = match ip_field {
        10 => Some(24),
        16 => Some(50),
        _ => None,
    };
    if let Some(field) = field {
        let sum = u16::from_be_bytes([second[field], second[field + 1]]);
        second[field..field + 2].copy_from_slice(&wire::checksum::update(sum, old, new).to_be_bytes());
    }
    let segments = [first.bytes(), second];
    let frames = join(&segments, false);
    assert_eq!(frames.len(), 2);
    assert!(cut_again(&frames) == segments);
}

/// Bytes that no checksum covers, behind a tag: its EtherType, traffic class, flow label, hop limit.
#[rstest]
fn ipv6_header_bytes_that_differ_are_not_joined(#[values(12, 18, 19, 21, 25)] at: usize) {
    let first = Packet { v6: true, tag: Some(5), ..Packet::tcp4(vec![1; 500]) };
    let mut second = Packet { sequence: first.sequence + 500, ..first.clone() }.bytes();
    if at == 12 {
        second[12..14].copy_from_slice(&[0x88, 0xa8]);
    } else {
        second[at] ^= 1;
    }
    let segments = [first.bytes(), second];
    let frames = join(&segments, false);
    assert_eq!(frames.len(), 2);
    assert!(cut_again(&frames) == segments);
}

#[test]
fn identification_counts_or_means_nothing() {
    let two = |df, step| {
        let first = Packet { df, id: u16::MAX, ..Packet::tcp4(vec![1; 10]) };
        let second = Packet { sequence: first.sequence + 10, id: first.id.wrapping_add(step), ..first.clone() };
        join(&[first.bytes(), second.bytes()], false).len()
    };
    assert_eq!([two(true, 0), two(true, 1), two(true, 99)], [1, 1, 1]);
    assert_eq!([two(false, 0), two(false, 1), two(false, 99)], [2, 1, 2]);
}

#[test]
fn udp_is_joined_only_when_asked_and_with_checksum() {
    let segments = Packet::udp4(vec![1; 1000]).segments(100);
    assert_eq!((join(&segments, false).len(), join(&segments, true).len()), (10, 1));
    let without: Vec<Vec<u8>> = segments
        .iter()
        .map(|bytes| {
            let mut bytes = bytes.clone();
            bytes[40..42].fill(0);
            bytes
        })
        .collect();
    let frames = join(&without, true);
    assert_eq!((frames.len(), frames[0].offload), (10, Offload::NONE));
}

#[test]
fn wrong_checksums_are_not_taken_and_disturb_nothing() {
    for kind in kinds() {
        let segments = Packet { payload: vec![7; 2000], ..kind.clone() }.segments(1000);
        for at in [
            if kind.v6 { 9999 } else { usize::from(parse(&segments[0]).expect("parse").l3) + 10 },
            segments[0].len() - 1,
        ] {
            let mut bad = segments[1].clone();
            let Some(byte) = bad.get_mut(at) else { continue };
            *byte ^= 1;
            let mut pool = Pool::new(1);
            let mut joiner = Joiner::new().with_udp(true);
            let headers = parse(&segments[0]).expect("parse");
            assert!(matches!(joiner.push(&bad, &parse(&bad).expect("parse"), &mut pool), Push::BadChecksum));
            assert!(joiner.flush().is_none());
            assert!(matches!(joiner.push(&segments[0], &headers, &mut pool), Push::Taken));
            assert!(matches!(joiner.push(&bad, &parse(&bad).expect("parse"), &mut pool), Push::BadChecksum));
            assert!(matches!(joiner.push(&segments[1], &headers, &mut pool), Push::Taken));
            assert_ne!(joiner.flush().expect("frame").offload.gso(), Gso::None);
        }
    }
}

#[test]
fn other_traffic_is_left_alone() {
    let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 8, 6], &[0; 28]].concat();
    let mut fragment = Packet::tcp4(vec![1; 64]).bytes();
    fragment[20] = 0x20;
    let mut options = Packet::tcp4(vec![1; 64]).bytes();
    options.splice(34..34, [1, 1, 1, 1]);
    options[14] = 0x46;
    options[17] += 4;
    for bytes in [arp, fragment, options] {
        let frames = join(&[bytes.clone(), bytes.clone()], true);
        assert_eq!((frames.len(), frames[1].bytes()), (2, &bytes[..]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn cut_join_cut_is_cut(packet in packet(9000), size in 1usize..3000, udp: bool) {
        prop_assume!(packet.payload.len().div_ceil(size) <= 2000);
        let segments = packet.segments(size);
        let frames = join(&segments, udp);
        prop_assert!(cut_again(&frames) == segments);
    }

    /// Whatever bit of the next segment's headers differs, comparing decides as parsing does, also where the checksums fit.
    #[test]
    fn a_flipped_bit_is_seen_by_comparing_as_by_parsing(packet in packet(900), at in 0usize..130, bit in 0u8..8) {
        let mut segments = packet.segments(300);
        prop_assume!(segments.len() > 1);
        let (headers, len) = (parse(&segments[1]).unwrap(), segments[1].len());
        flip(&mut segments[1], &headers, at % len, bit);
        prop_assume!(parse(&segments[1]).is_ok());
        prop_assert!(outcomes(&segments, true) == outcomes(&segments, false));
    }

    /// Several flows mixed, with pieces missing: every segment comes out, and in order.
    #[test]
    fn nothing_is_lost_or_reordered(
        packets in prop::collection::vec(packet(3000), 1..4),
        picks in prop::collection::vec((0usize..4, 0usize..3), 0..60),
    ) {
        let mut queues: Vec<_> = packets.iter().map(|p| p.segments(300).into_iter()).collect();
        let mut arrivals = Vec::new();
        for (queue, skip) in picks {
            let at = queue % queues.len();
            if let Some(segment) = queues[at].nth(skip / 2) {
                arrivals.push(segment);
            }
        }
        let frames = join(&arrivals, true);
        let without_free_id = |mut bytes: Vec<u8>| {
            let l3 = usize::from(parse(&bytes).unwrap().l3);
            if bytes[l3] == 0x45 && bytes[l3 + 6] == 0x40 {
                bytes[l3 + 4..l3 + 6].fill(0);
                bytes[l3 + 10..l3 + 12].fill(0);
            }
            bytes
        };
        let left: Vec<_> = cut_again(&frames).into_iter().map(without_free_id).collect();
        let arrived: Vec<_> = arrivals.into_iter().map(without_free_id).collect();
        prop_assert!(left == arrived);
    }
}
