//! Echo requests become their replies in place; identifier, sequence number and data stay (RFC 1122 section 3.2.2.6,
//! RFC 4443 section 4.2).

use super::{ECHO, ECHO6};
use crate::answer::{Envelope, HOPS};
use crate::extensions::{AUTHENTICATION, ROUTING, extensions};
use crate::options::is_source_routed;
use crate::word::{get, put};
use crate::{Fragment, Frame, Headers, IPV6_HEADER, Layer3, checksum, link, protocol};

/// Turns an echo request into its reply: addresses change places, TTL or hop limit 64. TOS, options and extension headers
/// stay. The key of `headers` is then the request's.
///
/// `false`, and nothing changed, if the frame is something else: a fragment, one with a wrong checksum (a partial one as
/// well: Linux always completes ICMP itself), to or from a group, source-routed or authenticated.
pub fn echo_reply(frame: &mut Frame, headers: &Headers) -> bool {
    let Some(back) = Envelope::back(headers) else { return false };
    let kind = match (headers.layer3, headers.key.protocol()) {
        (Layer3::Ipv4, protocol::ICMP) => ECHO,
        (Layer3::Ipv6, protocol::ICMPV6) => ECHO6,
        _ => return false,
    };
    let (bytes, l3, l4) = (frame.bytes(), usize::from(headers.l3), usize::from(headers.l4));
    let message = bytes.get(l4..headers.end as usize).unwrap_or_default();
    // Type, code, checksum, identifier, sequence number.
    let (Some(header), Some(&[found, ..])) = (bytes.get(l3..l4), message.first_chunk::<8>()) else { return false };
    if found != kind || headers.fragment != Fragment::Whole || frame.offload.partial_checksum().is_some() {
        return false;
    }
    let sound = if kind == ECHO {
        header.len() >= 20 && checksum::fold(checksum::sum(header)) == 0xffff && !is_source_routed(header)
    } else {
        let unanswered = |(number, _): (u8, &[u8])| matches!(number, ROUTING | AUTHENTICATION);
        header.len() >= IPV6_HEADER && !extensions(bytes, headers).any(unanswered)
    };
    if !sound || checksum::verify_transport(bytes, headers) != Some(true) {
        return false;
    }
    link::set_link(frame, back.src_mac, back.dst_mac);
    // What follows the packet in the frame is not of the message.
    let packet = &mut frame.bytes_mut()[l3..headers.end as usize];
    let (ip, message) = packet.split_at_mut(l4 - l3);
    // No sum changes when addresses change places.
    let (hops, addresses, len) = if kind == ECHO { (8, 12, 4) } else { (7, 8, 16) };
    let (src, dst) = ip[addresses..addresses + 2 * len].split_at_mut(len);
    src.swap_with_slice(dst);
    if kind == ECHO {
        let old = get(ip, hops);
        ip[hops] = HOPS;
        let sum = checksum::update(get(ip, 10), old, get(ip, hops));
        put(ip, 10, sum);
    } else {
        ip[hops] = HOPS;
    }
    let old = get(message, 0);
    message[0] = if kind == ECHO { 0 } else { ECHO6 + 1 };
    let sum = checksum::update(get(message, 2), old, get(message, 0));
    put(message, 2, sum);
    if message.iter().all(|&byte| byte == 0) {
        // Of zeroes alone only this is the checksum, and the update cannot know (RFC 1624 section 3).
        put(message, 2, 0xffff);
    }
    true
}
