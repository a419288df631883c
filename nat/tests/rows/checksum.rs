//! Checksums after translation: for every word, and for those that mean something special.

use nat::{End, Rewrite, Untranslatable, translate};
use wire::{Frame, checksum};

use crate::packet::{ACK, echo, icmp, ip, is_sound, parse, rewrite, segment, tcp, udp};

const BOUNDARY: [u16; 5] = [0, 1, 0x8000, 0xfffe, 0xffff];

/// Takes the frame's source through every old word to every word at a boundary, and checks all sums by full computation.
fn through_every_word(mut frame: Frame, to: impl Fn(u16) -> End) {
    let headers = parse(&frame);
    for old in 0..=u16::MAX {
        for new in BOUNDARY {
            for word in [old, new] {
                translate(&mut frame, &headers, &Rewrite { src: Some(to(word)), dst: None }).unwrap();
                assert!(is_sound(&frame), "{old:#x} {new:#x}");
            }
        }
    }
}

#[test]
fn ck_02_exhaustive_ports_of_tcp() {
    through_every_word(tcp("10.0.0.1:9", "10.9.0.2:80", segment(ACK, 1, 2)), |w| End { ip: ip("10.0.0.1"), port: w });
}

#[test]
fn ck_02_exhaustive_ports_of_udp() {
    through_every_word(udp("[fd00::1]:9", "[fd00::2]:53", b"abc"), |w| End { ip: ip("fd00::1"), port: w });
}

#[test]
fn ck_02_exhaustive_identifiers_of_icmp() {
    through_every_word(echo("10.0.0.1", "10.9.0.2", 9, false), |w| End { ip: ip("10.0.0.1"), port: w });
}

#[test]
fn ck_02_an_echo_reply_may_become_all_zeroes() {
    let mut frame = icmp("10.9.0.2", "10.0.0.1", (0, 0), [0, 9, 0, 0], &[0; 8]);
    let headers = parse(&frame);
    let to = End { ip: ip("10.0.0.1"), port: 0 };
    translate(&mut frame, &headers, &Rewrite { src: None, dst: Some(to) }).unwrap();
    assert_eq!(&frame.bytes()[34..42], &[0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(is_sound(&frame));
}

#[test]
fn ck_02_exhaustive_addresses_of_ip() {
    let to = |w: u16| End { ip: [10, 0, (w >> 8) as u8, w as u8].into(), port: 9 };
    through_every_word(udp("10.0.0.1:9", "10.9.0.2:53", b"abc"), to);
}

#[test]
fn ck_03_udp_checksum_that_becomes_zero_is_sent_as_all_ones() {
    let mut frame = udp("10.0.0.1:9", "10.9.0.2:53", b"abc");
    let headers = parse(&frame);
    let mut seen = 0;
    for port in 0..=u16::MAX {
        translate(&mut frame, &headers, &Rewrite { src: Some(End { ip: ip("10.0.0.1"), port }), dst: None }).unwrap();
        let sum = &frame.bytes()[40..42];
        assert_ne!(sum, [0, 0]);
        seen += usize::from(sum == [0xff, 0xff]);
    }
    assert!(seen >= 1, "some port gives 0");
}

#[test]
fn ck_03_udp_without_checksum_stays_without_over_ipv4() {
    let mut frame = udp("10.0.0.1:9", "10.9.0.2:53", b"abc");
    let headers = parse(&frame);
    frame.bytes_mut()[40..42].copy_from_slice(&[0, 0]);
    translate(&mut frame, &headers, &rewrite("192.0.2.1:4000", "192.0.2.2:4001")).unwrap();
    assert_eq!(frame.bytes()[40..42], [0, 0]);
    assert!(is_sound(&frame));
}

#[test]
fn ck_03_udp_without_checksum_is_refused_over_ipv6() {
    let mut frame = udp("[fd00::1]:9", "[fd00::2]:53", b"abc");
    let headers = parse(&frame);
    frame.bytes_mut()[60..62].copy_from_slice(&[0, 0]);
    let before = frame.bytes().to_vec();
    let refused = translate(&mut frame, &headers, &rewrite("[2001:db8::1]:4000", ""));
    assert_eq!((refused, frame.bytes()), (Err(Untranslatable::NoChecksum), &before[..]));
}

/// CK-01: what was wrong stays wrong, by the same amount.
#[test]
fn ck_01_a_wrong_checksum_stays_wrong() {
    let mut frame = tcp("10.0.0.1:9", "10.9.0.2:80", segment(ACK, 1, 2));
    let headers = parse(&frame);
    frame.bytes_mut()[50] ^= 0x40;
    translate(&mut frame, &headers, &rewrite("192.0.2.1:4000", "")).unwrap();
    assert_eq!(checksum::verify_transport(frame.bytes(), &headers), Some(false));
    frame.bytes_mut()[50] ^= 0x40;
    assert!(!is_sound(&frame) || frame.bytes()[50] & 0x40 == 0x40, "the error was carried over");
}
