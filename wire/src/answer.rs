//! Packets that the switch makes up in answer to another one: whom an answer may go to, and its headers below the message.

use std::net::IpAddr;

use crate::{Frame, Headers, Mac, checksum, ether_type, link, protocol};

/// TTL or hop limit of what the switch sends (RFC 1122 section 3.2.1.7, RFC 8504 section 5.1).
pub(crate) const HOPS: u8 = 64;

/// Who sends what to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) dst_mac: Mac,
    pub(crate) src_mac: Mac,
    /// 802.1Q tag: PCP, DEI, VID.
    pub(crate) tag: Option<u16>,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// TOS or traffic class.
    pub(crate) class: u8,
    pub(crate) protocol: u8,
}

impl Envelope {
    /// From the destination of a packet to its source, on the link too. `None` if the packet is not IP, or if one of its
    /// ends is not a single host.
    pub(crate) fn back(headers: &Headers) -> Option<Envelope> {
        let key = &headers.key;
        let (dst_mac, src_mac) = (key.src_mac(), key.dst_mac());
        let (dst, src) = (key.src()?, key.dst()?);
        let single = dst_mac.is_station() && src_mac.is_station() && is_host(dst) && is_host(src);
        let protocol = key.protocol();
        single.then_some(Envelope { dst_mac, src_mac, tag: headers.tag, src, dst, class: 0, protocol })
    }

    /// Makes `out` a frame with `message`, which comes in two parts; its checksum is put at `field`, an offset into it,
    /// where it must be zero. `false`, and an empty frame, if the addresses are of two families or the message is too long.
    pub(crate) fn seal(&self, out: &mut Frame, message: [&[u8]; 2], field: usize) -> bool {
        out.clear();
        let sealed = self.write(out, message, field).is_some();
        if !sealed {
            out.clear();
        }
        sealed
    }

    fn write(&self, out: &mut Frame, message: [&[u8]; 2], field: usize) -> Option<()> {
        let len = message[0].len() + message[1].len();
        let pseudo = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total = u16::try_from(20 + len).ok()?.to_be_bytes();
                // Atomic (DF, whole), so that the identification needs no counter (RFC 6864 section 4.1).
                let mut header = [0; 20];
                header[..4].copy_from_slice(&[0x45, self.class, total[0], total[1]]);
                header[6..10].copy_from_slice(&[0x40, 0, HOPS, self.protocol]);
                header[12..16].copy_from_slice(&src.octets());
                header[16..].copy_from_slice(&dst.octets());
                let sum = checksum::ipv4_header(&header).to_be_bytes();
                header[10..12].copy_from_slice(&sum);
                link::begin(out, self.dst_mac, self.src_mac, self.tag, ether_type::IPV4);
                out.extend(&header);
                match self.protocol {
                    protocol::ICMP => 0,
                    _ => checksum::pseudo_ipv4(src.octets(), dst.octets(), self.protocol, len as u16),
                }
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let length = u16::try_from(len).ok()?.to_be_bytes();
                link::begin(out, self.dst_mac, self.src_mac, self.tag, ether_type::IPV6);
                out.extend(&[0x60 | self.class >> 4, self.class << 4, 0, 0, length[0], length[1], self.protocol, HOPS]);
                out.extend(&src.octets());
                out.extend(&dst.octets());
                checksum::pseudo_ipv6(&src.octets(), &dst.octets(), self.protocol, len as u32)
            }
            _ => return None,
        };
        let start = out.len();
        if !out.extend(message[0]) || !out.extend(message[1]) {
            return None;
        }
        let message = out.bytes_mut().get_mut(start..)?;
        let sum = !checksum::fold(pseudo + checksum::sum(message));
        message.get_mut(field..field + 2)?.copy_from_slice(&sum.to_be_bytes());
        Some(())
    }
}

/// Whether an address names a single host that others can reach (RFC 1122 section 3.2.1.3, RFC 4443 section 2.4 (e.6)):
/// not this network, loopback, multicast, reserved or broadcast. A subnet's own broadcast address looks like a host's.
pub(crate) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !matches!(address.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(address) => !(address.is_unspecified() || address.is_loopback() || address.is_multicast()),
    }
}
