//! From the host's port: answers to what containers sent, packets to published ports, and what the host itself sends to its
//! networks' containers. Link addresses mean nothing there: everything is judged by what the packet says.

use std::net::IpAddr;

use nat::{Destination, Fresh, Inbound, Tracked, Zone};
use wire::icmp::Trouble;
use wire::{Frame, Time, parse};

use super::begin::{Lead, Origin};
use super::carry::NoWay;
use super::host::{is_host_link, is_routable};
use super::{Packet, bridge_of, zone_of};
use crate::pipeline::Hit;
use crate::{DropReason, Gateway, Out, PortId, Switch, admit};

impl Switch {
    /// Takes a frame from the host's port.
    pub(crate) fn take_outside(&mut self, now: Time, frame: Frame, out: &mut Out) {
        let from = PortId::HOST;
        let mut headers = match parse(frame.bytes()) {
            Ok(headers) => headers,
            Err(_) => return self.discard(from, DropReason::Malformed, frame, out),
        };
        if let Err(reason) = admit::offload(frame.offload, &headers) {
            return self.discard(from, reason, frame, out);
        }
        headers.key.set_ingress(u64::from(from.0));
        let mut packet = Packet::new(now, from, frame, headers);
        if let Some(Hit::Changed(at)) = self.hit(now, &headers, packet.frame.len()) {
            packet = match self.replay(at, packet, out) {
                Some(packet) => packet,
                None => return,
            };
        }
        self.counters.misses += 1;
        if headers.key.dst().is_none_or(|dst| !is_routable(dst)) || headers.tag.is_some() {
            return self.drop_packet(DropReason::NotRouted, packet, out);
        }
        if headers.key.src().is_none_or(|src| !is_routable(src)) {
            return self.drop_packet(DropReason::Martian, packet, out);
        }
        let first = self.first_of(Zone::OUTSIDE, &packet);
        match self.router.tracker.track(now, Zone::OUTSIDE, &packet.frame, &headers) {
            Tracked::Known(hit) => self.carry(hit, packet, out),
            Tracked::Related(hit) => self.carry_error(hit, packet, out),
            Tracked::New(fresh) => self.begin_outside(&fresh, packet, out),
            Tracked::Early(datagram) => self.hold(datagram, None, packet, out),
            Tracked::Untracked => self.drop_packet(DropReason::NotRouted, packet, out),
            Tracked::Invalid(_) => self.drop_packet(DropReason::Invalid, packet, out),
        }
        self.release(now, first, out);
    }

    fn begin_outside(&mut self, fresh: &Fresh, packet: Packet, out: &mut Out) {
        let (src, dst) = (fresh.tuple().src.ip(), fresh.tuple().dst.ip());
        let from_host = self.router.host.owns(src);
        // What the host sends comes by its own end of the link; from elsewhere nobody is the host, or
        // on that link, or a container.
        let by_host = self.router.host.mac == Some(packet.headers.key.src_mac());
        let from_network = !self.router.subnets.get(src).is_empty();
        if (from_host || from_network || is_host_link(src)) && !by_host {
            return self.drop_packet(DropReason::Martian, packet, out);
        }
        if from_host && self.is_gateway_of_host(dst) {
            return self.answer_as_gateway(None, packet, out);
        }
        let lead = match self.lead_in(fresh) {
            Ok(lead) => lead,
            Err((reason, trouble)) => return self.refuse(reason, trouble, packet, out),
        };
        self.start(fresh, lead, None, packet, out);
    }

    /// Whether an address is that of the gateway of a zone's network.
    pub(super) fn is_gateway_of(&self, zone: Zone, address: IpAddr) -> bool {
        self.gateway_of(zone).is_some_and(|gateway| gateway.has(address))
    }

    /// The zone that a packet goes to: that of a gateway, if it comes from outside and a rule has redirected it there.
    pub(super) fn redirected(&self, zone: Zone, dst: IpAddr, packet: &Packet) -> Zone {
        if zone != Zone::OUTSIDE || packet.from != PortId::HOST {
            return zone;
        }
        let networks = self.router.subnets.get(dst).iter().map(|id| zone_of(*id));
        networks.into_iter().find(|zone| self.is_gateway_of(*zone, dst)).unwrap_or(zone)
    }

    /// Whether an address may be that of a container of a zone's network.
    pub(super) fn is_container_of(&self, zone: Zone, address: IpAddr) -> bool {
        self.gateway_of(zone).is_some_and(|gateway| gateway.covers(address) && !gateway.has(address))
    }

    fn gateway_of(&self, zone: Zone) -> Option<&Gateway> {
        self.bridges.get(&bridge_of(zone)?)?.settings.gateway.as_ref()
    }

    /// Whether an address is that of a gateway of a network whose containers the host reaches.
    fn is_gateway_of_host(&self, address: IpAddr) -> bool {
        let gateways = self.router.subnets.get(address).iter().filter_map(|id| self.bridges.get(id));
        let mut gateways = gateways.filter_map(|bridge| bridge.settings.gateway.as_ref());
        gateways.any(|gateway| gateway.host_access && gateway.has(address))
    }

    /// Whom a new packet is for, and the source that it gets instead of its own.
    fn lead_in(&mut self, fresh: &Fresh) -> Result<Lead, NoWay> {
        let tuple = fresh.tuple();
        let (src, dst) = (tuple.src.ip(), tuple.dst.ip());
        let router = &mut self.router;
        let (from_host, to_host) = (router.host.owns(src), router.host.owns(dst));
        // Rules' own addresses are for the host alone.
        if (to_host || from_host)
            && let Some(rule) = router.published.find(&tuple, to_host)
        {
            let gateway = self.bridges.get(&rule.bridge).and_then(|bridge| bridge.settings.gateway.as_ref());
            let (Some(end), Some(gateway)) = (rule.target(&tuple), gateway) else {
                return Err((DropReason::NoEndpoint, Some(Trouble::PortUnreachable)));
            };
            let hides = from_host || gateway.internal || gateway.covers(src);
            let source = if hides { gateway.address(src.is_ipv4()) } else { None };
            return Ok(Lead::to(zone_of(rule.bridge), Some(end), source.map_or(Origin::Keep, Origin::hidden)));
        }
        // What a container sends to another's mapping comes from and goes to the host's address as well.
        if from_host && !to_host {
            let networks = router.subnets.get(dst).iter();
            let network = networks.filter_map(|id| Some((*id, self.bridges.get(id)?.settings.gateway.as_ref()?)));
            let Some((id, gateway)) = network.into_iter().find(|(_, gateway)| gateway.host_access) else {
                return Err((DropReason::NoRoute, Some(Trouble::NetUnreachable)));
            };
            let source = gateway.address(src.is_ipv4()).map_or(Origin::Keep, Origin::hidden);
            return Ok(Lead::to(zone_of(id), None, source));
        }
        match router.tracker.inbound(fresh) {
            Inbound::To { binding, zone, end } => {
                Ok(Lead { zone, destination: Destination::Binding(binding), to: Some(end), source: Origin::Keep })
            }
            Inbound::Filtered => Err((DropReason::Filtered, None)),
            Inbound::Unknown => Err((DropReason::NoMapping, None)),
        }
    }
}
