//! Parse once: one walk over a frame's headers gives offsets and the flow key; nothing behind this looks at them again.
//! Every offset in [`Headers`] lies inside the frame that was parsed.

use crate::{FlowKey, Mac, ether_type, protocol};

/// Why a frame makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// shorter than its headers say
    #[error("shorter than its headers say")]
    Truncated,
    /// the IP version does not fit the EtherType
    #[error("the IP version does not fit the EtherType")]
    Version,
    /// a header length below the minimum
    #[error("a header length below the minimum")]
    HeaderLength,
    /// more IPv6 extension headers than are followed
    #[error("more IPv6 extension headers than are followed")]
    TooManyExtensions,
    /// the checksum to be completed lies outside the frame, or the frame is to be cut first
    #[error("the checksum to be completed lies outside the frame, or the frame is to be cut first")]
    Offload,
    /// a wrong transport checksum
    #[error("a wrong transport checksum")]
    Checksum,
    /// neighbour discovery with a hop limit other than 255: it crossed a router
    #[error("neighbour discovery with a hop limit other than 255: it crossed a router")]
    HopLimit,
    /// fragmented neighbour discovery
    #[error("fragmented neighbour discovery")]
    Fragmented,
    /// neighbour discovery with a code, an option or an address that it must not have
    #[error("neighbour discovery with a code, an option or an address that it must not have")]
    Discovery,
}

/// What follows the Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer3 {
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// An ARP message, not looked into.
    Arp,
    /// Anything else, not looked into.
    Other,
}

/// Whether an IP packet is part of a larger datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fragment {
    /// A whole datagram.
    Whole = 0,
    /// The first fragment: it holds the transport header.
    First = 1,
    /// A later one: it holds none.
    Later = 2,
}

/// Offsets into a frame, in bytes from its first byte, and its flow key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Addresses, protocol, ports.
    pub key: FlowKey,
    /// 802.1Q tag (PCP, DEI, VID), if there is one.
    pub tag: Option<u16>,
    /// What the EtherType announces.
    pub layer3: Layer3,
    /// Where the packet behind the Ethernet header (and tag) starts.
    pub l3: u16,
    /// Where the transport header starts; equal to `end` when there is none.
    pub l4: u16,
    /// Where the payload behind a TCP or UDP header starts; equal to `l4` for other protocols.
    pub payload: u16,
    /// Where the IP packet ends; link padding may follow. The frame's length when it is not IP.
    pub end: u32,
    /// Part of a larger datagram?
    pub fragment: Fragment,
}

impl Headers {
    /// Whether extension headers stand between an IPv6 header and the transport's.
    #[inline]
    pub fn has_extensions(&self) -> bool {
        self.layer3 == Layer3::Ipv6 && usize::from(self.l4) != usize::from(self.l3) + IPV6_HEADER
    }
}

/// Bytes of an IPv6 header, without extension headers.
pub const IPV6_HEADER: usize = 40;

/// Extension headers that are followed before a packet is given up (hosts send at most a few, RFC 8504 section 5.3).
const MAX_EXTENSIONS: usize = 8;

/// Walks over the headers of an Ethernet frame.
///
/// # Errors
/// [`Malformed`] when a length or version field contradicts the bytes. Checksums are not looked at.
#[inline]
pub fn parse(frame: &[u8]) -> Result<Headers, Malformed> {
    let (ethernet, mut rest) = frame.split_first_chunk::<14>().ok_or(Malformed::Truncated)?;
    let dst = Mac([ethernet[0], ethernet[1], ethernet[2], ethernet[3], ethernet[4], ethernet[5]]);
    let src = Mac([ethernet[6], ethernet[7], ethernet[8], ethernet[9], ethernet[10], ethernet[11]]);
    let mut kind = u16::from_be_bytes([ethernet[12], ethernet[13]]);
    let mut tag = None;
    let is_service = kind == ether_type::QINQ;
    if kind == ether_type::VLAN || is_service {
        let (vlan, behind) = rest.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
        tag = Some(u16::from_be_bytes([vlan[0], vlan[1]]));
        kind = u16::from_be_bytes([vlan[2], vlan[3]]);
        rest = behind;
    }
    let key = FlowKey::link(dst, src, (tag.unwrap_or(0), is_service), kind);
    let l3 = (frame.len() - rest.len()) as u16;
    // Each kind makes its headers at once: what is made in steps is copied at the end.
    match kind {
        ether_type::IPV4 => ipv4(rest, key, tag, l3),
        ether_type::IPV6 => ipv6(rest, key, tag, l3),
        _ => {
            let layer3 = if kind == ether_type::ARP { Layer3::Arp } else { Layer3::Other };
            let (end, fragment) = (frame.len() as u32, Fragment::Whole);
            Ok(Headers { key, tag, layer3, l3, l4: l3, payload: l3, end, fragment })
        }
    }
}

#[inline]
fn ipv4(packet: &[u8], mut key: FlowKey, tag: Option<u16>, l3: u16) -> Result<Headers, Malformed> {
    let ip = packet.first_chunk::<20>().ok_or(Malformed::Truncated)?;
    if ip[0] >> 4 != 4 {
        return Err(Malformed::Version);
    }
    let header_len = usize::from(ip[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    if header_len < 20 || total < header_len {
        return Err(Malformed::HeaderLength);
    }
    if total > packet.len() {
        return Err(Malformed::Truncated);
    }
    let flags = u16::from_be_bytes([ip[6], ip[7]]);
    let fragment = fragment(flags & 0x1fff != 0, flags & 0x2000 != 0);
    key.set_ipv4([ip[12], ip[13], ip[14], ip[15]], [ip[16], ip[17], ip[18], ip[19]]);
    let transport_len = transport(&packet[header_len..total], ip[9], fragment, &mut key)?;
    let l4 = l3 + header_len as u16;
    let end = u32::from(l3) + total as u32;
    Ok(Headers { key, tag, layer3: Layer3::Ipv4, l3, l4, payload: l4 + transport_len, end, fragment })
}

#[inline]
fn ipv6(packet: &[u8], mut key: FlowKey, tag: Option<u16>, l3: u16) -> Result<Headers, Malformed> {
    let (ip, rest) = packet.split_first_chunk::<IPV6_HEADER>().ok_or(Malformed::Truncated)?;
    if ip[0] >> 4 != 6 {
        return Err(Malformed::Version);
    }
    let payload = rest.get(..usize::from(u16::from_be_bytes([ip[4], ip[5]]))).ok_or(Malformed::Truncated)?;
    key.set_ipv6(word128(ip, 8), word128(ip, 24));
    let end = u32::from(l3) + IPV6_HEADER as u32 + payload.len() as u32;
    let (at, number, fragment) = match ip[6] {
        number @ (protocol::TCP | protocol::UDP | protocol::ICMPV6) => (payload, number, Fragment::Whole),
        first => behind_extensions(payload, first)?,
    };
    let l4 = (end as usize - at.len()) as u16;
    let transport_len = transport(at, number, fragment, &mut key)?;
    Ok(Headers { key, tag, layer3: Layer3::Ipv6, l3, l4, payload: l4 + transport_len, end, fragment })
}

/// Follows extension headers, the first of which is of kind `next`: what is behind them, its protocol, and whether it is
/// part of a larger datagram.
fn behind_extensions(payload: &[u8], mut next: u8) -> Result<(&[u8], u8, Fragment), Malformed> {
    let mut at = payload;
    let mut part = Fragment::Whole;
    for _ in 0..=MAX_EXTENSIONS {
        let len = match next {
            // Hop-by-hop, routing, destination options (RFC 8200 section 4): length in 8 bytes, the first not counted.
            0 | 43 | 60 => at.get(1).map(|&n| (usize::from(n) + 1) * 8),
            // Authentication header (RFC 4302 section 2.2): length in 4 bytes, minus 2.
            51 => at.get(1).map(|&n| (usize::from(n) + 2) * 4),
            // Fragment header (RFC 8200 section 4.5). An atomic fragment (RFC 6946) is a whole datagram.
            44 => at.first_chunk::<8>().map(|f| {
                let offset = u16::from_be_bytes([f[2], f[3]]);
                // An atomic one behind a real one changes nothing.
                if part == Fragment::Whole {
                    part = fragment(offset >> 3 != 0, offset & 1 != 0);
                }
                8
            }),
            _ => return Ok((at, next, part)),
        };
        let after = len.and_then(|len| at.get(len..)).ok_or(Malformed::Truncated)?;
        next = at[0];
        at = after;
        if part == Fragment::Later {
            return Ok((at, next, part));
        }
    }
    Err(Malformed::TooManyExtensions)
}

/// Completes the key, and says how long a TCP or UDP header is; 0 where there is none.
#[inline]
fn transport(segment: &[u8], number: u8, part: Fragment, key: &mut FlowKey) -> Result<u16, Malformed> {
    let (mut header_len, mut src, mut dst) = (0, 0, 0);
    if part != Fragment::Later && (number == protocol::TCP || number == protocol::UDP) {
        let fixed = if number == protocol::TCP { 20 } else { 8 };
        let header = segment.get(..fixed).ok_or(Malformed::Truncated)?;
        header_len = if number == protocol::TCP { usize::from(header[12] >> 4) * 4 } else { 8 };
        if header_len < fixed {
            return Err(Malformed::HeaderLength);
        }
        if header_len > segment.len() {
            return Err(Malformed::Truncated);
        }
        if number == protocol::UDP && usize::from(u16::from_be_bytes([header[4], header[5]])) < 8 {
            return Err(Malformed::HeaderLength);
        }
        // No fragment has ports in its key: all of a datagram take one path, whatever order they come in.
        if part == Fragment::Whole {
            src = u16::from_be_bytes([header[0], header[1]]);
            dst = u16::from_be_bytes([header[2], header[3]]);
        }
    }
    key.set_transport(number, part as u8, src, dst);
    Ok(header_len as u16)
}

#[inline]
fn fragment(later: bool, more: bool) -> Fragment {
    match (later, more) {
        (true, _) => Fragment::Later,
        (false, true) => Fragment::First,
        (false, false) => Fragment::Whole,
    }
}

fn word128(bytes: &[u8; IPV6_HEADER], at: usize) -> u128 {
    let mut word = [0; 16];
    word.copy_from_slice(&bytes[at..at + 16]);
    u128::from_be_bytes(word)
}
