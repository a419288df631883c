//! What a router does to every packet that it forwards: checks the header's checksum and takes one from its time to live.

use wire::{Frame, Headers, Layer3, checksum};

/// the time to live ran out
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the time to live ran out")]
pub struct Expired;

/// Takes one from the time to live (IPv6: the hop limit) and corrects the IPv4 header's checksum.
/// Nothing happens to a frame without IP.
///
/// # Errors
/// [`Expired`], and nothing changed, if it is 1 or 0: such a packet is not forwarded (RFC 1812 section 5.3.1, RFC 8200).
pub fn decrement_ttl(frame: &mut Frame, headers: &Headers) -> Result<(), Expired> {
    let Some(packet) = frame.bytes_mut().get_mut(usize::from(headers.l3)..) else { return Ok(()) };
    match (headers.layer3, packet) {
        (Layer3::Ipv4, [_, _, _, _, _, _, _, _, ttl, protocol, high, low, ..]) => {
            let old = u16::from_be_bytes([*ttl, *protocol]);
            *ttl = ttl.checked_sub(1).filter(|&left| left > 0).ok_or(Expired)?;
            let new = u16::from_be_bytes([*ttl, *protocol]);
            [*high, *low] = checksum::update(u16::from_be_bytes([*high, *low]), old, new).to_be_bytes();
        }
        (Layer3::Ipv6, [_, _, _, _, _, _, _, hops, ..]) => {
            *hops = hops.checked_sub(1).filter(|&left| left > 0).ok_or(Expired)?;
        }
        _ => {}
    }
    Ok(())
}

/// Whether the IPv4 header's checksum is right; a packet without one has none that is wrong.
pub fn ipv4_header_is_sound(bytes: &[u8], headers: &Headers) -> bool {
    if headers.layer3 != Layer3::Ipv4 {
        return true;
    }
    let l3 = usize::from(headers.l3);
    let len = bytes.get(l3).map_or(0, |first| usize::from(first & 0x0f) * 4);
    bytes.get(l3..l3 + len).is_some_and(|header| checksum::fold(checksum::sum(header)) == 0xffff)
}
