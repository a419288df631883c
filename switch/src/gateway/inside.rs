//! From a container to its gateway: answers to what is said to the gateway itself, the way to the network's other subnets,
//! to the host, to published ports, and out.

use std::net::IpAddr;

use nat::{Destination, End, Fresh, Plan, Reason, Rewrite, Source, Tracked, Untranslatable, Zone};
use wire::icmp::Trouble;
use wire::{IPV6_HEADER, protocol};

use super::begin::{Lead, Origin, aimed};
use super::hooks::Known;
use super::host::{is_host_link, is_routable, mask};
use super::names::asks_names;
use super::{Packet, zone_of};
use crate::flow::Egress;
use crate::{BridgeId, DropReason, Out, PortId, Switch};

/// What becomes of a new connection.
enum Decision {
    /// It leads there.
    Connect(Lead),
    /// It is to the gateway itself.
    Gateway,
    /// It is to the public end of another container's mapping: out, and in again (RFC 4787 REQ-9).
    Turn(IpAddr),
    /// It is refused.
    Refuse(DropReason, Option<Trouble>),
}

impl Switch {
    /// Takes a frame that a container sent to its gateway, or whose connection is translated.
    pub(crate) fn take_inside(&mut self, id: BridgeId, mut packet: Packet, out: &mut Out) {
        let Some(dst) = packet.headers.key.dst().filter(|dst| is_routable(*dst)) else {
            return self.drop_packet(DropReason::NotRouted, packet, out);
        };
        // IEEE 802.1Q section 9.6: a tag without a VLAN is a priority and no more.
        if let Some(tag) = packet.headers.tag
            && (tag & 0x0fff != 0 || !packet.untag())
        {
            return self.drop_packet(DropReason::RoutedTag, packet, out);
        }
        let zone = zone_of(id);
        let gateway = self.bridges.get(&id).and_then(|bridge| bridge.settings.gateway.as_ref());
        let Some(gateway) = gateway else { return self.drop_packet(DropReason::NotRouted, packet, out) };
        // Reverse path, strictly (RFC 3704 section 2.2): answers to any other source would go elsewhere.
        if packet.headers.key.src().is_none_or(|src| !gateway.covers(src) || src == dst || gateway.has(src)) {
            return self.drop_packet(DropReason::Martian, packet, out);
        }
        let (to_gateway, inside) = (gateway.has(dst), gateway.covers(dst));
        let (now, first) = (packet.now, self.first_of(zone, &packet));
        self.judge_inside(id, (to_gateway, inside), packet, out);
        self.release(now, first, out);
    }

    fn judge_inside(&mut self, id: BridgeId, (to_gateway, inside): (bool, bool), packet: Packet, out: &mut Out) {
        let zone = zone_of(id);
        let Some(dst) = packet.headers.key.dst() else { return };
        let Some(packet) = self.enter(id, None, packet, out) else { return };
        if to_gateway
            && packet.passage.is_none()
            && asks_names(&packet)
            && !self.router.tracker.is_known(packet.now, zone, &packet.frame, &packet.headers)
        {
            // What needs no connection is not looked for among them.
            return self.answer_names(packet, out);
        }
        // Answers may come by another host's gateway: what stays in the network has no connection to follow.
        let Packet { now, ref frame, ref headers, .. } = packet;
        if !to_gateway && inside && packet.passage.is_none() && !self.router.tracker.is_known(now, zone, frame, headers)
        {
            return self.between_subnets(id, dst, packet, out);
        }
        let Some((tracked, packet)) = self.look_up(zone, packet, out) else { return };
        match tracked {
            Tracked::Known(hit) | Tracked::Related(hit) if to_gateway && self.router.tracker.is_plain(hit.conn) => {
                self.answer_as_gateway(None, packet, out);
            }
            Tracked::Known(hit) => self.carry(hit, packet, out),
            Tracked::Related(hit) => self.carry_error(hit, packet, out),
            Tracked::New(fresh) => self.begin_inside(id, fresh, packet, out),
            Tracked::Early(datagram) => self.hold(datagram, None, packet, out),
            // What makes no sense is for rules to refuse, as in the kernel, where nothing has to be translated.
            Tracked::Untracked | Tracked::Invalid(_) if packet.passage.is_some() && to_gateway => {
                self.answer_as_gateway(None, packet, out);
            }
            Tracked::Untracked | Tracked::Invalid(_) if packet.passage.is_some() && inside => {
                self.carry_unknown(zone, dst, packet, out);
            }
            Tracked::Untracked => self.drop_packet(DropReason::NotRouted, packet, out),
            Tracked::Invalid(_) => self.drop_packet(DropReason::Invalid, packet, out),
        }
    }

    fn between_subnets(&mut self, id: BridgeId, dst: IpAddr, packet: Packet, out: &mut Out) {
        if !nat::ipv4_header_is_sound(packet.frame.bytes(), &packet.headers) {
            return self.drop_packet(DropReason::Malformed, packet, out);
        }
        match self.exit(zone_of(id), dst, &packet) {
            Ok(exit) => self.forward_changed(exit.unchanged(), true, packet, out),
            Err((reason, trouble)) => self.refuse(reason, trouble, packet, out),
        }
    }

    pub(super) fn begin_inside(&mut self, id: BridgeId, fresh: Fresh, packet: Packet, out: &mut Out) {
        match self.decide(id, &fresh, packet.aim()) {
            Decision::Gateway => self.answer_as_gateway(Some(&fresh), packet, out),
            Decision::Refuse(reason, trouble) => self.refuse(reason, trouble, packet, out),
            Decision::Connect(lead) => self.start(&fresh, lead, None, packet, out),
            Decision::Turn(source) => self.turn_around(&fresh, source, packet, out),
        }
    }

    /// What becomes of a new connection of a network, or of one that a rule sends to `aim` instead.
    fn decide(&self, id: BridgeId, fresh: &Fresh, aim: Option<End>) -> Decision {
        let tuple = aimed(&fresh.tuple(), aim);
        let (src, dst) = (tuple.src.ip(), tuple.dst.ip());
        let Some(gateway) = self.bridges.get(&id).and_then(|bridge| bridge.settings.gateway.as_ref()) else {
            return Decision::Refuse(DropReason::NotRouted, None);
        };
        let prohibited = |reason| Decision::Refuse(reason, Some(Trouble::Prohibited));
        if !is_routable(dst) {
            return Decision::Refuse(DropReason::NotRouted, None);
        }
        if gateway.has(dst) {
            return Decision::Gateway;
        }
        if gateway.covers(dst) {
            return Decision::Connect(Lead::to(fresh.zone(), aim, Origin::Keep));
        }
        if gateway.internal {
            return prohibited(DropReason::Internal);
        }
        if self.router.host.owns(dst) {
            if let Some(rule) = self.router.published.find(&tuple, true) {
                let target = self.bridges.get(&rule.bridge).and_then(|bridge| bridge.settings.gateway.as_ref());
                let (Some(end), Some(target)) = (rule.target(&tuple), target) else {
                    return Decision::Refuse(DropReason::NoEndpoint, Some(Trouble::PortUnreachable));
                };
                if target.internal {
                    return prohibited(DropReason::Internal);
                }
                // From its gateway if the answer could not find back otherwise.
                let own = rule.bridge == id && end.ip == src;
                let unreachable = rule.bridge != id && target.covers(src);
                let from = if own || unreachable { target.address(src.is_ipv4()) } else { None };
                let source = from.map_or(Origin::Keep, Origin::hidden);
                return Decision::Connect(Lead::to(zone_of(rule.bridge), Some(end), source));
            }
            if self.router.is_mapping(&tuple) {
                return Decision::Turn(dst);
            }
            let source = if gateway.host_access { Origin::Keep } else { Origin::hidden(mask(src.is_ipv4())) };
            return Decision::Connect(Lead::to(Zone::OUTSIDE, aim, source));
        }
        if is_host_link(dst) || !self.router.subnets.get(dst).is_empty() {
            return prohibited(DropReason::OtherNetwork);
        }
        match self.router.host.route(dst) {
            Some(route) => {
                // Who is reached at a port speaks from it, too (RFC 4787 REQ-1).
                let port = self.router.published.source(id, &tuple, route.source);
                let fixed = port.map(|port| Origin::Fixed(End { ip: route.source, port }));
                let source = fixed.unwrap_or_else(|| Origin::bound(route.source));
                Decision::Connect(Lead::to(Zone::OUTSIDE, aim, source))
            }
            None => Decision::Refuse(DropReason::NoRoute, Some(Trouble::NetUnreachable)),
        }
    }

    /// Makes a connection to the host's own address under a mapping, and turns its packet around.
    fn turn_around(&mut self, fresh: &Fresh, source: IpAddr, packet: Packet, out: &mut Out) {
        let source = Origin::bound(source);
        let aim = packet.aim();
        let destination = aim.map_or(Destination::Keep, Destination::To);
        let Some(packet) = self.judge_turn(Rewrite { src: None, dst: aim }, packet, out) else { return };
        let plan = Plan { reply_zone: Zone::OUTSIDE, destination, source: source.source() };
        let router = &mut self.router;
        match router.tracker.commit(packet.now, fresh, &plan, &mut *router.is_free) {
            Ok(hit) => {
                if let Some(Known::New(connection)) = packet.passage.as_ref().map(|passage| &passage.known) {
                    router.tracker.set_mark(hit.conn, connection.mark);
                }
                let rewrite = router.tracker.rewrite(hit.conn, hit.direction).unwrap_or_default();
                self.turn(packet, out, |packet| nat::translate(&mut packet.frame, &packet.headers, &rewrite));
            }
            Err(reason) => self.not_made(reason, packet, out),
        }
    }

    /// Lets a packet that turns around meet the rules on its way out, as one to the host.
    pub(super) fn judge_turn(&mut self, dst: Rewrite, packet: Packet, out: &mut Out) -> Option<Packet> {
        if packet.passage.is_none() {
            return Some(packet);
        }
        // Nothing is too big for the host.
        self.judge_out(Egress::Port(PortId::HOST), Some(u32::MAX), dst, packet, out)
    }

    /// Sends a packet out to the host's own address, and takes it in again as if the host had sent it.
    pub(super) fn turn(
        &mut self,
        mut packet: Packet,
        out: &mut Out,
        translate: impl FnOnce(&mut Packet) -> Result<(), Untranslatable>,
    ) {
        let Some(mac) = self.router.host.mac else {
            return self.refuse(DropReason::NoUplink, Some(Trouble::NetUnreachable), packet, out);
        };
        // Rules have seen it a hop older.
        if packet.passage.is_none() && nat::decrement_ttl(&mut packet.frame, &packet.headers).is_err() {
            return self.refuse(DropReason::TimeExceeded, Some(Trouble::TimeExceeded), packet, out);
        }
        if translate(&mut packet).is_err() {
            return self.drop_packet(DropReason::Untranslatable, packet, out);
        }
        wire::set_link(&mut packet.frame, mac, mac);
        self.take_outside(packet.now, packet.frame, out);
    }

    /// Drops a packet whose connection could not be made, and says so where that helps (RFC 5508 REQ-8).
    pub(super) fn not_made(&mut self, reason: Reason, packet: Packet, out: &mut Out) {
        let (reason, trouble) = match reason {
            Reason::NoPort => (DropReason::NoPort, Some(Trouble::Prohibited)),
            Reason::HostFull => (DropReason::TableFull, Some(Trouble::Prohibited)),
            Reason::TableFull | Reason::ZoneFull => (DropReason::TableFull, None),
            _ => (DropReason::Invalid, None),
        };
        self.refuse(reason, trouble, packet, out);
    }

    /// Answers what is said to the gateway itself, if rules let it in. A connection with it is remembered for rules' sake.
    pub(super) fn answer_as_gateway(&mut self, fresh: Option<&Fresh>, packet: Packet, out: &mut Out) {
        self.answer_translated(fresh, Rewrite::default(), packet, out);
    }

    /// The same to a packet whose source changes for the gateway, too: two connections would mix.
    pub(super) fn answer_translated(&mut self, fresh: Option<&Fresh>, mut src: Rewrite, packet: Packet, out: &mut Out) {
        let aim = packet.aim();
        let Some(packet) = self.retarget(Rewrite { src: None, dst: aim }, packet, out) else { return };
        let Some(mut packet) = self.input(packet, out) else { return };
        if let (Some(fresh), Some(passage)) = (fresh, packet.passage.as_mut()) {
            let destination = aim.map_or(Destination::Keep, Destination::To);
            let plan = Plan { reply_zone: fresh.zone(), destination, source: Source::Keep };
            match self.router.tracker.commit(packet.now, fresh, &plan, &mut |_, _, _| true) {
                Ok(hit) => {
                    passage.begins(hit);
                    if let Known::Of(_, connection) = &passage.known {
                        self.router.tracker.set_mark(hit.conn, connection.mark);
                    }
                    src = self.router.tracker.rewrite(hit.conn, hit.direction).unwrap_or_default().only_src();
                }
                Err(reason) => return self.not_made(reason, packet, out),
            }
        }
        let Some(mut packet) = self.retarget(src, packet, out) else { return };
        // What it says is found by its own ends, even an error: nobody has forwarded its cause. So it is in the kernel, but
        // for protocols that nobody takes.
        let known =
            matches!(packet.headers.key.protocol(), protocol::TCP | protocol::UDP | protocol::ICMP | protocol::ICMPV6);
        if let Some(passage) = packet.passage.as_mut().filter(|_| known) {
            passage.known = Known::Nothing;
        }
        match packet.headers.key.protocol() {
            protocol::ICMP | protocol::ICMPV6 => {
                let mut reply = out.pool.duplicate(&packet.frame);
                if wire::icmp::echo_reply(&mut reply, &packet.headers) {
                    self.say(&packet, reply, out);
                    return out.pool.put(packet.frame);
                }
                out.pool.put(reply);
                self.drop_packet(DropReason::NotRouted, packet, out);
            }
            protocol::TCP | protocol::UDP if asks_names(&packet) => self.answer_names(packet, out),
            protocol::TCP => {
                self.send_reset(&packet, false, out);
                self.drop_packet(DropReason::NoService, packet, out);
            }
            protocol::UDP => self.refuse(DropReason::NoService, Some(Trouble::PortUnreachable), packet, out),
            _ => {
                let trouble = Trouble::ProtocolUnreachable { named_at: protocol_named_at(&packet) };
                self.refuse(DropReason::NoService, Some(trouble), packet, out);
            }
        }
    }
}

/// Where an IPv6 packet names its protocol: its last "next header" field, in bytes from its start.
fn protocol_named_at(packet: &Packet) -> u32 {
    let bytes = packet.frame.bytes().get(usize::from(packet.headers.l3)..).unwrap_or_default();
    let (mut named, mut next) = (6, IPV6_HEADER);
    let end = usize::from(packet.headers.l4 - packet.headers.l3);
    while next + 8 <= end
        && let (Some(number), Some(len)) = (bytes.get(named), bytes.get(next + 1))
    {
        // A fragment header has no length (RFC 8200 section 4.5).
        let len = if *number == 44 { 8 } else { 8 + usize::from(*len) * 8 };
        (named, next) = (next, next + len);
    }
    named as u32
}
