//! ICMP errors and the packets that they quote.

use nat::{Untranslatable, translate_error};
use wire::Frame;

use crate::packet::{
    ACK, Segment, echo, icmp, is_sound, make_partial, parse, quote, rewrite, segment, tcp, time_exceeded, udp,
};

/// What left: 192.0.2.1:4000 > 198.51.100.1, which inside was 10.0.0.1:9.
fn pairs() -> Vec<(Frame, Frame, &'static str, &'static str, &'static str)> {
    let data = Segment { payload: b"some data that is quoted", ..segment(ACK, 1, 2) };
    let (inside, outside, far) = ("10.0.0.1:9", "192.0.2.1:4000", "198.51.100.1:53");
    let (inside6, outside6, far6) = ("[fd00::1]:9", "[2001:db8::1]:4000", "[2001:db8:9::1]:53");
    vec![
        (udp(inside, far, b"abc"), udp(outside, far, b"abc"), inside, "192.0.2.1", "198.51.100.254"),
        (tcp(inside, far, data), tcp(outside, far, data), inside, "192.0.2.1", "198.51.100.254"),
        (
            echo("10.0.0.1", "198.51.100.1", 9, false),
            echo("192.0.2.1", "198.51.100.1", 4000, false),
            inside,
            "192.0.2.1",
            "198.51.100.254",
        ),
        (udp(inside6, far6, b"abc"), udp(outside6, far6, b"abc"), inside6, "2001:db8::1", "2001:db8:9::ff"),
        (tcp(inside6, far6, data), tcp(outside6, far6, data), inside6, "2001:db8::1", "2001:db8:9::ff"),
        (
            echo("fd00::1", "2001:db8:9::1", 9, false),
            echo("2001:db8::1", "2001:db8:9::1", 4000, false),
            inside6,
            "2001:db8::1",
            "2001:db8:9::ff",
        ),
    ]
}

/// NI-04 and CK-04: the quotation is what the inside sent, byte for byte, its own checksums included.
#[test]
fn ni_04_an_error_from_outside_quotes_what_the_inside_sent() {
    for (sent, left, inside, public, router) in pairs() {
        let host = crate::packet::at(inside).ip().to_string();
        let mut error = time_exceeded(router, public, &left);
        let headers = parse(&error);
        translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, "")).unwrap();
        assert_eq!(error.bytes(), time_exceeded(router, &host, &sent).bytes());
        assert!(is_sound(&error));
    }
}

#[test]
fn ni_05_an_error_from_inside_leaves_with_the_public_address() {
    let came_in = udp("198.51.100.1:53", "10.0.0.1:9", b"abc");
    let came_as = udp("198.51.100.1:53", "192.0.2.1:4000", b"abc");
    let mut error = icmp("10.0.0.1", "198.51.100.1", (3, 3), [0; 4], &quote(&came_in, 28));
    let headers = parse(&error);
    let outer = rewrite("192.0.2.1:4000", "");
    translate_error(&mut error, &headers, &outer, &rewrite("", "192.0.2.1:4000")).unwrap();
    let wanted = icmp("192.0.2.1", "198.51.100.1", (3, 3), [0; 4], &quote(&came_as, 28));
    assert_eq!(error.bytes(), wanted.bytes());
}

#[test]
fn ni_03_options_in_the_quotation_are_skipped_and_its_header_checksum_counts() {
    let with_options = |frame: &Frame| {
        let mut packet = quote(frame, 200);
        packet.splice(20..20, [1, 1, 1, 0]);
        packet[0] = 0x46;
        packet[3] += 4;
        let sum = wire::checksum::ipv4_header(&packet[..24]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let (sent, left) = (udp("10.0.0.1:9", "198.51.100.1:53", b"abc"), udp("192.0.2.1:4000", "198.51.100.1:53", b"abc"));
    let about = |frame: &Frame, to: &str| icmp("198.51.100.254", to, (3, 1), [0; 4], &with_options(frame));
    let mut error = about(&left, "192.0.2.1");
    let headers = parse(&error);
    let inside = "10.0.0.1:9";
    translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, "")).unwrap();
    assert_eq!(error.bytes(), about(&sent, "10.0.0.1").bytes());

    let mut quoted = with_options(&left);
    quoted[8] ^= 1;
    let mut error = icmp("198.51.100.254", "192.0.2.1", (3, 1), [0; 4], &quoted);
    let (headers, before) = (parse(&error), error.bytes().to_vec());
    let refused = translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, ""));
    assert_eq!((refused, error.bytes()), (Err(Untranslatable::Quotation), &before[..]));
}

#[test]
fn ni_03_a_transport_checksum_in_the_quotation_is_not_verified() {
    let mut left = udp("192.0.2.1:4000", "198.51.100.1:53", b"abc");
    make_partial(&mut left, wire::Gso::None, 0);
    let mut error = time_exceeded("198.51.100.254", "192.0.2.1", &left);
    let headers = parse(&error);
    let inside = "10.0.0.1:9";
    assert_eq!(translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, "")), Ok(()));
    assert!(is_sound(&error));
}

/// NI-09: RFC 4884 puts extensions behind 128 bytes of quotation and says so in the header.
#[test]
fn ni_09_extensions_stay_and_bound_the_quotation() {
    let extension = [0x20, 0, 0xde, 0xad, 0, 8, 1, 1, 1, 2, 3, 4];
    let about = |frame: &Frame, to: &str| {
        let mut body = quote(frame, 128);
        body.resize(128, 0);
        body.extend(extension);
        icmp("198.51.100.254", to, (11, 0), [0, 32, 0, 0], &body)
    };
    let (sent, left) = (udp("10.0.0.1:9", "198.51.100.1:53", b"abc"), udp("192.0.2.1:4000", "198.51.100.1:53", b"abc"));
    let inside = "10.0.0.1:9";
    let mut error = about(&left, "192.0.2.1");
    let headers = parse(&error);
    translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, "")).unwrap();
    assert_eq!(error.bytes(), about(&sent, "10.0.0.1").bytes());

    // A quotation that ends before the checksum of TCP: what follows is an extension, not that checksum.
    let mut body = quote(&tcp("192.0.2.1:4000", "198.51.100.1:53", segment(ACK, 1, 2)), 28);
    body.extend(extension);
    let mut error = icmp("198.51.100.254", "192.0.2.1", (11, 0), [0, 7, 0, 0], &body);
    let headers = parse(&error);
    translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, "")).unwrap();
    assert!(is_sound(&error) && error.bytes().ends_with(&extension));
}

#[test]
fn too_short_or_not_an_error_is_refused() {
    let left = udp("192.0.2.1:4000", "198.51.100.1:53", b"abc");
    let inside = "10.0.0.1:9";
    // What tells connections apart: the header and the ports.
    for len in 0..24 {
        let mut error = icmp("198.51.100.254", "192.0.2.1", (3, 1), [0; 4], &quote(&left, len));
        let headers = parse(&error);
        let refused = translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, ""));
        assert_eq!(refused, Err(Untranslatable::Quotation), "{len}");
    }
    // Source quench (RFC 6633), redirect, and an error about an error (RFC 1122 section 3.2.2).
    let error = time_exceeded("198.51.100.254", "192.0.2.1", &left);
    for (kind, about) in [(4, &left), (5, &left), (3, &error)] {
        let mut error = icmp("198.51.100.254", "192.0.2.1", (kind, 1), [0; 4], &quote(about, 100));
        let headers = parse(&error);
        let refused = translate_error(&mut error, &headers, &rewrite("", inside), &rewrite(inside, ""));
        assert_eq!(refused, Err(Untranslatable::Quotation), "{kind}");
    }
}
