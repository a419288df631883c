//! The TCP reset that answers a segment for which there is no connection and never will be.

use crate::answer::Envelope;
use crate::{Fragment, Frame, Headers, checksum, protocol};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Makes `out` the reset that answers the TCP segment in `about`, whose headers are `headers`, in the name of its
/// destination, on the link too (RFC 9293 section 3.10.7.1).
///
/// `false`, and `out` empty, if `about` is not a segment or a reset itself, has a wrong checksum, is a fragment or
/// source-routed, or if one of its ends is not a single host.
pub fn reset(out: &mut Frame, about: &Frame, headers: &Headers) -> bool {
    out.clear();
    build(out, about, headers).unwrap_or(false)
}

fn build(out: &mut Frame, about: &Frame, headers: &Headers) -> Option<bool> {
    let bytes = about.bytes();
    let back = Envelope::back(headers)?;
    if back.protocol != protocol::TCP || headers.fragment != Fragment::Whole {
        return None;
    }
    let segment = bytes.get(usize::from(headers.l4)..headers.end as usize)?;
    let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, _, flags, ..] = segment.first_chunk::<20>()?;
    // None behind a routing header: then the destination is not the one who would refuse.
    checksum::pseudo(bytes, headers, 0)?;
    let sound = about.offload.is_trusted() || checksum::verify_transport(bytes, headers) == Some(true);
    if flags & RST != 0 || !sound {
        return None;
    }
    let (sequence, acknowledged, flags) = if flags & ACK != 0 {
        ([a0, a1, a2, a3], [0; 4], RST)
    } else {
        let payload = (headers.end).checked_sub(u32::from(headers.payload))?;
        let len = payload + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        ([0; 4], u32::from_be_bytes([q0, q1, q2, q3]).wrapping_add(len).to_be_bytes(), RST | ACK)
    };
    let mut message = [0; 20];
    message[..4].copy_from_slice(&[d0, d1, s0, s1]);
    message[4..8].copy_from_slice(&sequence);
    message[8..12].copy_from_slice(&acknowledged);
    // Five words of header; no window.
    message[12..14].copy_from_slice(&[5 << 4, flags]);
    Some(back.seal(out, [&message, &[]], 16))
}
