//! What a router does to every packet.

use nat::{Expired, decrement_ttl, ipv4_header_is_sound};

use crate::packet::{is_sound, parse, udp};

#[test]
fn ip_01_one_less_each_hop_until_it_runs_out() {
    for (src, dst, at) in [("10.0.0.1:9", "10.9.0.2:53", 22), ("[fd00::1]:9", "[fd00::2]:53", 21)] {
        let mut frame = udp(src, dst, b"abc");
        let headers = parse(&frame);
        for left in (1..64).rev() {
            assert_eq!(decrement_ttl(&mut frame, &headers), Ok(()));
            assert_eq!(frame.bytes()[at], left);
            assert!(is_sound(&frame), "IP-02: the header's checksum follows");
        }
        let before = frame.bytes().to_vec();
        assert_eq!(decrement_ttl(&mut frame, &headers), Err(Expired));
        frame.bytes_mut()[at] = 0;
        assert_eq!(decrement_ttl(&mut frame, &headers), Err(Expired), "0 never arrives, but is not wrapped");
        frame.bytes_mut()[at] = 1;
        assert_eq!(frame.bytes(), before);
    }
}

#[test]
fn ip_02_a_wrong_header_checksum_is_seen() {
    let mut frame = udp("10.0.0.1:9", "10.9.0.2:53", b"abc");
    let headers = parse(&frame);
    assert!(ipv4_header_is_sound(frame.bytes(), &headers));
    frame.bytes_mut()[22] ^= 1;
    assert!(!ipv4_header_is_sound(frame.bytes(), &headers));
    let six = udp("[fd00::1]:9", "[fd00::2]:53", b"abc");
    assert!(ipv4_header_is_sound(six.bytes(), &parse(&six)));
}
