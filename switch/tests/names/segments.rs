//! Whatever segments come, in and out of order, with any flags, options and windows: the engine goes on, what it says parses,
//! and others are answered meanwhile.

use etherparse::{PacketBuilder, SlicedPacket, TcpHeader, TransportSlice};
use proptest::prelude::*;
use simple_dns::TYPE;
use wire::{Frame, Mac, checksum, parse};

use crate::sandbox::{GATEWAY, ask, host, query, told};
use crate::world::{Host, ip};

/// A segment: flags, how far its numbers are from those expected, window, options, payload, and milliseconds before it.
type Segment = (u8, i8, i8, u16, Vec<u8>, Vec<u8>, u16);

fn segment() -> impl Strategy<Value = Segment> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just([&[0, 21][..], &query("web", TYPE::A)].concat()),
        Just([&[0, 29][..], &query("example.org", TYPE::A)].concat()),
    ];
    let near = prop_oneof![4 => Just(0i8), 1 => any::<i8>()];
    // Mostly a plain one with an acknowledgement.
    let flags = prop_oneof![3 => Just(0x10u8), 1 => 0u8..64];
    let options = prop::collection::vec(any::<u8>(), 0..10).prop_map(|mut options| {
        options.truncate(options.len() / 4 * 4);
        options
    });
    let wait = prop_oneof![3 => 0u16..20, 1 => 0u16..8_000];
    (flags, near.clone(), near, any::<u16>(), options, payload, wait)
}

fn frame(port: u16, (flags, window): (u8, u16), (seq, ack): (u32, u32), options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(port, 53, seq, window);
    header.acknowledgment_number = ack;
    (header.fin, header.syn, header.rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    (header.psh, header.ack, header.urg) = (flags & 8 != 0, flags & 16 != 0, flags & 32 != 0);
    header.set_options_raw(options).unwrap();
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(Mac::from_ipv4(ip(2)).0, Mac::from_ipv4(GATEWAY).0);
    builder.ipv4(ip(2).octets(), GATEWAY.octets(), 64).tcp_header(header).write(&mut bytes, payload).unwrap();
    bytes
}

/// Looks at what was said; returns the number of the next byte that the gateway says.
fn look(frames: &[(switch::PortId, Frame)], mut ack: u32) -> u32 {
    for (_, frame) in frames {
        let headers = parse(frame.bytes()).unwrap();
        assert_eq!(checksum::verify_transport(frame.bytes(), &headers), Some(true));
        let sliced = SlicedPacket::from_ethernet(frame.bytes()).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("{sliced:?}") };
        let len = tcp.payload().len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin());
        ack = tcp.sequence_number().wrapping_add(len);
    }
    ack
}

fn pass(host: &mut Host, millis: u64) -> Vec<(switch::PortId, Frame)> {
    host.later(std::time::Duration::from_millis(millis));
    host.switch.tend_streams(host.now, &mut host.out);
    std::mem::take(&mut host.out.frames)
}

proptest! {
    #[test]
    fn nothing_stops_it(segments in prop::collection::vec(segment(), 0..30)) {
        let (mut host, me) = host();
        let (mut seq, mut ack) = (7_000u32, 0);
        let (frames, _) = host.send(me, &frame(4_000, (2, 9_000), (seq, 0), &[], &[]));
        ack = look(&frames, ack);
        seq += 1;
        for (flags, off, ack_off, window, options, payload, wait) in segments {
            let late = pass(&mut host, wait.into());
            ack = look(&late, ack);
            let numbers = (seq.wrapping_add_signed(off.into()), ack.wrapping_add_signed(ack_off.into()));
            let (frames, _) = host.send(me, &frame(4_000, (flags, window), numbers, &options, &payload));
            ack = look(&frames, ack);
            if off == 0 {
                seq = seq.wrapping_add(payload.len() as u32 + u32::from(flags & 1));
            }
        }
        prop_assert_eq!(ask(&mut host, me, "web", TYPE::A), told(&["10.10.10.3"]));
        drop(host.switch.take_questions().collect::<Vec<_>>());
        for _ in 0..60 {
            look(&pass(&mut host, 1_000), 0);
        }
        let frames = pass(&mut host, 60_000);
        prop_assert!(frames.is_empty(), "a connection stays for ever");
    }
}
