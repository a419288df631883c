//! Writing the Ethernet header, with its tag, of a frame that the switch sends itself.

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
