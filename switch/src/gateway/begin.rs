//! First packets: a new connection is made once, with everything known. Its destination comes from routing, from a published
//! port or from a rule of nat PREROUTING; its source from its way out or from a rule of nat POSTROUTING, which it meets last.

use std::net::IpAddr;

use nat::rules::{Nat, Span, Translation, pick};
use nat::{
    Destination, Direction, End, Fresh, Hit, Mapping, Plan, Pool, Reason, Rewrite, Source, Tracked, Tuple, Zone,
};
use wire::icmp::Trouble;

use super::carry::{Change, Way};
use super::hooks::Known;
use super::{Packet, bridge_of, zone_of};
use crate::{BridgeId, DropReason, Out, PortId, Switch};

/// Where a new connection leads, and which source it gets if no rule gives it another.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) zone: Zone,
    pub(super) destination: Destination,
    /// Its new destination, if it gets one.
    pub(super) to: Option<End>,
    pub(super) source: Origin,
}

/// The source that a connection gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Its own; another port of it where two connections would mix.
    Keep,
    /// This one.
    Fixed(End),
    /// This address.
    Mapped { address: IpAddr, ports: Option<(u16, u16)>, random: bool, mapping: Mapping },
}

const SYMMETRIC: Mapping = Mapping::Symmetric { persistent: true };

impl Origin {
    /// From that address, by whichever port is free towards the destination.
    pub(super) const fn hidden(address: IpAddr) -> Origin {
        Origin::Mapped { address, ports: None, random: false, mapping: SYMMETRIC }
    }

    /// From that address, by one port for all destinations (RFC 4787 REQ-1).
    pub(super) const fn bound(address: IpAddr) -> Origin {
        Origin::Mapped { address, ports: None, random: false, mapping: Mapping::EndpointIndependent }
    }

    /// From that address, as a rule wants it.
    fn wanted(address: IpAddr, nat: &Nat) -> Origin {
        let ports = nat.ports.map(|ports| (ports.first, ports.last));
        Origin::Mapped { address, ports, random: nat.random || nat.random_fully, mapping: SYMMETRIC }
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Origin::Keep => None,
            Origin::Fixed(end) => Some(end.ip),
            Origin::Mapped { address, .. } => Some(*address),
        }
    }

    pub(super) fn source(&self) -> Source<'_> {
        match self {
            Origin::Keep => Source::Keep,
            Origin::Fixed(end) => Source::Fixed(*end),
            Origin::Mapped { address, ports, random, mapping } => Source::Map(Pool {
                addresses: std::slice::from_ref(address),
                ports: *ports,
                random: *random,
                mapping: *mapping,
            }),
        }
    }
}

impl Lead {
    /// To where it is going, or to where a rule has sent it.
    pub(super) fn to(zone: Zone, to: Option<End>, source: Origin) -> Lead {
        Lead { zone, destination: to.map_or(Destination::Keep, Destination::To), to, source }
    }
}

impl Switch {
    /// Sends on the first packet of a connection, which is made if rules let it through. `way`: it stays on its link.
    pub(super) fn start(&mut self, fresh: &Fresh, lead: Lead, way: Option<Way>, packet: Packet, out: &mut Out) {
        let was_asked = packet.passage.is_some();
        let Some(packet) = self.enter_by(lead.zone, &Tracked::New(*fresh), packet, out) else { return };
        if was_asked {
            return self.start_judged(fresh, lead, way, packet, out);
        }
        if packet.passage.is_some() {
            return self.start_by_target(fresh, lead, packet, out);
        }
        match self.make(fresh, &lead, &packet) {
            Ok(hit) => self.carry(hit, packet, out),
            Err(reason) => self.not_made(reason, packet, out),
        }
    }

    /// Goes on by the rules of the network that a first packet goes to. They lead about in that network, and nowhere else.
    fn start_by_target(&mut self, fresh: &Fresh, lead: Lead, packet: Packet, out: &mut Out) {
        let packet = match lead.destination {
            // Who is reached by a mapping is who made it.
            Destination::Binding(_) => packet,
            Destination::Keep | Destination::To(_) => match self.nat_in(fresh, packet, out) {
                Some(packet) => packet,
                None => return,
            },
        };
        match packet.aim() {
            None => self.start_judged(fresh, lead, None, packet, out),
            Some(aim) if self.is_gateway_of(lead.zone, aim.ip) && fresh.zone() == Zone::OUTSIDE => {
                self.answer_as_gateway(Some(fresh), packet, out);
            }
            Some(aim) if self.is_container_of(lead.zone, aim.ip) => {
                self.start_judged(fresh, Lead::to(lead.zone, Some(aim), lead.source), None, packet, out);
            }
            Some(_) => self.refuse(DropReason::OtherNetwork, Some(Trouble::Prohibited), packet, out),
        }
    }

    fn start_judged(&mut self, fresh: &Fresh, lead: Lead, way: Option<Way>, mut packet: Packet, out: &mut Out) {
        let tuple = aimed(&fresh.tuple(), lead.to);
        let exit = self.exit(lead.zone, tuple.dst.ip(), &packet);
        let (way, change) = match (way, exit) {
            (Some(way), _) => (way, Change::bridged(None)),
            (None, Ok(exit)) => exit.unchanged(),
            (None, Err((reason, trouble))) => return self.refuse(reason, trouble, packet, out),
        };
        // From now on what is said about it is about its new destination.
        if let (Some(to), Some(passage)) = (lead.to, packet.passage.as_mut())
            && let Known::New(connection) = &mut passage.known
        {
            connection.redirect(to);
        }
        let rewrite = Rewrite { src: None, dst: lead.to };
        let Some(packet) = self.judge_out(way.0, change.next_mtu(), rewrite, packet, out) else { return };
        let Some((lead, by_rule, mut packet)) = self.nat_out(way, lead, &tuple, packet, out) else { return };
        let hit = match self.make(fresh, &lead, &packet) {
            Ok(hit) => hit,
            // A rule's own choice that does not work out is nobody else's trouble, as in the kernel.
            Err(_) if by_rule => return self.drop_packet(DropReason::NoPort, packet, out),
            Err(reason) => return self.not_made(reason, packet, out),
        };
        if by_rule {
            self.router.sources.note(fresh.zone(), &fresh.tuple(), hit.conn);
        }
        if let Some(Known::New(connection)) = packet.passage.as_ref().map(|passage| &passage.known) {
            self.router.tracker.set_mark(hit.conn, connection.mark);
        }
        self.pass_piece(&mut packet);
        self.finish(hit, lead.zone, (way, change), packet, out);
    }

    /// Gives a first packet that rules have let through its new source, and sends it out.
    fn finish(&mut self, hit: Hit, zone: Zone, way: (Way, Change), mut packet: Packet, out: &mut Out) {
        let rewrite = self.router.tracker.rewrite(hit.conn, hit.direction).unwrap_or_default();
        let (mut way, mut change) = way;
        if change.next_mtu().is_some() {
            change.leave(&mut packet);
        } else if !rewrite.is_empty()
            && let Some(Ok(exit)) = packet.headers.key.dst().map(|dst| self.exit(zone, dst, &packet))
        {
            // Whose ends change has a router between; answers come by it, too.
            (way, change) = exit.unchanged();
        }
        change.set_rewrite(rewrite.only_src());
        self.change(way.0, &change, packet, out);
    }

    /// Makes a connection.
    fn make(&mut self, fresh: &Fresh, lead: &Lead, packet: &Packet) -> Result<Hit, Reason> {
        let outside = self.is_outside(lead, &aimed(&fresh.tuple(), lead.to));
        let plan = Plan { reply_zone: lead.zone, destination: lead.destination, source: lead.source.source() };
        let router = &mut self.router;
        // Only the host's addresses have ports that somebody else may hold.
        let is_free = &mut router.is_free;
        let mut is_free = |protocol, ip, port| !outside || is_free(protocol, ip, port);
        let hit = router.tracker.commit(packet.now, fresh, &plan, &mut is_free)?;
        // A binding's other connections are exact too: steering knows no others.
        let steered = match lead.destination {
            Destination::Binding(_) => Some(Direction::Original),
            _ if outside => Some(Direction::Reply),
            _ => None,
        };
        if let Some(direction) = steered {
            router.open(router.tracker.tuple(hit.conn, direction));
        }
        if matches!((lead.to, lead.source), (Some(_), Origin::Keep)) && lead.zone == fresh.zone() {
            self.void_bridged(packet);
        }
        Ok(hit)
    }

    fn is_outside(&self, lead: &Lead, tuple: &Tuple) -> bool {
        lead.zone == Zone::OUTSIDE && !self.router.host.owns(tuple.dst.ip())
    }

    /// Voids the cached flows of a packet's sender. The server of a neighbour may have answered it from the same port before,
    /// untranslated: such answers are bridged, and from now on they are translated.
    fn void_bridged(&mut self, packet: &Packet) {
        let bridge = self.ports.get(&packet.from).and_then(|port| self.bridges.get(&port.settings.bridge));
        if let Some(slot) = bridge.and_then(|bridge| bridge.sender(packet.from, &packet.headers.key)) {
            self.stations.renew(slot);
        }
    }

    /// Asks the rules of nat PREROUTING where a first packet is to go instead; its passage says so from then on.
    pub(super) fn nat_in(&mut self, fresh: &Fresh, packet: Packet, out: &mut Out) -> Option<Packet> {
        let (translation, mut packet) = self.meet_nat_in(packet, out)?;
        let tuple = fresh.tuple();
        let nat = match translation {
            Some(Translation::Destination(nat)) => nat,
            Some(Translation::Redirect(nat)) => {
                let network = packet.passage.as_ref().and_then(|passage| self.bridges.get(&passage.network));
                let gateway = network.and_then(|bridge| bridge.settings.gateway.as_ref());
                let Some(address) = gateway.and_then(|gateway| gateway.address_towards(tuple.src.ip())) else {
                    self.drop_packet(DropReason::NotRouted, packet, out);
                    return None;
                };
                Nat { addresses: Some(Span::one(address)), ..nat }
            }
            Some(Translation::Source(_) | Translation::Masquerade(_)) | None => return Some(packet),
        };
        let (now, random, tracker) = (packet.now, self.filters.random(), &self.router.tracker);
        let aim = pick::destination(&nat, &tuple, random, |end| {
            tracker.is_taken(now, fresh.zone(), &aimed(&tuple, Some(end)))
        });
        if let Some(passage) = packet.passage.as_mut().filter(|_| aimed(&tuple, Some(aim)) != tuple) {
            passage.aim = Some(aim);
            if let Known::New(connection) = &mut passage.known {
                connection.redirect(aim);
            }
        }
        Some(packet)
    }

    /// Asks the rules of nat POSTROUTING which source a first packet is to get; `tuple` has its new destination. Says
    /// whether one did.
    fn nat_out(
        &mut self,
        way: Way,
        lead: Lead,
        tuple: &Tuple,
        packet: Packet,
        out: &mut Out,
    ) -> Option<(Lead, bool, Packet)> {
        if lead.zone == Zone::OUTSIDE && self.router.host.owns(tuple.dst.ip()) {
            // The host takes what is for itself as it comes.
            return Some((lead, false, packet));
        }
        let (translation, packet) = self.meet_nat_out(way.0, packet, out)?;
        let source = match translation {
            Some(Translation::Source(nat)) => {
                let ip = pick::source(&nat, tuple).unwrap_or(tuple.src.ip());
                Some(self.origin(&packet, &lead, tuple, ip, &nat))
            }
            Some(Translation::Masquerade(nat)) => {
                let Some(ip) = self.own_address(&lead, tuple) else {
                    self.drop_packet(DropReason::NoRoute, packet, out);
                    return None;
                };
                // Outside that is what happens to all.
                let usual = nat == Nat::default() && self.is_outside(&lead, tuple);
                (!usual).then(|| {
                    let nat = Nat { addresses: Some(Span::one(ip)), ..nat };
                    self.origin(&packet, &lead, tuple, ip, &nat)
                })
            }
            Some(Translation::Destination(_) | Translation::Redirect(_)) | None => None,
        };
        // Who has to hide hides, if no rule gives it an address to show.
        let shows = |source: &Origin| source.address() != Some(tuple.src.ip()) || matches!(lead.source, Origin::Keep);
        let Some(source) = source.filter(shows) else { return Some((lead, false, packet)) };
        if source.address().is_some_and(|ip| self.is_of_another(&packet, lead.zone, ip, tuple.src.ip())) {
            self.refuse(DropReason::OtherNetwork, Some(Trouble::Prohibited), packet, out);
            return None;
        }
        Some((Lead { source, ..lead }, true, packet))
    }

    /// Whether a source that a rule names is an address of a network's containers that nobody may show there: outside
    /// anybody's, and in another network those of all but its gateway.
    fn is_of_another(&self, packet: &Packet, zone: Zone, ip: IpAddr, own: IpAddr) -> bool {
        let leaves = zone == Zone::OUTSIDE || self.way_in(packet).is_some_and(|from| from != zone);
        leaves && ip != own && !self.router.subnets.get(ip).is_empty() && !self.is_gateway_of(zone, ip)
    }

    /// The source that a rule gives: the one that the sender has already, else that address.
    fn origin(&self, packet: &Packet, lead: &Lead, tuple: &Tuple, ip: IpAddr, nat: &Nat) -> Origin {
        let own = End { ip: tuple.src.ip(), port: tuple.src_port };
        let known = match self.way_in(packet) {
            Some(zone) if !nat.random && !nat.random_fully && !nat.offers(own, tuple.protocol) => {
                self.router.sources.find(packet.now, &self.router.tracker, zone, tuple, nat)
            }
            _ => None,
        };
        let free = known.filter(|end| {
            let leaves = nat::Address::new(end.ip).map(|src| Tuple { src, src_port: end.port, ..*tuple });
            leaves.is_some_and(|leaves| !self.router.tracker.is_taken(packet.now, lead.zone, &leaves))
        });
        free.map_or_else(|| Origin::wanted(ip, nat), Origin::Fixed)
    }

    /// The gateway's own address where a connection leaves.
    fn own_address(&self, lead: &Lead, tuple: &Tuple) -> Option<IpAddr> {
        let dst = tuple.dst.ip();
        match bridge_of(lead.zone) {
            Some(id) => self.bridges.get(&id)?.settings.gateway.as_ref()?.address_towards(dst),
            None => self.router.host.route(dst).map(|route| route.source),
        }
    }

    /// The zone that a packet comes from.
    pub(super) fn way_in(&self, packet: &Packet) -> Option<Zone> {
        let network = packet.passage.as_ref().map(|passage| passage.network)?;
        Some(self.zone_by(packet.from, network))
    }

    /// The zone of what comes in by a port; `network`: of what has come through a tunnel.
    pub(super) fn zone_by(&self, from: PortId, network: BridgeId) -> Zone {
        match from {
            PortId::HOST => Zone::OUTSIDE,
            from => zone_of(self.ports.get(&from).map_or(network, |port| port.settings.bridge)),
        }
    }
}

/// The ends of packets behind their new destination.
pub(super) fn aimed(tuple: &Tuple, to: Option<End>) -> Tuple {
    let Some((End { port, .. }, dst)) = to.and_then(|end| Some((end, nat::Address::new(end.ip)?))) else {
        return *tuple;
    };
    let ported = !matches!(tuple.protocol, wire::protocol::ICMP | wire::protocol::ICMPV6) && port != 0;
    Tuple { dst, dst_port: if ported { port } else { tuple.dst_port }, ..*tuple }
}
