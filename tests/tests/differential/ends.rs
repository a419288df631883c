//! Who speaks to whom, as the packets say. Translated talks go on between the ends that each side has seen, so answers are
//! made when they are sent: to whom the packet came from that they answer, as it came out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::bytes::{self, ICMP, ICMPV6, TCP, UDP};
use crate::talk::Event;
use crate::world::{ROUTER_MAC, mac, owner};

/// Both ends of a packet. Both ports of an ICMP query are its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) src: (IpAddr, u16),
    pub(crate) dst: (IpAddr, u16),
}

impl Ends {
    pub(crate) fn reversed(self) -> Ends {
        Ends { src: self.dst, dst: self.src }
    }

    pub(crate) fn ports(self) -> (u16, u16) {
        (self.src.1, self.dst.1)
    }

    /// Those of a packet, or of the first piece of one; none of an error's.
    pub(crate) fn of(packet: &[u8]) -> Option<Ends> {
        let (src, dst) = if packet.first()? >> 4 == 4 {
            let at = |from: usize| Some(Ipv4Addr::from(*packet.get(from..)?.first_chunk::<4>()?).into());
            (at(12)?, at(16)?)
        } else {
            let at = |from: usize| Some(Ipv6Addr::from(*packet.get(from..)?.first_chunk::<16>()?).into());
            (at(8)?, at(24)?)
        };
        let (protocol, at) = transport(packet)?;
        let word = |from: usize| Some(u16::from_be_bytes(*packet.get(at + from..)?.first_chunk::<2>()?));
        let ports = match (protocol, *packet.get(at)?) {
            (TCP | UDP, _) => (word(0)?, word(2)?),
            (ICMP, 3 | 4 | 5 | 11 | 12) | (ICMPV6, 0..128) => return None,
            (ICMP | ICMPV6, _) => (word(4)?, word(4)?),
            _ => (0, 0),
        };
        Some(Ends { src: (src, ports.0), dst: (dst, ports.1) })
    }
}

/// The protocol of a packet, and where its message starts; none for later pieces.
pub(crate) fn transport(packet: &[u8]) -> Option<(u8, usize)> {
    if packet.first()? >> 4 == 4 {
        let later = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff != 0;
        return (!later).then_some((*packet.get(9)?, usize::from(packet[0] & 0xf) * 4));
    }
    let (mut number, mut at) = (*packet.get(6)?, 40);
    loop {
        let header = packet.get(at..)?;
        let length = match number {
            0 | 43 | 60 => 8 + usize::from(*header.get(1)?) * 8,
            44 if u16::from_be_bytes([*header.get(2)?, *header.get(3)?]) & 0xfff8 == 0 => 8,
            44 => return None,
            _ => return Some((number, at)),
        };
        (number, at) = (header[0], at + length);
    }
}

/// What the other sides of talks have seen.
pub(crate) struct Learnt {
    seen: HashMap<usize, Ends>,
    /// Whether nobody speaks to whom he has not heard of: where something is translated, that would be other talks, between
    /// ends that are in use.
    polite: bool,
}

impl Learnt {
    pub(crate) fn new(polite: bool) -> Learnt {
        Learnt { seen: HashMap::new(), polite }
    }

    /// Where an event's frames go in, the frames, and the ends of its packets.
    pub(crate) fn frames(&self, event: &Event) -> (usize, Vec<Vec<u8>>, Ends) {
        let seen = event.talk.and_then(|talk| self.seen.get(&talk));
        let (ends, mut packets) = (event.make)(seen);
        if self.polite && event.talk.is_some() && !event.opens && seen.is_none() {
            packets.clear();
        }
        let (side, host) = owner(ends.src.0).unwrap_or((event.side, 0));
        (side, packets.iter().map(|packet| bytes::frame(mac(side, host), ROUTER_MAC, packet)).collect(), ends)
    }

    /// Takes note of what has come out.
    pub(crate) fn learn(&mut self, event: &Event, sent: Ends, frames: &[(usize, Vec<u8>)]) {
        let (Some(talk), true) = (event.talk, event.opens) else { return };
        let mut seen = frames.iter().filter_map(|(_, frame)| Ends::of(frame.get(14..)?));
        // What comes back is an answer.
        if let Some(seen) = seen.rfind(|seen| seen.dst.0 != sent.src.0) {
            self.seen.insert(talk, seen);
        }
    }
}
