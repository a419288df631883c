//! Saying what went wrong, in ICMP, and not too often: an error for every bad packet would be a weapon.

use std::net::IpAddr;

use hashbrown::HashMap;
use wire::icmp::{self, Trouble};
use wire::{Frame, Time, parse};

use super::Packet;
use super::carry::OUTSIDE;
use super::pieces::{service, set_service};
use crate::police::Bucket;
use crate::{BridgeId, DropReason, Out, PortId, Switch};

/// Errors a second, of each network and of the outside, in the long run (RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4
/// (f) leave the numbers open).
const PER_SECOND: u32 = 200;
/// Errors at once.
const BURST: u32 = 100;
/// The congestion marks in a type of service.
const ECN: u8 = 3;

/// How many errors may be sent to whom: a token bucket for each network, `None` for the outside.
#[derive(Debug, Default)]
pub(super) struct Limits {
    buckets: HashMap<Option<BridgeId>, Bucket>,
}

impl Limits {
    /// Whether one more may be sent; counts it.
    pub(super) fn allows(&mut self, now: Time, towards: Option<BridgeId>) -> bool {
        let bucket = self.buckets.entry(towards).or_insert_with(|| Bucket::packets(now, PER_SECOND, BURST));
        bucket.take(now, Bucket::cost_of_packets(1))
    }

    /// Forgets a network.
    pub(super) fn forget(&mut self, bridge: BridgeId) {
        self.buckets.remove(&Some(bridge));
    }
}

impl Switch {
    /// Drops a packet, and tells its sender where that may be told.
    pub(super) fn refuse(&mut self, reason: DropReason, trouble: Option<Trouble>, packet: Packet, out: &mut Out) {
        if let Some(trouble) = trouble {
            self.complain(trouble, &packet, out);
        }
        self.drop_packet(reason, packet, out);
    }

    /// Answers a TCP segment with a reset: about its connection if a rule wants it, of its connection if it is the gateway's.
    pub(super) fn send_reset(&mut self, packet: &Packet, about_connection: bool, out: &mut Out) -> bool {
        let bridge = self.ports.get(&packet.from).map(|port| port.settings.bridge);
        let mut reply = out.pool.get();
        if packet.from == PortId::TUNNEL
            || !wire::reset(&mut reply, &packet.frame, &packet.headers)
            || !self.router.limits.allows(packet.now, bridge)
        {
            out.pool.put(reply);
            return false;
        }
        if !self.address(packet, &mut reply) {
            out.pool.put(reply);
            return false;
        }
        if about_connection {
            self.say_about(packet, reply, out);
        } else {
            // An answer is of the class of what it answers.
            if let Ok(headers) = parse(reply.bytes()) {
                let class = service(&packet.frame, &packet.headers) & !ECN;
                set_service(&mut reply, &headers, class);
            }
            self.say(packet, reply, out);
        }
        true
    }

    /// Gives what is said about a packet its link addresses: in a network it has them. `false`: there is no way there.
    fn address(&self, about: &Packet, reply: &mut Frame) -> bool {
        if about.from != PortId::HOST {
            return true;
        }
        let (Some(mac), Some(src)) = (self.router.host.mac, about.headers.key.src()) else { return false };
        let (link, to) = if self.router.host.owns(src) { (OUTSIDE, mac) } else { (mac, OUTSIDE) };
        wire::set_link(reply, link, to);
        true
    }

    fn complain(&mut self, trouble: Trouble, packet: &Packet, out: &mut Out) {
        let Packet { now, from, frame: about, headers, .. } = packet;
        let from = *from;
        let (Some(src), Some(dst)) = (headers.key.src(), headers.key.dst()) else { return };
        let bridge = self.ports.get(&from).map(|port| port.settings.bridge);
        let gateway = bridge.and_then(|id| self.bridges.get(&id)?.settings.gateway.as_ref());
        let (speaker, link) = match (from, gateway) {
            // Outside, only the address that was spoken to is known.
            (PortId::HOST, _) => (Some(dst), OUTSIDE),
            // Who was spoken to answers (RFC 1122 section 3.2.2).
            (_, Some(gateway)) if gateway.has(dst) => (Some(dst), gateway.mac),
            (_, Some(gateway)) if !is_broadcast(gateway, dst) => (gateway.address_towards(src), gateway.mac),
            _ => return,
        };
        let Some(speaker) = speaker else { return };
        let mut reply = out.pool.get();
        if !icmp::error(&mut reply, about, headers, speaker, link, trouble) || !self.router.limits.allows(*now, bridge)
        {
            return out.pool.put(reply);
        }
        if !self.address(packet, &mut reply) {
            return out.pool.put(reply);
        }
        self.say_about(packet, reply, out);
    }
}

/// Whether an address is the broadcast address of one of the network's subnets, about which nothing is said.
fn is_broadcast(gateway: &crate::Gateway, dst: IpAddr) -> bool {
    gateway.addresses.iter().any(|subnet| dst.is_ipv4() && subnet.broadcast() == dst && subnet.prefix_len() < 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut limits = Limits::default();
        let mut now = Time::from_secs(1);
        let count = |limits: &mut Limits, now| (0..1_000).filter(|_| limits.allows(now, None)).count();
        assert_eq!(count(&mut limits, now), 100);
        now = now + Duration::from_millis(100);
        assert_eq!(count(&mut limits, now), 20);
        assert!(limits.allows(now, Some(BridgeId(1))), "others have their own");
        now = now + Duration::from_secs(100);
        assert_eq!(count(&mut limits, now), 100);
    }
}
