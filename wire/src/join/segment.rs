//! A segment that could be joined: TCP with nothing but ACK (and PSH), or UDP with a checksum, in a plain IP packet.
//! Its offsets were checked once, so that what follows can index.

use crate::checksum::{self, fold};
use crate::word::get;
use crate::{Fragment, Headers, IPV6_HEADER, Layer3, protocol};

/// Longest IP packet that is joined or built, in bytes.
pub(super) const MAX_PACKET: usize = 65_535;
pub(super) const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// IPv4: "don't fragment", alone in the word of flags and fragment offset.
const DF: u16 = 0x4000;

/// A frame without link padding, and its headers.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) headers: &'a Headers,
}

impl<'a> Segment<'a> {
    /// `None` for whatever cannot be joined: other protocols and TCP flags, fragments, IP options and extension headers,
    /// no payload, UDP without checksum or of a length that differs from the packet's.
    pub(super) fn of(bytes: &'a [u8], headers: &'a Headers, udp: bool) -> Option<Segment<'a>> {
        let number = headers.key.protocol();
        let ip_len = match headers.layer3 {
            Layer3::Ipv4 => 20,
            Layer3::Ipv6 => IPV6_HEADER,
            Layer3::Arp | Layer3::Other => return None,
        };
        let transport_len = match number {
            protocol::TCP => 20,
            protocol::UDP if udp => 8,
            _ => return None,
        };
        let bytes = bytes.get(..headers.end as usize)?;
        let segment = Segment { bytes, headers };
        let (l3, l4, payload) = (usize::from(headers.l3), usize::from(headers.l4), usize::from(headers.payload));
        if headers.fragment != Fragment::Whole
            || l4 != l3 + ip_len
            || payload < l4 + transport_len
            || payload >= bytes.len()
            || bytes.len() - l3 > MAX_PACKET
            || (ip_len == 20 && segment.word(l3 + 6) & !DF != 0)
        {
            return None;
        }
        let joins = if number == protocol::TCP {
            bytes[l4 + 13] & !PSH == ACK
        } else {
            segment.word(l4 + 6) != 0 && checksum::segment_end(bytes, headers) == Some(bytes.len())
        };
        joins.then_some(segment)
    }

    fn word(&self, at: usize) -> u16 {
        get(self.bytes, at)
    }

    fn ip(&self) -> &'a [u8] {
        &self.bytes[usize::from(self.headers.l3)..usize::from(self.headers.l4)]
    }

    fn transport(&self) -> &'a [u8] {
        &self.bytes[usize::from(self.headers.l4)..usize::from(self.headers.payload)]
    }

    pub(super) fn payload(&self) -> &'a [u8] {
        &self.bytes[usize::from(self.headers.payload)..]
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.headers.key.protocol() == protocol::TCP
    }

    /// Whether the sender asks for delivery at once.
    pub(super) fn is_pushed(&self) -> bool {
        self.is_tcp() && self.transport()[13] & PSH != 0
    }

    /// TCP sequence number; without meaning for UDP.
    pub(super) fn sequence(&self) -> u32 {
        let l4 = usize::from(self.headers.l4);
        u32::from(self.word(l4 + 4)) << 16 | u32::from(self.word(l4 + 6))
    }

    /// IPv4 identification; without meaning for IPv6.
    pub(super) fn id(&self) -> u16 {
        self.word(usize::from(self.headers.l3) + 4)
    }

    /// Whether the identification means nothing: IPv6 has none, and a packet that is never fragmented needs none
    /// (RFC 6864 section 4.1).
    pub(super) fn has_free_id(&self) -> bool {
        self.headers.layer3 == Layer3::Ipv6 || self.word(usize::from(self.headers.l3) + 6) == DF
    }

    /// What parsing `bytes` would give, if they are of this segment's flow, of its ToS, and have headers of the same length
    /// and no link padding.
    pub(super) fn headers_of_next(&self, bytes: &[u8]) -> Option<Headers> {
        let h = self.headers;
        let (l3, l4, payload) = (usize::from(h.l3), usize::from(h.l4), usize::from(h.payload));
        let next = bytes.get(..payload)?;
        let same = |range: std::ops::Range<usize>| self.bytes[range.clone()] == next[range];
        let len = usize::from(get(next, if h.layer3 == Layer3::Ipv4 { l3 + 2 } else { l3 + 4 }));
        let same_ip = match h.layer3 {
            // Version, lengths, ToS; fragmentation; protocol; addresses.
            Layer3::Ipv4 => {
                len == bytes.len() - l3
                    && same(l3..l3 + 2)
                    && same(l3 + 6..l3 + 8)
                    && same(l3 + 9..l3 + 10)
                    && same(l3 + 12..l4)
            }
            _ => len + IPV6_HEADER == bytes.len() - l3 && same(l3..l3 + 4) && same(l3 + 6..l3 + 7) && same(l3 + 8..l4),
        };
        // Ports, and TCP's header length; UDP's own length is looked at when the segment is taken.
        let same_transport = same(l4..l4 + 4) && (!self.is_tcp() || same(l4 + 12..l4 + 13));
        (same(0..l3) && same_ip && same_transport && bytes.len() > payload)
            .then_some(Headers { end: bytes.len() as u32, ..*h })
    }

    /// Whether both have the same headers but for what differs from segment to segment: lengths, checksums,
    /// identification, sequence number, PSH.
    pub(super) fn is_alike(&self, other: &Segment<'_>) -> bool {
        let (a, b) = (self.headers, other.headers);
        if a.key != b.key || (a.l3, a.l4, a.payload, a.layer3) != (b.l3, b.l4, b.payload, b.layer3) {
            return false;
        }
        let l3 = usize::from(a.l3);
        // The tag's own EtherType is not in the key.
        if self.bytes[12..l3] != other.bytes[12..l3] {
            return false;
        }
        let (x, y) = (self.ip(), other.ip());
        let same_ip = match a.layer3 {
            Layer3::Ipv4 => x[..2] == y[..2] && x[6..10] == y[6..10],
            _ => x[..4] == y[..4] && x[6..8] == y[6..8],
        };
        let (x, y) = (self.transport(), other.transport());
        // Acknowledgement and header length; window; urgent pointer and options.
        same_ip && (!self.is_tcp() || (x[8..13] == y[8..13] && x[14..16] == y[14..16] && x[18..] == y[18..]))
    }

    /// Whether the checksums are right, that of an IPv4 header included.
    pub(super) fn is_sound(&self) -> bool {
        let ip_sound = self.headers.layer3 != Layer3::Ipv4 || fold(checksum::sum(self.ip())) == 0xffff;
        ip_sound && checksum::verify_transport(self.bytes, self.headers) == Some(true)
    }
}
