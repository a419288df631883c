//! Where the words lie that translation changes: in a packet of its own, or in one that an ICMP error quotes.
//! Every offset of a [`Place`] lies inside the bytes that it was made from.

use std::net::IpAddr;

use wire::{Fragment, Frame, Headers, IPV6_HEADER, Layer3, ROUTING, extensions_between, protocol};

use super::delta::Delta;
use super::{End, Rewrite, Untranslatable};

/// DCCP and UDP-Lite keep their checksum where UDP does, over the same pseudo-header (RFC 4340 section 9.1, RFC 3828).
const DCCP: u8 = 33;
const UDP_LITE: u8 = 136;

/// What an ICMP message is to a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icmp {
    /// A query, with the type that its number stands for in a tuple.
    Query(u8),
    /// The answer to a query of that type.
    Answer(u8),
    /// An error about a packet, which it quotes.
    Error,
    /// Neighbour and multicast listener discovery: for one link only, never tracked.
    Link,
    /// Anything else. Source quench is among them (RFC 6633) and redirect, whose gateway means nothing across a translator.
    Other,
}

/// What kind of message an ICMP type is.
pub(crate) fn icmp_kind(protocol: u8, kind: u8) -> Icmp {
    match (protocol, kind) {
        // Echo (RFC 792), timestamp, information, address mask (RFC 950).
        (protocol::ICMP, 8 | 13 | 15 | 17) => Icmp::Query(kind),
        (protocol::ICMP, 0) => Icmp::Answer(8),
        (protocol::ICMP, 14 | 16 | 18) => Icmp::Answer(kind - 1),
        (protocol::ICMP, 3 | 11 | 12) => Icmp::Error,
        (protocol::ICMPV6, 128) => Icmp::Query(128),
        (protocol::ICMPV6, 129) => Icmp::Answer(128),
        // Node information (RFC 4620).
        (protocol::ICMPV6, 139) => Icmp::Query(139),
        (protocol::ICMPV6, 140) => Icmp::Answer(139),
        (protocol::ICMPV6, 1..=4) => Icmp::Error,
        (protocol::ICMPV6, 130..=137 | 141..=143 | 148 | 149 | 151..=153) => Icmp::Link,
        _ => Icmp::Other,
    }
}

/// Whether a protocol's header begins with ports that are translated.
pub(crate) fn has_ports(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | UDP_LITE | DCCP)
}

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) v6: bool,
    /// Where the IP header starts.
    pub(crate) l3: usize,
    /// Where the transport header starts.
    pub(crate) l4: usize,
    pub(crate) protocol: u8,
    src_port: Option<usize>,
    dst_port: Option<usize>,
    /// The transport checksum, if the packet holds one.
    checksum: Option<usize>,
    /// The checksum is still to be completed: it holds the pseudo-header's sum only.
    pub(crate) partial: bool,
    source_routed: bool,
}

impl Place {
    /// Of a frame that was parsed. `None` if it is not IP.
    pub(crate) fn of(frame: &Frame, headers: &Headers) -> Option<Place> {
        let (v6, fixed) = match headers.layer3 {
            Layer3::Ipv4 => (false, 20),
            Layer3::Ipv6 => (true, IPV6_HEADER),
            Layer3::Arp | Layer3::Other => return None,
        };
        let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
        let bytes = frame.bytes().get(..headers.end as usize)?;
        if bytes.len() < l3 + fixed || bytes.len() < l4 {
            return None;
        }
        let mut place = Place::at(v6, l3, l4, headers.key.protocol());
        place.source_routed = v6 && l4 > l3 + IPV6_HEADER && is_source_routed(bytes, l3, l4);
        if headers.fragment != Fragment::Later {
            place.transport(bytes);
            let checksum = place.checksum.map(|at| (l4 as u16, (at - l4) as u16));
            place.partial = checksum.is_some() && frame.offload.partial_checksum() == checksum;
        }
        Some(place)
    }

    /// Of a packet that has addresses only, as a later fragment; follow with [`Place::transport`] if it has more.
    pub(crate) fn at(v6: bool, l3: usize, l4: usize, protocol: u8) -> Place {
        Place {
            v6,
            l3,
            l4,
            protocol,
            src_port: None,
            dst_port: None,
            checksum: None,
            partial: false,
            source_routed: false,
        }
    }

    /// Finds ports (or the identifier) and the checksum, as far as `bytes` hold them.
    pub(crate) fn transport(&mut self, bytes: &[u8]) {
        let l4 = self.l4;
        let word = |offset: usize| (bytes.len() >= l4 + offset + 2).then_some(l4 + offset);
        match self.protocol {
            number if has_ports(number) => {
                (self.src_port, self.dst_port) = (word(0), word(2));
                self.checksum = word(if self.protocol == protocol::TCP { 16 } else { 6 });
            }
            protocol::ICMP | protocol::ICMPV6 => {
                match bytes.get(l4).map(|&kind| icmp_kind(self.protocol, kind)) {
                    Some(Icmp::Query(_)) => self.src_port = word(4),
                    Some(Icmp::Answer(_)) => self.dst_port = word(4),
                    _ => {}
                }
                self.checksum = word(2);
            }
            _ => {}
        }
    }

    /// The ports as a tuple has them: an ICMP identifier belongs to the side that asks, the query's type to the other.
    pub(crate) fn ports(&self, bytes: &[u8]) -> (u16, u16) {
        let word = |at: usize| get(bytes, at);
        match (self.src_port, self.dst_port) {
            (Some(src), Some(dst)) => (word(src), word(dst)),
            (Some(src), None) => (word(src), self.query(bytes)),
            (None, Some(dst)) => (self.query(bytes), word(dst)),
            (None, None) => (0, 0),
        }
    }

    fn query(&self, bytes: &[u8]) -> u16 {
        match bytes.get(self.l4).map(|&kind| icmp_kind(self.protocol, kind)) {
            Some(Icmp::Query(kind) | Icmp::Answer(kind)) => u16::from(kind),
            _ => 0,
        }
    }

    /// Whether the packet can be translated like this.
    pub(crate) fn check(&self, bytes: &[u8], to: &Rewrite) -> Result<(), Untranslatable> {
        if [to.src, to.dst].iter().flatten().any(|end| end.ip.is_ipv6() != self.v6) {
            return Err(Untranslatable::Family);
        }
        if self.source_routed {
            return Err(Untranslatable::SourceRoute);
        }
        if self.v6
            && self.protocol == protocol::UDP
            && !self.partial
            && self.checksum.is_some_and(|at| get(bytes, at) == 0)
        {
            return Err(Untranslatable::NoChecksum);
        }
        Ok(())
    }

    /// Translates, and says how much all of the packet's bytes changed together.
    pub(crate) fn apply(&self, bytes: &mut [u8], to: &Rewrite) -> Delta {
        let mut addresses = Delta::default();
        let mut ports = Delta::default();
        let (src_at, dst_at) = if self.v6 { (self.l3 + 8, self.l3 + 24) } else { (self.l3 + 12, self.l3 + 16) };
        for (end, at, port) in [(to.src, src_at, self.src_port), (to.dst, dst_at, self.dst_port)] {
            let Some(End { ip, port: new }) = end else { continue };
            match ip {
                IpAddr::V4(ip) => addresses.replace(bytes, at, &ip.octets()),
                IpAddr::V6(ip) => addresses.replace(bytes, at, &ip.octets()),
            }
            if let Some(at) = port {
                ports.replace(bytes, at, &new.to_be_bytes());
            }
        }
        let mut all = addresses.and(ports);
        if !self.v6 {
            let header = addresses.update(get(bytes, self.l3 + 10));
            all.replace(bytes, self.l3 + 10, &header.to_be_bytes());
        }
        if let Some(at) = self.checksum
            && let Some(new) = self.new_checksum(get(bytes, at), addresses, ports)
        {
            all.replace(bytes, at, &new.to_be_bytes());
        }
        all
    }

    fn new_checksum(&self, old: u16, addresses: Delta, ports: Delta) -> Option<u16> {
        match self.protocol {
            // ICMP has no pseudo-header.
            protocol::ICMP => (!self.partial).then(|| never_zero(ports.update(old))),
            _ if self.partial => Some(addresses.add(old)),
            // No checksum stays none.
            protocol::UDP if old == 0 => None,
            protocol::UDP => Some(never_zero(addresses.and(ports).update(old))),
            _ => Some(addresses.and(ports).update(old)),
        }
    }
}

/// A checksum that is not 0: 0xffff is the same sum. UDP's 0 means that there is none (RFC 768, RFC 3022 section 4.1), and of zeroes
/// alone, which an echo reply can be, only 0xffff is the checksum.
fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// Whether a routing header (RFC 8200 section 4.4) still has stations ahead, so that the transport checksum does not count
/// the destination in the IP header.
fn is_source_routed(bytes: &[u8], l3: usize, l4: usize) -> bool {
    let ahead = |(number, header): (u8, &[u8])| number == ROUTING && header.get(3).is_none_or(|&left| left != 0);
    extensions_between(bytes, l3, l4).any(ahead)
}

/// The word at `at`, or 0 behind the end.
fn get(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |word| u16::from_be_bytes([word[0], word[1]]))
}
