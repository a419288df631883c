//! What the gateway itself says: answers, errors, resets. They pass OUTPUT and POSTROUTING, and belong to connections as the
//! kernel has it: an error and a rule's reset are about the connection of the packet that caused them, an answer is found by
//! its own ends. Networks without rules are answered at once.

use std::net::IpAddr;

use nat::rules::{Connection, Family};
use nat::{Rewrite, Zone};
use wire::{Frame, Layer3, Time, parse, protocol};

use super::hooks::{Known, Passage};
use super::{Packet, zone_of};
use crate::flow::Egress;
use crate::{BridgeId, DropReason, Out, PortId, Switch};

/// Whom something is said to.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) now: Time,
    /// The port that its packet came in by.
    pub(super) from: PortId,
    /// The network whose rules its packet met, if it met any.
    pub(super) network: Option<BridgeId>,
    pub(super) address: Option<IpAddr>,
}

impl Listener {
    /// Who has sent a packet.
    pub(super) fn of(packet: &Packet) -> Listener {
        let network = packet.passage.as_ref().map(|passage| passage.network);
        Listener { now: packet.now, from: packet.from, network, address: packet.headers.key.src() }
    }
}

impl Switch {
    /// Sends an error or a reset back by the port that its cause came in by.
    pub(super) fn say_about(&mut self, about: &Packet, reply: Frame, out: &mut Out) {
        let known = match about.passage.as_ref().map(|passage| &passage.known) {
            Some(Known::Of(hit, connection)) => Known::Of(*hit, related(connection)),
            Some(Known::New(connection)) => Known::New(related(connection)),
            // The kernel gives it the mark of its cause, without which NOTRACK does nothing, and then looks it up all the same.
            Some(Known::Untracked | Known::Due) => Known::Due,
            Some(Known::Nothing) | None => Known::Nothing,
        };
        self.speak(&Listener::of(about), known, reply, out);
    }

    /// Sends an answer back by the port that what it answers came in by.
    pub(super) fn say(&mut self, about: &Packet, reply: Frame, out: &mut Out) {
        self.say_to(&Listener::of(about), reply, out);
    }

    /// Sends an answer to who has asked, perhaps a while ago.
    pub(super) fn say_to(&mut self, to: &Listener, reply: Frame, out: &mut Out) {
        self.speak(to, Known::Nothing, reply, out);
    }

    fn speak(&mut self, to: &Listener, known: Known, reply: Frame, out: &mut Out) {
        self.counters.replies += 1;
        let port = self.ports.get(&to.from).map(|port| port.settings.bridge);
        let network = to.network.or(port);
        let (Some(network), Ok(headers)) = (network.filter(|id| self.filters.apply_to(*id)), parse(reply.bytes()))
        else {
            return out.frames.push((to.from, reply));
        };
        let family = if headers.layer3 == Layer3::Ipv4 { Family::Ipv4 } else { Family::Ipv6 };
        let mut packet = Packet::new(to.now, to.from, reply, headers);
        packet.passage = Some(Box::new(Passage::own(network, family, known)));
        let output = self.name_of(Egress::Port(to.from), to.address);
        let Some(mut packet) = self.output_untracked(&output, packet, out) else { return };
        let zone = if to.from == PortId::HOST { Zone::OUTSIDE } else { zone_of(network) };
        self.track_own(zone, &mut packet);
        let Some(packet) = self.output(&output, packet, out) else { return };
        let Some(packet) = self.reset_meets_nat(packet, out) else { return };
        let Some(packet) = self.translate_own((Rewrite::only_src, Rewrite::only_dst), packet, out) else { return };
        let dst = packet.headers.key.dst();
        if dst == to.address {
            return out.frames.push((packet.from, packet.frame));
        }
        // Its cause was not of the connection that it is about: whose it is is elsewhere, or the gateway itself.
        if dst.is_some_and(|dst| self.is_own(zone, dst, &packet)) {
            if let Some(packet) = self.heard(packet, out) {
                self.drop_packet(DropReason::NotRouted, packet, out);
            }
            return;
        }
        match dst.map(|dst| self.exit(zone, dst, &packet)) {
            Some(Ok(exit)) => self.leave_by(exit, packet, out),
            _ => self.drop_packet(DropReason::NotRouted, packet, out),
        }
    }

    /// A reset instead of a connection's first packet meets the rules that would have given that one its source, as in the
    /// kernel: they count it, and no more.
    fn reset_meets_nat(&mut self, packet: Packet, out: &mut Out) -> Option<Packet> {
        let known = packet.passage.as_ref().map(|passage| &passage.known);
        let is_reset = packet.headers.key.protocol() == protocol::TCP;
        match known {
            Some(Known::New(connection)) if is_reset && connection.related => {
                let egress = Egress::Port(packet.from);
                Some(self.meet_nat_out(egress, packet, out)?.1)
            }
            _ => Some(packet),
        }
    }

    /// Finds the connection of what the gateway says, if it is not about one.
    fn track_own(&mut self, zone: Zone, packet: &mut Packet) {
        if !packet.passage.as_ref().is_some_and(|passage| matches!(passage.known, Known::Nothing | Known::Due)) {
            return;
        }
        let tracked = self.router.tracker.track(packet.now, zone, &packet.frame, &packet.headers);
        let known = self.known_of(packet.now, &tracked);
        if let Some(passage) = packet.passage.as_mut() {
            passage.known = known;
        }
    }

    /// Gives what the gateway says half of the ends that its receiver knows, and the other half to what an error quotes: its
    /// cause may have been translated when it was answered.
    pub(super) fn translate_own(
        &mut self,
        (half, of_quoted): (Half, Half),
        mut packet: Packet,
        out: &mut Out,
    ) -> Option<Packet> {
        let known = packet.passage.as_ref().map(|passage| &passage.known);
        let Some(Known::New(connection) | Known::Of(_, connection)) = known else { return Some(packet) };
        let (outer, inner) = connection.rewrite_error();
        if inner.is_empty() {
            return Some(packet);
        }
        let icmp = matches!(packet.headers.key.protocol(), protocol::ICMP | protocol::ICMPV6);
        let (frame, headers) = (&mut packet.frame, &packet.headers);
        let translated = match connection.related && icmp {
            true => nat::translate_error(frame, headers, &half(outer), &of_quoted(inner)),
            false => nat::translate(frame, headers, &half(outer)),
        };
        if translated.is_err() || !packet.parse_again() {
            self.drop_packet(DropReason::Untranslatable, packet, out);
            return None;
        }
        Some(packet)
    }
}

/// Half of a translation.
type Half = fn(Rewrite) -> Rewrite;

/// The connection of what is said about one of its packets.
fn related(connection: &Connection) -> Connection {
    Connection { related: true, direction: connection.direction.reverse(), ..connection.clone() }
}
