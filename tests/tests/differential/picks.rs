//! Ports that were picked by chance: two routers pick others, of the same class. Packets are compared with one port for each
//! class, and with their checksums, which must be right, left out.

use crate::bytes::{ICMP, ICMPV6, TCP, UDP, checksum};
use crate::ends::transport;
use crate::rules::Rules;
use crate::talk::HIGH_PORTS;

/// Which ports may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picks {
    None,
    /// Those that nobody but a router uses.
    Strange,
    All,
}

impl Picks {
    pub(crate) fn of(rules: &Rules) -> Picks {
        match (rules.translate, rules.pick_by_chance()) {
            (false, _) => Picks::None,
            (true, false) => Picks::Strange,
            (true, true) => Picks::All,
        }
    }

    /// The port that stands for another one, or for an identifier.
    pub(crate) fn class(self, protocol: u8, port: u16) -> u16 {
        let kept = match self {
            Picks::None => true,
            Picks::Strange => HIGH_PORTS.contains(&port),
            Picks::All => false,
        };
        match port {
            _ if kept => port,
            _ if matches!(protocol, ICMP | ICMPV6) => 1,
            0..512 => 1,
            512..1_024 => 512,
            6_000..=6_015 => 6_000,
            _ => 1_024,
        }
    }

    /// Puts classes in place of ports. Says if a checksum was wrong.
    pub(crate) fn put(self, packet: &mut [u8]) -> &'static str {
        let Some((protocol, at)) = transport(packet).filter(|_| self != Picks::None) else { return "" };
        let is_right = verify(packet, protocol, at);
        self.replace(packet, protocol, at);
        if is_right { "" } else { " (bad checksum)" }
    }

    fn replace(self, packet: &mut [u8], protocol: u8, at: usize) {
        let sum_at = match protocol {
            TCP => 16,
            UDP => 6,
            ICMP | ICMPV6 => 2,
            _ => return,
        };
        if let Some(sum) = packet.get_mut(at + sum_at..at + sum_at + 2) {
            sum.fill(0);
        }
        let places: &[usize] = match (protocol, packet.get(at)) {
            (ICMP, Some(3 | 4 | 5 | 11 | 12)) | (ICMPV6, Some(0..128)) => {
                let quoted = packet.get_mut(at + 8..).unwrap_or_default();
                if let Some((protocol, at)) = transport(quoted) {
                    self.replace(quoted, protocol, at);
                }
                return;
            }
            (ICMP | ICMPV6, _) => &[4],
            _ => &[0, 2],
        };
        for place in places {
            if let Some(word) = packet.get_mut(at + place..at + place + 2) {
                let class = self.class(protocol, u16::from_be_bytes([word[0], word[1]]));
                word.copy_from_slice(&class.to_be_bytes());
            }
        }
    }
}

fn verify(packet: &[u8], protocol: u8, at: usize) -> bool {
    let message = packet.get(at..).unwrap_or_default();
    let v4 = packet[0] >> 4 == 4;
    if !matches!(protocol, TCP | UDP | ICMP | ICMPV6) {
        return true;
    }
    if v4 && protocol == ICMP {
        return checksum(&[message]) == 0;
    }
    let ends = if v4 { packet.get(12..20) } else { packet.get(8..40) };
    let mut pseudo = ends.unwrap_or_default().to_vec();
    pseudo.extend((message.len() as u32).to_be_bytes());
    pseudo.extend(u32::from(protocol).to_be_bytes());
    checksum(&[&pseudo, message]) == 0
}
