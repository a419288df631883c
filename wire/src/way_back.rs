//! The way back to who sent a packet: its ends turned around, kept for an answer that may come later.

use std::net::IpAddr;

use crate::answer::Envelope;
use crate::checksum::{segment_end, verify_transport};
use crate::{Frame, Headers, Layer3, checksum, ether_type, link, protocol};

/// Who is to be answered, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct WayBack {
    envelope: Envelope,
    from_port: u16,
    to_port: u16,
}

impl WayBack {
    /// From the destination of a packet to its source, on the link too. `None` if it is not IP, or if one of its ends is not
    /// a single host.
    pub fn of(headers: &Headers) -> Option<WayBack> {
        let (to_port, from_port) = (headers.key.src_port(), headers.key.dst_port());
        Some(WayBack { envelope: Envelope::back(headers)?, from_port, to_port })
    }

    /// Who is answered: address and port.
    pub fn to(&self) -> (IpAddr, u16) {
        (self.envelope.dst, self.to_port)
    }

    /// As whom: address and port.
    pub fn from(&self) -> (IpAddr, u16) {
        (self.envelope.src, self.from_port)
    }

    /// Makes `out` a UDP datagram with that payload. `false`, and an empty frame, if it is too long for IP.
    pub fn datagram(&self, out: &mut Frame, payload: &[u8]) -> bool {
        let Ok(len) = u16::try_from(8 + payload.len()) else {
            out.clear();
            return false;
        };
        let mut header = [0; 8];
        header[..2].copy_from_slice(&self.from_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.to_port.to_be_bytes());
        header[4..6].copy_from_slice(&len.to_be_bytes());
        let envelope = Envelope { protocol: protocol::UDP, ..self.envelope };
        if !envelope.seal(out, [&header, payload], 6) {
            return false;
        }
        // 0 would say that there is no checksum (RFC 768).
        let at = out.len() - usize::from(len) + 6;
        if let Some(field) = out.bytes_mut().get_mut(at..at + 2).filter(|field| *field == [0, 0]) {
            field.fill(0xff);
        }
        true
    }

    /// Begins a frame with the Ethernet header for an IP packet that is to follow.
    pub fn begin(&self, out: &mut Frame) {
        let kind = if self.envelope.dst.is_ipv4() { ether_type::IPV4 } else { ether_type::IPV6 };
        link::begin(out, self.envelope.dst_mac, self.envelope.src_mac, self.envelope.tag, kind);
    }
}

/// The payload of a whole TCP or UDP packet with right checksums, or with one that is still to be completed: of a
/// super-frame all of it. `None` where a length or a checksum is wrong.
pub fn sound_payload<'a>(frame: &'a Frame, headers: &Headers) -> Option<&'a [u8]> {
    let bytes = frame.bytes();
    let payload = bytes.get(usize::from(headers.payload)..segment_end(bytes, headers)?)?;
    let header = bytes.get(usize::from(headers.l3)..usize::from(headers.l4))?;
    let is_whole = headers.layer3 != Layer3::Ipv4 || checksum::fold(checksum::sum(header)) == 0xffff;
    (is_whole && (frame.offload.is_trusted() || verify_transport(bytes, headers) == Some(true))).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn query(port: u16) -> Frame {
        let mut frame = Frame::from_bytes(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        frame.extend(&[0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
        let sum = checksum::ipv4_header(&frame.bytes()[14..34]);
        frame.bytes_mut()[24..26].copy_from_slice(&sum.to_be_bytes());
        let [p0, p1] = port.to_be_bytes();
        frame.extend(&[p0, p1, 0, 53, 0, 13, 0, 0, 1, 2, 3, 4, 5]);
        frame
    }

    #[test]
    fn a_datagram_goes_back() {
        let frame = query(4_000);
        let headers = parse(frame.bytes()).unwrap();
        assert_eq!(sound_payload(&frame, &headers), Some(&[1, 2, 3, 4, 5][..]));
        let way = WayBack::of(&headers).unwrap();
        assert_eq!((way.to(), way.from()), (("10.0.0.2".parse().unwrap(), 4_000), ("10.0.0.1".parse().unwrap(), 53)));
        let mut out = Frame::new();
        assert!(way.datagram(&mut out, b"answer"));
        let back = parse(out.bytes()).unwrap();
        assert_eq!(sound_payload(&out, &back), Some(&b"answer"[..]));
        assert_eq!((back.key.src(), back.key.dst()), (headers.key.dst(), headers.key.src()));
        assert_eq!((back.key.src_port(), back.key.dst_port()), (53, 4_000));
        assert_eq!((back.key.src_mac(), back.key.dst_mac()), (headers.key.dst_mac(), headers.key.src_mac()));
        assert!(!way.datagram(&mut out, &[0; 65_530]) && out.is_empty());
    }

    #[test]
    fn no_checksum_is_ever_zero() {
        // One of all ports makes the sum zero.
        let payload = [0; 2];
        for port in 0..=u16::MAX {
            let frame = query(port);
            let way = WayBack::of(&parse(frame.bytes()).unwrap()).unwrap();
            let mut out = Frame::new();
            assert!(way.datagram(&mut out, &payload));
            assert_ne!(out.bytes()[40..42], [0, 0], "{port}");
            if out.bytes()[40..42] == [0xff, 0xff] {
                let headers = parse(out.bytes()).unwrap();
                assert_eq!(sound_payload(&out, &headers), Some(&payload[..]));
                return;
            }
        }
        panic!("no port had that sum");
    }

    #[test]
    fn what_is_damaged_has_no_payload() {
        for at in [14, 24, 38] {
            let mut frame = query(4_000);
            frame.bytes_mut()[at] ^= 1;
            if let Ok(headers) = parse(frame.bytes()) {
                assert_eq!(sound_payload(&frame, &headers), None, "{at}");
            }
        }
        let mut frame = query(4_000);
        frame.bytes_mut()[40] = 7;
        assert_eq!(sound_payload(&frame, &parse(frame.bytes()).unwrap()), None, "a checksum that is wrong");
        frame.offload = crate::Offload::partial(34, 6);
        assert!(sound_payload(&frame, &parse(frame.bytes()).unwrap()).is_some(), "one that is still to be completed");
    }
}
