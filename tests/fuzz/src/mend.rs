//! Puts right checksums into a frame, so that a fuzzer gets past them: it cannot guess 16 bits.
//! Says nothing about whether the frame makes sense; what does not is left as it is.

use std::net::IpAddr;

use wire::{Fragment, Layer3, checksum, parse, protocol};

/// Corrects the IPv4 header's checksum and that of TCP, UDP, ICMP or ICMPv6.
pub(crate) fn mend(frame: &mut [u8]) {
    let Ok(headers) = parse(frame) else { return };
    let (l3, l4, mut end) = (usize::from(headers.l3), usize::from(headers.l4), headers.end as usize);
    if headers.layer3 == Layer3::Ipv4 {
        let sum = checksum::ipv4_header(&frame[l3..l4]);
        frame[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let number = headers.key.protocol();
    let field = match number {
        protocol::TCP => 16,
        protocol::UDP => 6,
        protocol::ICMP | protocol::ICMPV6 => 2,
        _ => return,
    };
    if headers.fragment != Fragment::Whole {
        return;
    }
    if number == protocol::UDP {
        end = l4 + usize::from(u16::from_be_bytes([frame[l4 + 4], frame[l4 + 5]]));
    }
    let Some(segment) = frame.get_mut(l4..end).filter(|segment| segment.len() >= field + 2) else { return };
    segment[field..field + 2].fill(0);
    let len = segment.len();
    let pseudo = match (headers.key.src(), headers.key.dst()) {
        _ if number == protocol::ICMP => 0,
        (Some(IpAddr::V4(src)), Some(IpAddr::V4(dst))) => {
            checksum::pseudo_ipv4(src.octets(), dst.octets(), number, len as u16)
        }
        (Some(IpAddr::V6(src)), Some(IpAddr::V6(dst))) => {
            checksum::pseudo_ipv6(&src.octets(), &dst.octets(), number, len as u32)
        }
        _ => return,
    };
    let sum = match !checksum::fold(pseudo + checksum::sum(segment)) {
        0 if number == protocol::UDP => 0xffff,
        sum => sum,
    };
    segment[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}
