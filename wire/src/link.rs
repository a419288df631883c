//! Writing the Ethernet header: of a frame that the switch makes up, with its tag, or the addresses of one that it routes.

use crate::{Frame, Mac, ether_type};

/// Replaces the content of `out` by an Ethernet header; `tag` is PCP, DEI and VID.
pub(crate) fn begin(out: &mut Frame, dst: Mac, src: Mac, tag: Option<u16>, kind: u16) {
    out.clear();
    // A frame has room for far more than its headers: none of these can fail.
    out.extend(&dst.0);
    out.extend(&src.0);
    if let Some(tag) = tag {
        out.extend(&ether_type::VLAN.to_be_bytes());
        out.extend(&tag.to_be_bytes());
    }
    out.extend(&kind.to_be_bytes());
}

/// Takes the first tag out of a frame, if it has one. Headers parsed before no longer fit.
pub fn untag(frame: &mut Frame) {
    let kind = frame.bytes().get(12..16).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    if matches!(kind, Some(ether_type::VLAN | ether_type::QINQ)) {
        frame.take_out(12..16);
        frame.offload = frame.offload.moved_up(4);
    }
}

/// Gives a frame these MAC addresses. Nothing happens to one that is too short for them. Headers parsed before still fit,
/// but their key has the old addresses.
#[inline]
pub fn set_link(frame: &mut Frame, src: Mac, dst: Mac) {
    if let Some(addresses) = frame.bytes_mut().first_chunk_mut::<12>() {
        addresses[..6].copy_from_slice(&dst.0);
        addresses[6..].copy_from_slice(&src.0);
    }
}
