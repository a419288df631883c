//! Transport checksums of whole frames: verified, recognised as partial, completed.
//! Nothing here changes a byte but the checksum field itself.

use super::{fold, pseudo_ipv4, pseudo_ipv6, sum};
use crate::extensions::{ROUTING, extensions};
use crate::{Fragment, Frame, Gso, Headers, IPV6_HEADER, Layer3, Malformed, Offload, protocol};

/// The pseudo-header's sum for `len` bytes of transport header and payload.
/// `None` without IP, and when a routing header hides the final destination (RFC 8200 section 8.1).
pub(crate) fn pseudo(frame: &[u8], headers: &Headers, len: usize) -> Option<u32> {
    let packet = frame.get(usize::from(headers.l3)..)?;
    let protocol = headers.key.protocol();
    match headers.layer3 {
        Layer3::Ipv4 => {
            let addresses = packet.get(12..20)?.as_chunks::<4>().0;
            Some(pseudo_ipv4(addresses[0], addresses[1], protocol, u16::try_from(len).ok()?))
        }
        Layer3::Ipv6 => {
            let addresses = packet.get(8..IPV6_HEADER)?.as_chunks::<16>().0;
            let hidden = |(number, bytes): (u8, &[u8])| number == ROUTING && bytes.get(3).is_none_or(|&left| left != 0);
            if headers.has_extensions() && extensions(frame, headers).any(hidden) {
                return None;
            }
            Some(pseudo_ipv6(&addresses[0], &addresses[1], protocol, u32::try_from(len).ok()?))
        }
        Layer3::Arp | Layer3::Other => None,
    }
}

/// Where a TCP or UDP segment ends, from the frame's first byte: UDP has a length of its own (RFC 768), which may leave
/// bytes over. `None` if it reaches past the IP packet.
pub(crate) fn segment_end(frame: &[u8], headers: &Headers) -> Option<usize> {
    let end = headers.end as usize;
    if headers.key.protocol() != protocol::UDP {
        return Some(end);
    }
    let l4 = usize::from(headers.l4);
    let len = frame.get(l4 + 4..l4 + 6)?;
    let udp_end = l4 + usize::from(u16::from_be_bytes([len[0], len[1]]));
    (udp_end <= end).then_some(udp_end)
}

/// Where in its header a protocol keeps its checksum.
const fn field_offset(protocol: u8) -> Option<usize> {
    match protocol {
        protocol::TCP => Some(16),
        protocol::UDP => Some(6),
        protocol::ICMP | protocol::ICMPV6 => Some(2),
        _ => None,
    }
}

/// Whether the TCP, UDP, ICMP or ICMPv6 checksum of the packet is right. UDP without one is right over IPv4 (RFC 768) and
/// wrong over IPv6 (RFC 8200 section 8.1). `None` where that cannot be said: fragments, other protocols, source routes.
/// A packet too short for a checksum has a wrong one.
pub fn verify_transport(frame: &[u8], headers: &Headers) -> Option<bool> {
    let number = headers.key.protocol();
    let offset = field_offset(number)?;
    if headers.fragment != Fragment::Whole {
        return None;
    }
    let l4 = usize::from(headers.l4);
    let Some(end) = segment_end(frame, headers) else { return Some(false) };
    let Some(segment) = frame.get(l4..end) else { return Some(false) };
    let Some(field) = segment.get(offset..offset + 2) else { return Some(false) };
    if number == protocol::UDP && field == [0, 0] {
        return Some(headers.layer3 == Layer3::Ipv4);
    }
    let start = if number == protocol::ICMP { 0 } else { pseudo(frame, headers, segment.len())? };
    Some(fold(start + sum(segment)) == 0xffff)
}

/// Whether the TCP or UDP checksum field holds the folded pseudo-header sum: what a Linux sender leaves there when a
/// device is to complete it. One right checksum in 65,536 looks like that too, so ask [`verify_transport`] first.
pub fn is_partial(frame: &[u8], headers: &Headers) -> bool {
    let number = headers.key.protocol();
    if headers.fragment != Fragment::Whole || !matches!(number, protocol::TCP | protocol::UDP) {
        return false;
    }
    let l4 = usize::from(headers.l4);
    let (Some(offset), Some(end)) = (field_offset(number), segment_end(frame, headers)) else { return false };
    let Some(field) = frame.get(l4 + offset..l4 + offset + 2) else { return false };
    pseudo(frame, headers, end.saturating_sub(l4))
        .is_some_and(|sum| fold(sum) == u16::from_be_bytes([field[0], field[1]]))
}

/// Completes a partial checksum in place and sets [`Offload::NONE`]; a frame without one is left as it is.
///
/// # Errors
/// [`Malformed::Offload`], and nothing changed, if the field lies outside the frame or the frame is a super-frame.
pub fn complete(frame: &mut Frame) -> Result<(), Malformed> {
    let Some((start, offset)) = frame.offload.partial_checksum() else { return Ok(()) };
    if frame.offload.gso() != Gso::None {
        return Err(Malformed::Offload);
    }
    complete_at(frame.bytes_mut(), start, offset)?;
    frame.offload = Offload::NONE;
    Ok(())
}

/// Completes the partial checksum at `start + offset` of a frame: it covers everything from `start` on.
pub(crate) fn complete_at(frame: &mut [u8], start: u16, offset: u16) -> Result<(), Malformed> {
    let covered = frame.get_mut(usize::from(start)..).ok_or(Malformed::Offload)?;
    let at = usize::from(offset);
    if covered.len() < at + 2 {
        return Err(Malformed::Offload);
    }
    // The field holds the pseudo-header's sum, so it is summed with the rest.
    let checksum = match !fold(sum(covered)) {
        // 0 says that there is none (RFC 768); only UDP has its field there.
        0 if offset == 6 => 0xffff,
        checksum => checksum,
    };
    covered[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}
