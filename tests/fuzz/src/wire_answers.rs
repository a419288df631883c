//! What a gateway makes up about a packet is right in itself and answers nothing that must not be answered; fragments are
//! the packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::icmp::{Trouble, echo_reply, error};
use wire::{Fragment, Frame, Headers, Layer3, Mac, Pool, checksum, fragment, parse, protocol, reset};

use super::mend::mend;
use super::records::received;

const FROM4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 1));
const FROM6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
const ROUTER: Mac = Mac([2, 0x42, 10, 10, 10, 1]);

/// The input is an offload header and a frame; it is looked at as it is, and with its checksums put right.
pub fn run(data: &[u8]) {
    let Some(mut frame) = received(data) else { return };
    look(&frame);
    mend(frame.bytes_mut());
    look(&frame);
}

fn look(frame: &Frame) {
    let Ok(headers) = parse(frame.bytes()) else { return };
    let mut out = Frame::new();
    for trouble in [Trouble::TimeExceeded, Trouble::Prohibited, Trouble::TooBig { mtu: 1400 }] {
        for from in [FROM4, FROM6] {
            if error(&mut out, frame, &headers, from, ROUTER, trouble) {
                let back = sound(&out);
                assert!(headers.fragment != Fragment::Later);
                assert_eq!((back.key.src(), back.key.dst()), (Some(from), headers.key.src()));
                assert_eq!((back.key.src_mac(), back.key.dst_mac()), (ROUTER, headers.key.src_mac()));
                let most = if headers.layer3 == Layer3::Ipv4 { 576 } else { 1280 };
                assert!(out.len() - usize::from(back.l3) <= most);
                let quote = &out.bytes()[usize::from(back.l4) + 8..];
                assert!(frame.bytes()[headers.l3.into()..].starts_with(quote));
                assert!(!error(&mut Frame::new(), &out, &back, from, ROUTER, trouble));
            } else {
                assert!(out.is_empty());
            }
        }
    }
    if reset(&mut out, frame, &headers) {
        turned(&headers, &sound(&out));
        assert!(!reset(&mut Frame::new(), &out, &sound(&out)));
    }
    out.copy_from(frame);
    if echo_reply(&mut out, &headers) {
        let back = parse(out.bytes()).expect("our own reply parses");
        assert_eq!(checksum::verify_transport(out.bytes(), &back), Some(true));
        turned(&headers, &back);
        assert!(!echo_reply(&mut out, &back));
    } else {
        assert_eq!(out.bytes(), frame.bytes());
    }
    for mtu in [68, 301, 1400] {
        split(frame, &headers, mtu);
    }
}

/// The headers of a frame that was made up: whole, with right checksums, and nothing behind it.
fn sound(out: &Frame) -> Headers {
    let bytes = out.bytes();
    let headers = parse(bytes).expect("what we make up parses");
    assert_eq!((headers.fragment, headers.end as usize), (Fragment::Whole, bytes.len()));
    assert_eq!(checksum::verify_transport(bytes, &headers), Some(true));
    if headers.layer3 == Layer3::Ipv4 {
        assert_eq!(checksum::fold(checksum::sum(&bytes[headers.l3.into()..headers.l4.into()])), 0xffff);
    }
    headers
}

/// The answer goes back the way that the question came.
fn turned(question: &Headers, answer: &Headers) {
    let (q, a) = (&question.key, &answer.key);
    assert_eq!((a.src(), a.dst(), a.src_port(), a.dst_port()), (q.dst(), q.src(), q.dst_port(), q.src_port()));
    assert_eq!((a.src_mac(), a.dst_mac(), answer.tag), (q.dst_mac(), q.src_mac(), question.tag));
    assert!(matches!(a.protocol(), protocol::TCP | protocol::ICMP | protocol::ICMPV6));
}

fn split(frame: &Frame, headers: &Headers, mtu: usize) {
    let mut pool = Pool::new(8);
    let mut pieces = Vec::new();
    if fragment::split(frame, headers, mtu, &mut pool, &mut pieces).is_err() {
        assert!(pieces.is_empty());
        return;
    }
    let l3 = usize::from(headers.l3);
    let place = |bytes: &[u8]| u16::from_be_bytes([bytes[l3 + 6], bytes[l3 + 7]]);
    let whole = frame.bytes();
    let mut payload = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let bytes = piece.bytes();
        assert!(bytes.len() - l3 <= mtu && bytes[..l3] == whole[..l3]);
        let header = &bytes[l3..][..usize::from(bytes[l3] & 15) * 4];
        assert_eq!(usize::from(u16::from_be_bytes([header[2], header[3]])), bytes.len() - l3);
        assert_eq!(checksum::fold(checksum::sum(header)), 0xffff);
        assert_eq!(usize::from(place(bytes) & 0x1fff) * 8, usize::from(place(whole) & 0x1fff) * 8 + payload.len());
        let last = index + 1 == pieces.len();
        assert_eq!(place(bytes) & 0x2000 != 0, !last || place(whole) & 0x2000 != 0);
        payload.extend_from_slice(&bytes[l3 + header.len()..]);
    }
    let expected = &whole[headers.l4.into()..headers.end as usize];
    assert_eq!(payload.len(), expected.len());
    let changed = payload.iter().zip(expected).filter(|(a, b)| a != b).count();
    assert!(changed <= if frame.offload.partial_checksum().is_some() { 2 } else { 0 });
}
