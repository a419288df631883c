//! Translation of whole packets, super-frames and fragments: there and back gives the same bytes.

use nat::{End, Rewrite, Untranslatable, translate};
use proptest::prelude::*;
use wire::{Frame, Gso, checksum, cut};

use crate::packet::{
    ACK, Segment, echo, end, fragments, ip, is_sound, make_partial, other, parse, reassemble, rewrite, segment, tcp,
    udp,
};

#[test]
fn ck_04_both_ends_ports_and_addresses_are_new_and_sums_right() {
    let pairs = [
        ("10.0.0.1:9", "10.9.0.2:53", "192.0.2.1:4000", "203.0.113.7:5353"),
        ("[fd00::1]:9", "[fd00::2]:53", "[2001:db8::1]:4000", "[2001:db8:1::7]:5353"),
    ];
    for (src, dst, new_src, new_dst) in pairs {
        for mut frame in [udp(src, dst, b"abc"), tcp(src, dst, Segment { payload: b"odd", ..segment(ACK, 1, 2) })] {
            let headers = parse(&frame);
            translate(&mut frame, &headers, &rewrite(new_src, new_dst)).unwrap();
            let key = parse(&frame).key;
            assert_eq!((key.src(), key.src_port()), (Some(end(new_src).ip), end(new_src).port));
            assert_eq!((key.dst(), key.dst_port()), (Some(end(new_dst).ip), end(new_dst).port));
            assert!(is_sound(&frame));
        }
    }
}

#[test]
fn echo_has_its_identifier_on_the_side_that_asks() {
    let mut ask = echo("10.0.0.1", "198.51.100.1", 7, false);
    let headers = parse(&ask);
    translate(&mut ask, &headers, &rewrite("192.0.2.1:4000", "")).unwrap();
    assert_eq!(ask.bytes(), echo("192.0.2.1", "198.51.100.1", 4000, false).bytes());
    let mut answer = echo("2001:db8::9", "2001:db8::1", 4000, true);
    let headers = parse(&answer);
    translate(&mut answer, &headers, &rewrite("", "[fd00::1]:7")).unwrap();
    assert_eq!(answer.bytes(), echo("2001:db8::9", "fd00::1", 7, true).bytes());
}

#[test]
fn a_protocol_without_ports_gets_addresses_only() {
    let mut frame = other("10.0.0.1", "198.51.100.1", 47, b"any payload");
    let headers = parse(&frame);
    translate(&mut frame, &headers, &rewrite("192.0.2.1:4000", "")).unwrap();
    assert_eq!(frame.bytes(), other("192.0.2.1", "198.51.100.1", 47, b"any payload").bytes());
}

/// IP-18 and CK-04: a super-frame with a partial checksum, translated and then cut, is the cut one translated.
#[test]
fn ip_18_super_frames_are_translated_whole() {
    for (src, dst, new, gso) in [
        ("10.0.0.1:9", "10.9.0.2:80", "192.0.2.1:4000", Gso::Tcp4),
        ("[fd00::1]:9", "[fd00::2]:80", "[2001:db8::1]:4000", Gso::Tcp6),
        ("10.0.0.1:9", "10.9.0.2:53", "192.0.2.1:4000", Gso::Udp),
    ] {
        let payload = vec![0xa5; 5000];
        let mut frame = match gso {
            Gso::Udp => udp(src, dst, &payload),
            _ => tcp(src, dst, Segment { payload: &payload, ..segment(ACK, 1, 2) }),
        };
        make_partial(&mut frame, gso, 1400);
        let headers = parse(&frame);
        translate(&mut frame, &headers, &rewrite(new, "")).unwrap();
        assert!(checksum::is_partial(frame.bytes(), &parse(&frame)), "the pseudo-header's sum follows");
        let mut out = Vec::new();
        let segments = cut(&frame, &parse(&frame), &[], &mut out).unwrap();
        assert_eq!(segments.count, 4);
        for one in out.chunks(segments.segment_len).map(Frame::from_bytes) {
            assert!(is_sound(&one));
            assert_eq!(parse(&one).key.src(), Some(end(new).ip));
        }
    }
}

#[test]
fn nu_17_first_and_later_fragments_make_the_translated_datagram() {
    let pairs =
        [("10.0.0.1:9", "10.9.0.2:53", "192.0.2.1:4000"), ("[fd00::1]:9", "[fd00::2]:53", "[2001:db8::1]:4000")];
    for (src, dst, new) in pairs {
        let payload: Vec<u8> = (0..2000).map(|n| n as u8).collect();
        let mut parts = fragments(&udp(src, dst, &payload), 512, 77);
        for part in &mut parts {
            let headers = parse(part);
            translate(part, &headers, &rewrite(new, "")).unwrap();
        }
        let (whole, wanted) = (reassemble(&parts), udp(new, dst, &payload));
        let transport = usize::from(parse(&wanted).l4);
        assert!(whole.bytes()[transport..] == wanted.bytes()[transport..]);
        assert!(is_sound(&whole) && parse(&whole).key.src() == parse(&wanted).key.src());
    }
}

#[test]
fn a_packet_of_the_other_family_or_without_ip_is_refused_unchanged() {
    let mut frame = udp("10.0.0.1:9", "10.9.0.2:53", b"abc");
    let before = frame.bytes().to_vec();
    let headers = parse(&frame);
    assert_eq!(translate(&mut frame, &headers, &rewrite("[fd00::1]:1", "")), Err(Untranslatable::Family));
    assert_eq!(frame.bytes(), before);
    let mut arp = Frame::from_bytes(&[&[0xff; 12][..], &[8, 6], &[0; 28]].concat());
    let headers = parse(&arp);
    assert_eq!(translate(&mut arp, &headers, &rewrite("10.0.0.1:1", "")), Err(Untranslatable::Family));
}

#[test]
fn a_source_route_is_refused() {
    let plain = udp("[fd00::1]:9", "[fd00::2]:53", b"abc");
    let mut bytes = plain.bytes().to_vec();
    let next = std::mem::replace(&mut bytes[20], 43);
    bytes[19] += 24;
    let mut routing = vec![next, 2, 4, 1, 0, 0, 0, 0];
    routing.extend([0xfd; 16]);
    bytes.splice(54..54, routing);
    let mut frame = Frame::from_bytes(&bytes);
    let headers = parse(&frame);
    assert_eq!(translate(&mut frame, &headers, &rewrite("[fd00::9]:1", "")), Err(Untranslatable::SourceRoute));
    frame.bytes_mut()[57] = 0;
    assert_eq!(translate(&mut frame, &headers, &rewrite("[fd00::9]:1", "")), Ok(()), "no station is left");
}

fn address(v6: bool) -> impl Strategy<Value = std::net::IpAddr> {
    any::<[u8; 16]>().prop_map(move |mut octets| {
        if v6 {
            octets[0] |= 0x20;
            octets.into()
        } else {
            [octets[0], octets[1], octets[2], octets[3]].into()
        }
    })
}

prop_compose! {
    fn packet_and_ends()(v6 in any::<bool>())(
        ips in prop::array::uniform4(address(v6)),
        ports in prop::array::uniform4(any::<u16>()),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..4u8,
        partial in any::<bool>(),
    ) -> (Frame, Rewrite, Rewrite) {
        let text = |n: usize| std::net::SocketAddr::new(ips[n], ports[n]).to_string();
        let mut frame = match kind {
            0 => udp(&text(0), &text(1), &payload),
            1 => tcp(&text(0), &text(1), Segment { payload: &payload, ..segment(ACK, 1, 2) }),
            2 => echo(&ips[0].to_string(), &ips[1].to_string(), ports[0], false),
            _ => echo(&ips[0].to_string(), &ips[1].to_string(), ports[1], true),
        };
        if partial && kind < 2 {
            make_partial(&mut frame, Gso::None, 0);
        }
        let end = |n: usize| Some(End { ip: ips[n], port: ports[n] });
        (frame, Rewrite { src: end(2), dst: end(3) }, Rewrite { src: end(0), dst: end(1) })
    }
}

proptest! {
    #[test]
    fn there_and_back_is_where_it_was((mut frame, there, back) in packet_and_ends()) {
        let before = frame.bytes().to_vec();
        let headers = parse(&frame);
        translate(&mut frame, &headers, &there).unwrap();
        if frame.offload.partial_checksum().is_some() {
            let mut whole = Frame::new();
            whole.copy_from(&frame);
            checksum::complete(&mut whole).unwrap();
            prop_assert!(is_sound(&whole));
        } else {
            prop_assert!(is_sound(&frame));
        }
        translate(&mut frame, &headers, &back).unwrap();
        prop_assert_eq!(frame.bytes(), &before[..]);
    }

    #[test]
    fn nothing_panics_on_any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 14..200), kind in 0..3usize, partial: (u16, u16)) {
        let ether = [[8, 0], [0x86, 0xdd], [8, 6]][kind];
        bytes[12..14].copy_from_slice(&ether);
        if let Some(version) = bytes.get_mut(14) {
            *version = [0x45, 0x60, 0][kind];
        }
        let mut frame = Frame::from_bytes(&bytes);
        frame.offload = wire::Offload::partial(partial.0 % 80, partial.1 % 20);
        if let Ok(headers) = wire::parse(frame.bytes()) {
            let to = if kind == 1 { rewrite("[fd00::9]:1", "[fd00::8]:2") } else { rewrite("10.0.0.9:1", "10.0.0.8:2") };
            let _ = translate(&mut frame, &headers, &to);
            let _ = nat::translate_error(&mut frame, &headers, &to, &to);
            let _ = nat::decrement_ttl(&mut frame, &headers);
        }
    }
}

#[test]
fn an_empty_rewrite_changes_nothing() {
    let mut frame = udp("10.0.0.1:9", "10.9.0.2:53", b"abc");
    let before = frame.bytes().to_vec();
    let headers = parse(&frame);
    translate(&mut frame, &headers, &Rewrite::default()).unwrap();
    assert_eq!(frame.bytes(), before);
    let same = Rewrite { src: Some(End { ip: ip("10.0.0.1"), port: 9 }), dst: None };
    translate(&mut frame, &headers, &same).unwrap();
    assert_eq!(frame.bytes(), before);
}
