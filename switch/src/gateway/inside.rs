//! From a container to its gateway: answers to what is said to the gateway itself, the way to the network's other subnets,
//! to the host, to published ports, and out.

use std::net::IpAddr;

use nat::{Destination, Direction, End, Fresh, Mapping, Plan, Pool, Reason, Source, Tracked, Untranslatable, Zone};
use wire::icmp::Trouble;
use wire::protocol;

use super::host::{MASKS, is_host_link, is_routable};
use super::{Packet, zone_of};
use crate::{BridgeId, DropReason, Out, Switch};

/// What becomes of a new connection.
enum Decision {
    /// It is made so.
    Connect(Fresh, Towards),
    /// It is to the gateway itself.
    Gateway(Fresh),
    /// It is to the public end of another container's mapping: out, and in again (RFC 4787 REQ-9).
    Turn(Fresh, IpAddr),
    /// It is refused.
    Refuse(DropReason, Option<Trouble>),
}

/// Where a new connection leads, and which source it gets.
#[derive(Debug)]
enum Towards {
    /// Outside, from this address; and from this port, if that is published for the sender.
    Outside(IpAddr, Option<u16>),
    /// To another subnet of the network, tracked for the sake of rules.
    Inside,
    /// To the host; its own address, or the one that hides it.
    Host { masked: bool },
    /// To an endpoint that has published the port; from its gateway if the answer could not find back otherwise.
    Endpoint { zone: Zone, end: End, from: Option<IpAddr> },
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
        match self.exit(zone_of(id), dst, &packet.headers) {
            Ok(exit) => self.forward_changed(exit.unchanged(), true, packet, out),
            Err((reason, trouble)) => self.refuse(reason, trouble, packet, out),
        }
    }

    fn begin_inside(&mut self, id: BridgeId, fresh: Fresh, packet: Packet, out: &mut Out) {
        match self.decide(id, fresh) {
            Decision::Gateway(fresh) => self.answer_as_gateway(Some(&fresh), packet, out),
            Decision::Refuse(reason, trouble) => self.refuse(reason, trouble, packet, out),
            Decision::Connect(fresh, towards) => self.connect(&fresh, &towards, packet, out),
            Decision::Turn(fresh, source) => self.turn_around(&fresh, source, packet, out),
        }
    }

    fn decide(&self, id: BridgeId, fresh: Fresh) -> Decision {
        let tuple = fresh.tuple();
        let (src, dst) = (tuple.src.ip(), tuple.dst.ip());
        let Some(gateway) = self.bridges.get(&id).and_then(|bridge| bridge.settings.gateway.as_ref()) else {
            return Decision::Refuse(DropReason::NotRouted, None);
        };
        let prohibited = |reason| Decision::Refuse(reason, Some(Trouble::Prohibited));
        if gateway.has(dst) {
            return Decision::Gateway(fresh);
        }
        if gateway.covers(dst) {
            return Decision::Connect(fresh, Towards::Inside);
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
                let own = rule.bridge == id && end.ip == src;
                let unreachable = rule.bridge != id && target.covers(src);
                let from = if own || unreachable { target.address(src.is_ipv4()) } else { None };
                return Decision::Connect(fresh, Towards::Endpoint { zone: zone_of(rule.bridge), end, from });
            }
            if self.router.is_mapping(&tuple) {
                return Decision::Turn(fresh, dst);
            }
            return Decision::Connect(fresh, Towards::Host { masked: !gateway.host_access });
        }
        if is_host_link(dst) || !self.router.subnets.get(dst).is_empty() {
            return prohibited(DropReason::OtherNetwork);
        }
        match self.router.host.route(dst) {
            Some(route) => {
                let port = self.router.published.source(id, &tuple, route.source);
                Decision::Connect(fresh, Towards::Outside(route.source, port))
            }
            None => Decision::Refuse(DropReason::NoRoute, Some(Trouble::NetUnreachable)),
        }
    }

    fn connect(&mut self, fresh: &Fresh, towards: &Towards, packet: Packet, out: &mut Out) {
        let symmetric = Mapping::Symmetric { persistent: true };
        let pool = |addresses, mapping| Source::Map(Pool { addresses, ports: None, random: false, mapping });
        let plan = match towards {
            Towards::Outside(source, port) => Plan {
                reply_zone: Zone::OUTSIDE,
                destination: Destination::Keep,
                // Who is reached at a port speaks from it, too (RFC 4787 REQ-1).
                source: match *port {
                    Some(port) => Source::Fixed(End { ip: *source, port }),
                    None => pool(std::slice::from_ref(source), Mapping::EndpointIndependent),
                },
            },
            Towards::Inside => Plan { reply_zone: fresh.zone(), destination: Destination::Keep, source: Source::Keep },
            Towards::Host { masked } => Plan {
                reply_zone: Zone::OUTSIDE,
                destination: Destination::Keep,
                source: if *masked { pool(&MASKS, symmetric) } else { Source::Keep },
            },
            Towards::Endpoint { zone, end, from } => Plan {
                reply_zone: *zone,
                destination: Destination::To(*end),
                source: from.as_ref().map_or(Source::Keep, |from| pool(std::slice::from_ref(from), symmetric)),
            },
        };
        let outside = matches!(towards, Towards::Outside(..));
        let router = &mut self.router;
        // Only the host's addresses have ports that somebody else may hold.
        let is_free = &mut router.is_free;
        let mut is_free = |protocol, ip, port| !outside || is_free(protocol, ip, port);
        match router.tracker.commit(packet.now, fresh, &plan, &mut is_free) {
            Ok(hit) => {
                if outside {
                    router.open(router.tracker.tuple(hit.conn, Direction::Reply));
                }
                if let Towards::Endpoint { zone, from: None, .. } = towards
                    && *zone == fresh.zone()
                {
                    self.void_bridged(&packet);
                }
                self.carry(hit, packet, out);
            }
            Err(reason) => self.not_made(reason, packet, out),
        }
    }

    /// Voids the cached flows of a packet's sender. The server of a neighbour may have answered it from the same port before,
    /// untranslated: such answers are bridged, and from now on they are translated.
    fn void_bridged(&mut self, packet: &Packet) {
        let bridge = self.ports.get(&packet.from).and_then(|port| self.bridges.get(&port.settings.bridge));
        if let Some(bridge) = bridge {
            bridge.renew(&mut self.stations, packet.headers.key.src_mac());
        }
    }

    /// Makes a connection to the host's own address under a mapping, and turns its packet around.
    fn turn_around(&mut self, fresh: &Fresh, source: IpAddr, packet: Packet, out: &mut Out) {
        let addresses = [source];
        let source = Pool { addresses: &addresses, ports: None, random: false, mapping: Mapping::EndpointIndependent };
        let plan = Plan { reply_zone: Zone::OUTSIDE, destination: Destination::Keep, source: Source::Map(source) };
        let router = &mut self.router;
        match router.tracker.commit(packet.now, fresh, &plan, &mut *router.is_free) {
            Ok(hit) => self.carry(hit, packet, out),
            Err(reason) => self.not_made(reason, packet, out),
        }
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
        if nat::decrement_ttl(&mut packet.frame, &packet.headers).is_err() {
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
        let Some(mut packet) = self.input(packet, out) else { return };
        if let (Some(fresh), Some(passage)) = (fresh, packet.passage.as_mut()) {
            let plan = Plan { reply_zone: fresh.zone(), destination: Destination::Keep, source: Source::Keep };
            match self.router.tracker.commit(packet.now, fresh, &plan, &mut |_, _, _| true) {
                Ok(hit) => _ = passage.begins(hit),
                Err(reason) => return self.not_made(reason, packet, out),
            }
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
            protocol::TCP => {
                self.send_reset(&packet, false, out);
                self.drop_packet(DropReason::NoService, packet, out);
            }
            _ => self.refuse(DropReason::NoService, Some(Trouble::PortUnreachable), packet, out),
        }
    }
}
