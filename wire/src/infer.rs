//! Offload metadata for a frame that lost it: a Linux VTEP over veth hands on an inner frame whole, its checksum partial,
//! because no device on the way cut and completed it.

use crate::{Fragment, Gso, Headers, Layer3, Offload, protocol};

/// What is left to be done to a frame with a partial checksum in a network of that MTU (bytes, without Ethernet header).
/// `None` when it cannot be known: not TCP or UDP, or a UDP super-frame, whose segment size is not in its bytes.
pub fn infer_offload(headers: &Headers, mtu: u16) -> Option<Offload> {
    if headers.fragment != Fragment::Whole {
        return None;
    }
    let (tcp, field) = match headers.key.protocol() {
        protocol::TCP => (true, 16),
        protocol::UDP => (false, 6),
        _ => return None,
    };
    let packet = headers.end.checked_sub(u32::from(headers.l3))?;
    if packet <= u32::from(mtu) {
        return Some(Offload::partial(headers.l4, field));
    }
    let gso = match headers.layer3 {
        Layer3::Ipv4 if tcp => Gso::Tcp4,
        Layer3::Ipv6 if tcp => Gso::Tcp6,
        _ => return None,
    };
    let size = mtu.checked_sub(headers.payload - headers.l3).filter(|size| *size > 0)?;
    Some(Offload::segmented(gso, size, headers.payload, headers.l4, field))
}
