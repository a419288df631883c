//! Explicit congestion notification bits (RFC 3168) of the packet in a frame.

use crate::{Headers, Layer3, checksum};

/// The two ECN bits; `None` for a frame without IP.
pub fn ecn(bytes: &[u8], headers: &Headers) -> Option<u8> {
    let byte = *bytes.get(usize::from(headers.l3) + 1)?;
    match headers.layer3 {
        Layer3::Ipv4 => Some(byte & 0b11),
        Layer3::Ipv6 => Some(byte >> 4 & 0b11),
        Layer3::Arp | Layer3::Other => None,
    }
}

/// Sets the two ECN bits, and corrects the IPv4 header checksum (RFC 1624). Nothing happens to a frame without IP.
pub fn set_ecn(bytes: &mut [u8], headers: &Headers, ecn: u8) {
    let Some(packet) = bytes.get_mut(usize::from(headers.l3)..) else { return };
    match (headers.layer3, packet) {
        (Layer3::Ipv4, [version, class, _, _, _, _, _, _, _, _, high, low, ..]) => {
            let old = u16::from_be_bytes([*version, *class]);
            *class = *class & !0b11 | ecn & 0b11;
            let new = u16::from_be_bytes([*version, *class]);
            let sum = checksum::update(u16::from_be_bytes([*high, *low]), old, new);
            [*high, *low] = sum.to_be_bytes();
        }
        (Layer3::Ipv6, [_, class, ..]) => *class = *class & !(0b11 << 4) | (ecn & 0b11) << 4,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn vx_20_mark_is_set_and_the_checksum_follows() {
        let builder =
            etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1, 2);
        let mut frame = Vec::new();
        builder.write(&mut frame, &[0; 8]).unwrap();
        let headers = parse(&frame).unwrap();
        set_ecn(&mut frame, &headers, 0b11);
        assert_eq!(ecn(&frame, &headers), Some(0b11));
        assert_eq!(checksum::ipv4_header(&frame[14..34]), u16::from_be_bytes([frame[24], frame[25]]));
    }
}
