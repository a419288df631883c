//! Packets that stay in their network, where rules have a say: they are tracked like routed ones, and go on as they are.

use nat::{Destination, Plan, Source, Tracked};

use super::{Packet, zone_of};
use crate::flow::Egress;
use crate::station::Stamp;
use crate::{BridgeId, DropReason, Out, Switch};

impl Switch {
    /// Takes a packet whose way through its bridge is known already.
    pub(crate) fn take_bridged(&mut self, id: BridgeId, way: (Egress, Stamp), packet: Packet, out: &mut Out) {
        let zone = zone_of(id);
        let Some(packet) = self.enter(id, packet, out) else { return };
        let (now, first) = (packet.now, self.first_of(zone, &packet));
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
            Tracked::New(fresh) => {
                let plan = Plan { reply_zone: zone, destination: Destination::Keep, source: Source::Keep };
                match self.router.tracker.commit(now, &fresh, &plan, &mut |_, _, _| true) {
                    Ok(hit) => self.carry_bridged(Some(hit), way, packet, out),
                    Err(reason) => self.not_made(reason, packet, out),
                }
            }
            Tracked::Early(datagram) => self.hold(datagram, packet, out),
            // What makes no sense is for rules to refuse, here as in the kernel.
            Tracked::Untracked | Tracked::Invalid(_) => self.carry_bridged(None, way, packet, out),
        }
        if let Some(datagram) = first {
            self.release(now, &datagram, out);
        }
    }

    /// Lets rules judge a packet to everybody, once for all copies: its way out has no name. `None`: it goes nowhere.
    pub(crate) fn judge_flood(&mut self, packet: Packet, out: &mut Out) -> Option<Packet> {
        let Some(id) = self.ports.get(&packet.from).map(|port| port.settings.bridge) else { return Some(packet) };
        let packet = self.enter(id, packet, out)?;
        if packet.passage.is_none() {
            return Some(packet);
        }
        let (tracked, packet) = self.look_up(zone_of(id), packet, out)?;
        if let Tracked::Early(_) = tracked {
            // Its first fragment tells the ports; copies of parts of a datagram are nobody's use.
            self.drop_packet(DropReason::FirstMissing, packet, out);
            return None;
        }
        self.judge_to_all(packet, out)
    }
}
