//! The packet that an ICMP error quotes: often cut short, so it cannot be parsed as one that arrived.

use wire::{Fragment, Headers, IPV6_HEADER, Layer3, checksum, protocol};

use super::place::{Icmp, Place, has_ports, icmp_kind};
use crate::{Address, Tuple};

/// IPv6 extension headers that are followed in a quotation.
const MAX_EXTENSIONS: usize = 8;

/// What a quotation says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedded {
    pub(crate) place: Place,
    pub(crate) tuple: Tuple,
}

/// Reads the quotation of an ICMP error. `None` if it is none, too short, a later fragment, itself an ICMP error, or if its
/// IPv4 header's checksum is wrong (RFC 5508 REQ-3). Options are skipped; the transport checksum is not verified: most
/// quotations do not hold all that it covers.
pub(crate) fn embedded(bytes: &[u8], headers: &Headers) -> Option<Embedded> {
    if headers.fragment != Fragment::Whole {
        return None;
    }
    let l4 = usize::from(headers.l4);
    let message = bytes.get(l4..headers.end as usize)?;
    let number = headers.key.protocol();
    let kind = *message.first()?;
    if icmp_kind(number, kind) != Icmp::Error {
        return None;
    }
    let l3 = l4 + 8;
    let end = match quoted(number, kind, message) {
        // RFC 4884: the quotation ends there, extensions follow.
        Some(len) if len > 0 && len <= message.len().checked_sub(8)? => l3 + len,
        _ => l4 + message.len(),
    };
    let bytes = bytes.get(..end)?;
    let packet = bytes.get(l3..)?;
    let found = match headers.layer3 {
        Layer3::Ipv4 => ipv4(bytes, packet, l3)?,
        Layer3::Ipv6 => ipv6(bytes, packet, l3)?,
        Layer3::Arp | Layer3::Other => return None,
    };
    let inner = found.place.protocol;
    if matches!(inner, protocol::ICMP | protocol::ICMPV6)
        && matches!(icmp_kind(inner, *bytes.get(found.place.l4)?), Icmp::Error)
    {
        return None;
    }
    Some(found)
}

/// How many bytes are quoted, where the error says so (RFC 4884 section 4): ICMP counts in 4 bytes, ICMPv6 in 8.
fn quoted(number: u8, kind: u8, message: &[u8]) -> Option<usize> {
    match (number, kind) {
        (protocol::ICMP, 3 | 11 | 12) => Some(usize::from(*message.get(5)?) * 4),
        (protocol::ICMPV6, 1 | 3) => Some(usize::from(*message.get(4)?) * 8),
        _ => None,
    }
}

fn ipv4(bytes: &[u8], packet: &[u8], l3: usize) -> Option<Embedded> {
    let ip = packet.first_chunk::<20>()?;
    let header_len = usize::from(ip[0] & 0x0f) * 4;
    if ip[0] >> 4 != 4 || header_len < 20 || u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff != 0 {
        return None;
    }
    if checksum::fold(checksum::sum(packet.get(..header_len)?)) != 0xffff {
        return None;
    }
    let (src, dst) = (Address::v4([ip[12], ip[13], ip[14], ip[15]]), Address::v4([ip[16], ip[17], ip[18], ip[19]]));
    finish(bytes, Place::at(false, l3, l3 + header_len, ip[9]), src, dst)
}

fn ipv6(bytes: &[u8], packet: &[u8], l3: usize) -> Option<Embedded> {
    let ip = packet.first_chunk::<IPV6_HEADER>()?;
    if ip[0] >> 4 != 6 {
        return None;
    }
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&ip[at..at + 16]);
        Address::v6(octets)
    };
    let (mut next, mut at) = (ip[6], IPV6_HEADER);
    for _ in 0..MAX_EXTENSIONS {
        let header = packet.get(at..)?;
        let len = match next {
            0 | 43 | 60 => (usize::from(*header.get(1)?) + 1) * 8,
            51 => (usize::from(*header.get(1)?) + 2) * 4,
            44 if u16::from_be_bytes([*header.get(2)?, *header.get(3)?]) >> 3 != 0 => return None,
            44 => 8,
            _ => return finish(bytes, Place::at(true, l3, l3 + at, next), address(8)?, address(24)?),
        };
        next = *header.first()?;
        at += len;
    }
    None
}

/// RFC 792 promises 8 bytes of the transport header; what tells connections apart must be there.
fn finish(bytes: &[u8], mut place: Place, src: Address, dst: Address) -> Option<Embedded> {
    let needed = match place.protocol {
        protocol::ICMP | protocol::ICMPV6 => 8,
        number if has_ports(number) => 4,
        _ => 0,
    };
    if bytes.len() < place.l4 + needed {
        return None;
    }
    place.transport(bytes);
    let (src_port, dst_port) = place.ports(bytes);
    Some(Embedded { place, tuple: Tuple { src, dst, src_port, dst_port, protocol: place.protocol } })
}
