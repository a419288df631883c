//! Every offset lies inside the frame and behind the one before; bytes behind the packet change nothing; marking ECN keeps
//! a right checksum right.

use wire::{Fragment, Gso, Layer3, Mac, checksum, ecn, infer_offload, parse, set_ecn};

/// The input is a frame.
pub fn run(frame: &[u8]) {
    let Ok(headers) = parse(frame) else { return };
    let (l3, l4, payload) = (usize::from(headers.l3), usize::from(headers.l4), usize::from(headers.payload));
    let end = headers.end as usize;
    assert!(14 <= l3 && l3 <= l4 && l4 <= payload && payload <= end && end <= frame.len(), "{headers:?}");
    assert_eq!(headers.tag.is_some(), l3 == 18);
    assert_eq!(headers.key.dst_mac(), Mac([frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]]));
    assert_eq!(headers.key.src_mac(), Mac([frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]]));
    assert_eq!(headers.key.ether_type().to_be_bytes(), frame[l3 - 2..l3]);
    let ip = matches!(headers.layer3, Layer3::Ipv4 | Layer3::Ipv6);
    assert_eq!((headers.key.src().is_some(), headers.key.dst().is_some()), (ip, ip));
    if headers.fragment != Fragment::Whole {
        assert_eq!((headers.key.src_port(), headers.key.dst_port()), (0, 0), "fragments of a datagram share a key");
    }
    if ip {
        assert_eq!(parse(&frame[..end]), Ok(headers), "padding is not looked at");
    } else {
        assert_eq!((l4, payload, end), (l3, l3, frame.len()));
    }
    let _ = (headers.key.hash(7), headers.key.entropy(), format!("{:?}", headers.key));
    for mtu in [0, 68, 1450, u16::MAX] {
        if let Some(offload) = infer_offload(&headers, mtu) {
            assert!(offload.gso() == Gso::None || offload.gso_size() > 0);
        }
    }
    mark(frame, ip);
}

/// Sets every ECN mark; nothing but the mark and the IPv4 header's checksum changes.
fn mark(frame: &[u8], ip: bool) {
    let Ok(headers) = parse(frame) else { return };
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    assert_eq!(ecn(frame, &headers).is_some(), ip);
    let sound = |frame: &[u8]| headers.layer3 == Layer3::Ipv4 && checksum::fold(checksum::sum(&frame[l3..l4])) == 0xffff;
    for wanted in 0..4 {
        let mut marked = frame.to_vec();
        set_ecn(&mut marked, &headers, wanted);
        assert_eq!(parse(&marked), Ok(headers));
        if ip {
            assert_eq!(ecn(&marked, &headers), Some(wanted));
            assert_eq!(sound(&marked), sound(frame), "the checksum follows");
            assert_eq!(marked[l4..], frame[l4..]);
        } else {
            assert_eq!(marked, frame);
        }
    }
}
