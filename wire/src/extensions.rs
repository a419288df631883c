//! The IPv6 extension headers of a packet that was parsed, for the few that have to look at them again.
//! Not a second parser: it walks what [`crate::parse`] has already found to fit.

use crate::{Headers, IPV6_HEADER, Layer3};

/// Routing header, RFC 8200 section 4.4: its type at 2, segments left at 3.
pub const ROUTING: u8 = 43;
/// Fragment header, RFC 8200 section 4.5.
pub(crate) const FRAGMENT: u8 = 44;
/// Authentication header, RFC 4302.
pub(crate) const AUTHENTICATION: u8 = 51;

/// The extension headers between the IPv6 header and the transport header, as (number, bytes from its first on).
pub fn extensions<'a>(frame: &'a [u8], headers: &Headers) -> impl Iterator<Item = (u8, &'a [u8])> {
    let l4 = if headers.layer3 == Layer3::Ipv6 { headers.l4 } else { headers.l3 };
    extensions_between(frame, usize::from(headers.l3), usize::from(l4))
}

/// The same where only the offsets of both headers are known, as in what an ICMP error quotes.
pub fn extensions_between(bytes: &[u8], l3: usize, l4: usize) -> impl Iterator<Item = (u8, &[u8])> {
    let mut next = bytes.get(l3 + 6).copied().unwrap_or(0);
    let mut rest = bytes.get(l3 + IPV6_HEADER..l4).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&after, &length) = (rest.first()?, rest.get(1)?);
        let found = (next, rest);
        let len = match next {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        next = after;
        rest = rest.get(len..).unwrap_or_default();
        Some(found)
    })
}
