//! Packets that stay in their network, where rules have a say: they are tracked like routed ones, and go on as they are.

use nat::Tracked;

use super::begin::{Lead, Origin};
use super::carry::Way;
use super::{Packet, zone_of};
use crate::{BridgeId, DropReason, Out, Switch};

impl Switch {
    /// Takes a packet whose way through its bridge is known already.
    pub(crate) fn take_bridged(&mut self, id: BridgeId, way: Way, packet: Packet, out: &mut Out) {
        let (now, first) = (packet.now, self.first_of(zone_of(id), &packet));
        self.judge_bridged(id, way, packet, out);
        self.release(now, first, out);
    }

    fn judge_bridged(&mut self, id: BridgeId, way: Way, packet: Packet, out: &mut Out) {
        let zone = zone_of(id);
        let Some(packet) = self.enter(id, Some(way), packet, out) else { return };
        let Some((tracked, packet)) = self.look_up(zone, packet, out) else { return };
        match tracked {
            Tracked::Known(hit) if self.router.tracker.is_plain(hit.conn) => {
                self.carry_bridged(Some(hit), way, packet, out);
            }
            Tracked::Known(hit) => self.carry(hit, packet, out),
            Tracked::Related(hit) if self.router.tracker.is_plain(hit.conn) => {
                self.carry_bridged(None, way, packet, out)
            }
            Tracked::Related(hit) => self.carry_error(hit, packet, out),
            // What a rule sends elsewhere is for the gateway to lead there.
            Tracked::New(fresh) if packet.aim().is_some() => self.begin_inside(id, fresh, packet, out),
            Tracked::New(fresh) => self.start(&fresh, Lead::to(zone, None, Origin::Keep), Some(way), packet, out),
            Tracked::Early(datagram) => self.hold(datagram, Some((id, way)), packet, out),
            // What makes no sense is for rules to refuse, here as in the kernel.
            Tracked::Untracked | Tracked::Invalid(_) => self.carry_bridged(None, way, packet, out),
        }
    }

    /// Lets rules judge a packet to everybody, once for all copies: its way out has no name. `None`: it goes nowhere.
    pub(crate) fn judge_flood(&mut self, packet: Packet, out: &mut Out) -> Option<Packet> {
        let Some(id) = self.ports.get(&packet.from).map(|port| port.settings.bridge) else { return Some(packet) };
        self.judge_copies(id, packet, out)
    }

    /// The same for a packet from anywhere. What is meant for one station alone must not come to it as one of many, past
    /// rules that name its way out: such a broadcast is nobody's (RFC 1122 section 3.3.6).
    pub(crate) fn judge_copies(&mut self, id: BridgeId, packet: Packet, out: &mut Out) -> Option<Packet> {
        let key = &packet.headers.key;
        let owned = |ip| self.bridges.get(&id).is_some_and(|bridge| bridge.neighbours.contains_key(&ip));
        if self.filters.apply_to(id) && key.dst_mac().is_group() && key.dst().is_some_and(owned) {
            self.drop_packet(DropReason::Denied, packet, out);
            return None;
        }
        let (now, first) = (packet.now, self.first_of(zone_of(id), &packet));
        let mut packet = self.enter(id, None, packet, out);
        if packet.as_ref().is_some_and(|packet| packet.passage.is_some()) {
            let tracked = packet.and_then(|packet| self.look_up(zone_of(id), packet, out));
            packet = tracked.and_then(|(_, packet)| self.forwarding_to("", packet, out));
        }
        self.release(now, first, out);
        packet
    }
}
