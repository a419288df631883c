//! What every rule looks at, read from the packet once: addresses, protocol, whether it is a later fragment.

use wire::{Fragment, Headers, Layer3};

use super::{Malformed, Packet};
use crate::rules::address::number;
use crate::rules::{Family, Header};

/// Extension headers at which the kernel's search for the transport header ends, in a later fragment.
pub(super) const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

/// A packet at a glance.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) family: Family,
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) protocol: u8,
    /// Where its datagram continues, in units of 8 bytes (IPv4) or in bytes (IPv6), as the kernel has it; 0 at the start.
    pub(super) offset: u16,
    pub(super) l3: usize,
    pub(super) l4: usize,
    /// Where the IP packet ends in the frame.
    pub(super) end: usize,
    /// Bytes of a fragment header before the transport header of a first fragment.
    pub(super) cut: usize,
}

impl Seen {
    /// `None` if it is no packet of the family.
    pub(super) fn of(family: Family, packet: &Packet<'_>) -> Option<Seen> {
        let headers: &Headers = packet.headers;
        let fits = match headers.layer3 {
            Layer3::Ipv4 => family == Family::Ipv4,
            Layer3::Ipv6 => family == Family::Ipv6,
            Layer3::Arp | Layer3::Other => false,
        };
        if !fits {
            return None;
        }
        let l3 = usize::from(headers.l3);
        let offset = match (headers.fragment, family) {
            (Fragment::Whole | Fragment::First, _) => 0,
            (Fragment::Later, Family::Ipv4) => {
                let word = packet.frame.bytes().get(l3 + 6..l3 + 8)?;
                u16::from_be_bytes([word[0], word[1]]) & 0x1fff
            }
            // The kernel counts bytes here, of which only "none" and "some" are told apart.
            (Fragment::Later, Family::Ipv6) => 8,
        };
        Some(Seen {
            family,
            source: number(headers.key.src()?),
            destination: number(headers.key.dst()?),
            protocol: headers.key.protocol(),
            offset,
            l3,
            l4: usize::from(headers.l4),
            end: headers.end as usize,
            cut: if family == Family::Ipv6 && headers.fragment == Fragment::First { 8 } else { 0 },
        })
    }

    /// Bytes of the IP packet; that it was cut is nothing to rules.
    pub(super) fn len(&self) -> usize {
        self.end.saturating_sub(self.l3 + self.cut)
    }

    /// Some bytes behind the start of the transport header.
    pub(super) fn transport<'f>(&self, packet: &'f Packet<'_>) -> &'f [u8] {
        packet.frame.bytes().get(self.l4..self.end).unwrap_or_default()
    }

    /// Whether a rule's header fits.
    #[inline]
    pub(super) fn passes(&self, header: &Header, packet: &Packet<'_>) -> Result<bool, Malformed> {
        let fits = header.source.is_none_or(|wanted| wanted.holds(|network| network.contains(self.source)))
            && header.destination.is_none_or(|wanted| wanted.holds(|network| network.contains(self.destination)))
            && header.input.as_ref().is_none_or(|wanted| wanted.holds(|one| one.covers(packet.input)))
            && header.output.as_ref().is_none_or(|wanted| wanted.holds(|one| one.covers(packet.output)));
        if !fits {
            return Ok(false);
        }
        if let Some(wanted) = header.protocol {
            // A later fragment whose first part holds more extension headers: its protocol cannot be known.
            if self.family == Family::Ipv6 && self.offset != 0 && EXTENSIONS.contains(&self.protocol) {
                return Err(Malformed);
            }
            if !wanted.holds(|&protocol| protocol == self.protocol) {
                return Ok(false);
            }
        }
        Ok(header.fragment.is_none_or(|later| later == (self.offset != 0)))
    }
}
