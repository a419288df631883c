//! The hooks: where on its way through the switch a packet meets rules, table after table, the host's before the network's.
//! Bridged packets pass PREROUTING, FORWARD and POSTROUTING like routed ones; what is said to the gateway passes INPUT,
//! and what it says itself (`spoken`) OUTPUT and POSTROUTING.
//! Networks without rules never come here.

use std::net::IpAddr;
use std::sync::Arc;

use nat::rules::{
    self, AddressKinds, Connection, Family, Hook, Log, Reject, Statuses, Surroundings, Table, Tracking, Translation,
    Verdict,
};
use nat::{End, Hit, Reason, Rewrite, Tracked, Tracker, Tuple, Zone};
use wire::checksum::verify_transport;
use wire::icmp::Trouble;
use wire::{Layer3, Time};

use super::carry::Way;
use super::host::Host;
use super::pieces::{Imprint, Piece, Rest};
use super::prefixes::Prefixes;
use super::{Packet, bridge_of, zone_of};
use crate::filter::{Filters, LogLine, Mark, Scope};
use crate::flow::Egress;
use crate::{BridgeId, DropReason, Gateway, Out, PortId, Switch};

/// A packet's way through the hooks, as far as it has come.
#[derive(Debug)]
pub(crate) struct Passage {
    /// The network whose rules it meets, after those for all.
    pub(super) network: BridgeId,
    /// The other network that it goes to, if it does, whose rules it meets last on its way out.
    towards: Option<BridgeId>,
    family: Family,
    input: Arc<str>,
    mark: u32,
    pub(super) known: Known,
    /// Whether every rule that was asked would answer the same for the whole flow.
    pub(super) steady: bool,
    /// The rules that it met.
    pub(super) marks: Vec<Mark>,
    /// Whether the gateway itself has sent it.
    own: bool,
    /// Which part of its datagram it is, if not all.
    pub(super) piece: Option<Piece>,
    /// Where a rule sends it instead.
    pub(super) aim: Option<End>,
    /// What the last rule of the table nat wants.
    translation: Option<Translation>,
}

/// What is known of its connection.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Nothing,
    /// Nothing yet; it is looked up, whatever rules say.
    Due,
    Untracked,
    New(Connection),
    Of(Hit, Connection),
}

/// Rules whose counters a flow remembers. One that met more is not remembered; of its later fragments these count the bytes.
const MOST_MARKS: usize = 256;

/// What rules call the way from the gateway to itself.
const LO: &str = "lo";

const PREROUTING: [(Table, Hook); 1] = [(Table::Mangle, Hook::Prerouting)];
const RAW: [(Table, Hook); 1] = [(Table::Raw, Hook::Prerouting)];
const INPUT: [(Table, Hook); 2] = [(Table::Mangle, Hook::Input), (Table::Filter, Hook::Input)];
const FORWARD: [(Table, Hook); 2] = [(Table::Mangle, Hook::Forward), (Table::Filter, Hook::Forward)];
const OUTPUT_RAW: [(Table, Hook); 1] = [(Table::Raw, Hook::Output)];
const OUTPUT_MANGLE: [(Table, Hook); 1] = [(Table::Mangle, Hook::Output)];
const OUTPUT_FILTER: [(Table, Hook); 1] = [(Table::Filter, Hook::Output)];
const POSTROUTING: [(Table, Hook); 1] = [(Table::Mangle, Hook::Postrouting)];
const NAT_IN: [(Table, Hook); 1] = [(Table::Nat, Hook::Prerouting)];
const NAT_OUT: [(Table, Hook); 1] = [(Table::Nat, Hook::Postrouting)];

impl Passage {
    fn of(network: BridgeId, family: Family, input: Arc<str>, known: Known) -> Passage {
        let (marks, own) = (Vec::new(), false);
        let (towards, piece, aim, translation) = (None, None, None, None);
        Passage { network, towards, family, input, mark: 0, known, steady: true, marks, own, piece, aim, translation }
    }

    /// The way of what the gateway itself sends.
    pub(super) fn own(network: BridgeId, family: Family, known: Known) -> Passage {
        Passage { own: true, ..Passage::of(network, family, "".into(), known) }
    }

    /// Takes note of the connection that was made for the packet, if it began one. Says whether it did.
    pub(super) fn begins(&mut self, hit: Hit) -> bool {
        let Known::New(connection) = &self.known else { return false };
        self.known = Known::Of(hit, connection.clone());
        true
    }
}

impl Switch {
    /// Begins a packet's way, if it meets any rules: raw, before its connection is looked up. `None`: it was dropped, or
    /// waits for the first fragment of its datagram. `way`: where it goes if that is known.
    pub(super) fn enter(
        &mut self,
        network: BridgeId,
        way: Option<Way>,
        mut packet: Packet,
        out: &mut Out,
    ) -> Option<Packet> {
        if !self.filters.apply_to(network) {
            return Some(packet);
        }
        let family = match packet.headers.layer3 {
            Layer3::Ipv4 => Family::Ipv4,
            Layer3::Ipv6 => Family::Ipv6,
            Layer3::Arp | Layer3::Other => return Some(packet),
        };
        let zone = self.zone_by(packet.from, network);
        let piece = match self.router.tracker.piece_of(zone, &packet.frame, &packet.headers) {
            None => None,
            Some(datagram) => match self.router.pieces.place(&packet, datagram, &mut self.filters) {
                Ok(piece) => Some(piece),
                Err(Rest::Unknown) => {
                    self.hold(datagram, way.map(|way| (network, way)), packet, out);
                    return None;
                }
                Err(_) => {
                    self.drop_packet(DropReason::Denied, packet, out);
                    return None;
                }
            },
        };
        let input = self.name_of(Egress::Port(packet.from), packet.headers.key.src());
        packet.passage = Some(Box::new(Passage { piece, ..Passage::of(network, family, input, Known::Nothing) }));
        self.meet(&RAW, "", packet, out)
    }

    /// Looks up a packet's connection, and lets it meet the rules that may ask for that. `None`: it went no further.
    pub(super) fn look_up(&mut self, zone: Zone, packet: Packet, out: &mut Out) -> Option<(Tracked, Packet)> {
        let untracked = packet.passage.as_ref().is_some_and(|passage| matches!(passage.known, Known::Untracked));
        let mut tracked = match untracked {
            true => Tracked::Untracked,
            false => self.router.tracker.track(packet.now, zone, &packet.frame, &packet.headers),
        };
        let Some(passage) = &packet.passage else { return Some((tracked, packet)) };
        if let Tracked::Early(_) = tracked {
            // Rules know its first fragment: that one made no sense to the tracker.
            debug_assert!(matches!(passage.piece, Some(Piece::Later(_))), "others wait before they meet rules");
            tracked = Tracked::Invalid(Reason::FragmentOrphan);
        }
        if let (Tracked::Invalid(Reason::Fragment), Some(Piece::Later(_))) = (&tracked, passage.piece) {
            // It reaches into what the rules have judged: neither it nor what comes after it passes (RFC 1858, RFC 3128).
            if let Some(datagram) = self.router.tracker.piece_of(zone, &packet.frame, &packet.headers) {
                self.router.pieces.spoil(&datagram);
            }
            self.drop_packet(DropReason::Invalid, packet, out);
            return None;
        }
        let mut packet = self.prerouting(&tracked, packet, out)?;
        if let Tracked::New(fresh) = &tracked {
            packet = self.nat_in(fresh, packet, out)?;
        }
        Some((tracked, packet))
    }

    /// Begins the way of a packet that has met no rules, from outside or from a network without any: it meets those of the
    /// network that it goes to. Others meet them on their way out.
    pub(super) fn enter_by(
        &mut self,
        towards: Zone,
        tracked: &Tracked,
        mut packet: Packet,
        out: &mut Out,
    ) -> Option<Packet> {
        let Some(network) = bridge_of(towards) else { return Some(packet) };
        if let Some(passage) = packet.passage.as_mut() {
            passage.towards = Some(network).filter(|network| *network != passage.network);
            return Some(packet);
        }
        let packet = self.enter(network, None, packet, out)?;
        if packet.passage.is_some() { self.prerouting(tracked, packet, out) } else { Some(packet) }
    }

    /// Goes on when it is known which connection a packet is of.
    fn prerouting(&mut self, tracked: &Tracked, mut packet: Packet, out: &mut Out) -> Option<Packet> {
        let known = self.known_of(packet.now, tracked);
        if let Some(passage) = packet.passage.as_mut() {
            passage.known = known;
        }
        self.meet(&PREROUTING, "", packet, out)
    }

    /// What rules want a first packet's destination to be.
    pub(super) fn meet_nat_in(&mut self, packet: Packet, out: &mut Out) -> Option<(Option<Translation>, Packet)> {
        let mut packet = self.meet(&NAT_IN, "", packet, out)?;
        Some((packet.passage.as_mut().and_then(|passage| passage.translation.take()), packet))
    }

    /// What rules want a first packet's source to be.
    pub(super) fn meet_nat_out(
        &mut self,
        egress: Egress,
        packet: Packet,
        out: &mut Out,
    ) -> Option<(Option<Translation>, Packet)> {
        let output = self.name_of(egress, packet.headers.key.dst());
        let mut packet = self.meet(&NAT_OUT, &output, packet, out)?;
        Some((packet.passage.as_mut().and_then(|passage| passage.translation.take()), packet))
    }

    /// What rules say about a packet for the gateway itself.
    pub(super) fn input(&mut self, packet: Packet, out: &mut Out) -> Option<Packet> {
        let mut packet = self.meet(&INPUT, "", packet, out)?;
        self.pass_piece(&mut packet);
        // From here on the kernel has its connection in its table: so what is said about it is asked.
        if let Some(Known::New(connection)) = packet.passage.as_mut().map(|passage| &mut passage.known) {
            connection.statuses.0 |= Statuses::CONFIRMED.0;
        }
        Some(packet)
    }

    /// What rules say about the gateway's own packet before its connection is looked up.
    pub(super) fn output_untracked(&mut self, output: &str, packet: Packet, out: &mut Out) -> Option<Packet> {
        self.meet(&OUTPUT_RAW, output, packet, out)
    }

    /// What rules say about the gateway's own packet.
    pub(super) fn output(&mut self, output: &str, packet: Packet, out: &mut Out) -> Option<Packet> {
        let packet = self.meet(&OUTPUT_MANGLE, output, packet, out)?;
        // Its receiver may be known by another address to rules; from whom it is changes last.
        let before = packet.headers.key.dst();
        let packet = self.translate_own((Rewrite::only_dst, Rewrite::only_src), packet, out)?;
        let packet = self.meet(&OUTPUT_FILTER, output, packet, out)?;
        let dst = packet.headers.key.dst();
        match if dst == before { None } else { self.way_in(&packet).zip(dst) } {
            Some((zone, dst)) if self.is_own(zone, dst, &packet) => return self.meet(&POSTROUTING, LO, packet, out),
            Some((zone, dst)) => {
                if let Ok(exit) = self.exit(zone, dst, &packet) {
                    let output = self.name_of(exit.egress(), Some(dst));
                    return self.meet(&POSTROUTING, &output, packet, out);
                }
            }
            None => {}
        }
        self.meet(&POSTROUTING, output, packet, out)
    }

    /// What rules say when the gateway hears what it has said itself. Which connection that is of is known.
    pub(super) fn heard(&mut self, mut packet: Packet, out: &mut Out) -> Option<Packet> {
        if let Some(passage) = packet.passage.as_mut() {
            passage.input = LO.into();
        }
        let packet = self.meet(&RAW, "", packet, out)?;
        let packet = self.meet(&PREROUTING, "", packet, out)?;
        self.input(packet, out)
    }

    /// Whether what goes to an address from a zone is for the gateway itself.
    pub(super) fn is_own(&self, zone: Zone, dst: IpAddr, packet: &Packet) -> bool {
        self.is_gateway_of(self.redirected(zone, dst, packet), dst)
    }

    /// What rules say about a packet whose way out is known, its destination translated already.
    pub(super) fn forwarding(&mut self, egress: Egress, packet: Packet, out: &mut Out) -> Option<Packet> {
        if packet.passage.is_none() {
            return Some(packet);
        }
        let output = self.name_of(egress, packet.headers.key.dst());
        self.forwarding_to(&output, packet, out)
    }

    /// What rules say about a packet that goes out there; a packet to everybody has no name there.
    pub(super) fn forwarding_to(&mut self, output: &str, packet: Packet, out: &mut Out) -> Option<Packet> {
        let packet = self.meet(&FORWARD, output, packet, out)?;
        let mut packet = self.meet(&POSTROUTING, output, packet, out)?;
        self.pass_piece(&mut packet);
        Some(packet)
    }

    /// Lets the rest of a datagram follow its first fragment, which rules have let through.
    pub(super) fn pass_piece(&mut self, packet: &mut Packet) {
        let Some(passage) = &packet.passage else { return };
        match passage.piece {
            None => {}
            Some(Piece::First(datagram, service)) => {
                let imprint = Imprint::of(packet, service);
                self.router.pieces.settle(&datagram, Some(imprint), &passage.marks);
            }
            Some(Piece::Later(imprint)) => imprint.put(packet),
        }
    }

    /// The connection of a packet as rules see it.
    pub(super) fn known_of(&self, now: Time, tracked: &Tracked) -> Known {
        let of = |hit: Hit, related| {
            self.router.tracker.judged(now, hit, related).map_or(Known::Nothing, |seen| Known::Of(hit, seen))
        };
        match tracked {
            Tracked::Known(hit) => of(*hit, false),
            Tracked::Related(hit) => of(*hit, true),
            Tracked::New(fresh) => Known::New(fresh.judged()),
            Tracked::Untracked => Known::Untracked,
            Tracked::Early(_) | Tracked::Invalid(_) => Known::Nothing,
        }
    }

    /// What rules call a place where packets come in or go out; `peer` is whom they come from or go to.
    pub(super) fn name_of(&self, egress: Egress, peer: Option<IpAddr>) -> Arc<str> {
        match egress {
            Egress::Port(PortId::HOST) if peer.is_some_and(|peer| self.router.host.owns(peer)) => "vsw0".into(),
            Egress::Port(PortId::HOST) => "uplink".into(),
            Egress::Port(PortId::TUNNEL) | Egress::Tunnel { .. } => "tunnel".into(),
            Egress::Port(port) | Egress::Retagged { port, .. } => {
                self.ports.get(&port).map_or_else(|| "".into(), |port| port.settings.name.clone())
            }
        }
    }

    /// Lets a packet meet these tables, first those for all networks. `None`: it went no further.
    fn meet(&mut self, stages: &[(Table, Hook)], output: &str, mut packet: Packet, out: &mut Out) -> Option<Packet> {
        let Some(mut passage) = packet.passage.take_if(|passage| !matches!(passage.piece, Some(Piece::Later(_))))
        else {
            return Some(packet);
        };
        for &(table, hook) in stages {
            let towards = passage.towards.filter(|_| matches!(hook, Hook::Forward | Hook::Postrouting));
            let scopes: [Option<Scope>; 3] = [Some(None), Some(Some(passage.network)), towards.map(Some)];
            for scope in scopes.into_iter().flatten() {
                if !self.filters.acts(scope, passage.family, table, hook) {
                    continue;
                }
                match self.judge(scope, table, hook, output, &mut passage, &mut packet) {
                    Verdict::Accept => {}
                    // A connection is translated once at a hook.
                    Verdict::Translate(how) => {
                        passage.translation = Some(how);
                        break;
                    }
                    Verdict::Drop => {
                        packet.passage = Some(passage);
                        self.drop_packet(DropReason::Denied, packet, out);
                        return None;
                    }
                    // The gateway tells itself nothing.
                    Verdict::Reject(_) if passage.own => {
                        self.drop_packet(DropReason::Rejected, packet, out);
                        return None;
                    }
                    Verdict::Reject(kind) => {
                        packet.passage = Some(passage);
                        self.reject(kind, packet, out);
                        return None;
                    }
                }
            }
        }
        packet.passage = Some(passage);
        Some(packet)
    }

    fn judge(
        &mut self,
        scope: Scope,
        table: Table,
        hook: Hook,
        output: &str,
        passage: &mut Passage,
        packet: &mut Packet,
    ) -> Verdict {
        let Switch { filters, router, bridges, ports, .. } = self;
        let Some(mut program) = filters.lend(scope, passage.family) else { return Verdict::Accept };
        let settings = bridges.get(&passage.network).map(|bridge| &bridge.settings);
        let mtu = settings.map_or(1500, |settings| u32::from(settings.mtu));
        let gateway = settings.and_then(|settings| settings.gateway.as_ref());
        let zone = match packet.from {
            PortId::HOST => Zone::OUTSIDE,
            from => zone_of(ports.get(&from).map_or(passage.network, |port| port.settings.bridge)),
        };
        let mut around = Around {
            filters,
            tracker: &router.tracker,
            host: &router.host,
            subnets: &router.subnets,
            gateway,
            zone,
            mtu,
            now: packet.now,
        };
        let tracking = match &passage.known {
            Known::Nothing => Tracking::None,
            Known::Due => Tracking::Due,
            Known::Untracked => Tracking::Untracked,
            Known::New(connection) | Known::Of(_, connection) => Tracking::Known(connection.clone()),
        };
        let mut judged = rules::Packet {
            frame: &mut packet.frame,
            headers: &mut packet.headers,
            input: &passage.input,
            output,
            mark: passage.mark,
            tracking,
        };
        let (family, marks, mut fits) = (passage.family, &mut passage.marks, true);
        let outcome = program.trace(packet.now, table, hook, &mut judged, &mut around, |place| {
            fits = marks.len() < MOST_MARKS;
            if fits {
                marks.push(Mark { scope, family, place });
            }
        });
        passage.mark = judged.mark;
        passage.steady &= outcome.steady && fits;
        match (judged.tracking, &mut passage.known) {
            (Tracking::Untracked, known @ Known::Nothing) => *known = Known::Untracked,
            (Tracking::Known(after), Known::New(before) | Known::Of(_, before)) => *before = after,
            _ => {}
        }
        if let Known::Of(hit, connection) = &passage.known {
            router.tracker.set_mark(hit.conn, connection.mark);
        }
        filters.put_back(scope, program);
        outcome.verdict
    }

    fn is_sound(&self, packet: &Packet) -> bool {
        packet.frame.offload.is_trusted() || verify_transport(packet.frame.bytes(), &packet.headers) != Some(false)
    }

    fn reject(&mut self, kind: Reject, packet: Packet, out: &mut Out) {
        let trouble = match kind {
            Reject::TcpReset => {
                // A reset that is not sent, as none is about another, ends nothing.
                let sent = self.send_reset(&packet, true, out);
                if let Some(Known::Of(hit, _)) = packet.passage.as_ref().map(|passage| &passage.known)
                    && sent
                {
                    self.router.tracker.reset(packet.now, hit.conn);
                }
                None
            }
            // What was spoilt on its way is nobody's fault.
            _ if !self.is_sound(&packet) => None,
            Reject::Icmp(code) | Reject::Icmpv6(code) => Some(Trouble::Unreachable { code }),
        };
        self.refuse(DropReason::Rejected, trouble, packet, out);
    }
}

/// The world as rules may ask for it.
struct Around<'a> {
    filters: &'a mut Filters,
    tracker: &'a Tracker,
    host: &'a Host,
    subnets: &'a Prefixes<BridgeId>,
    gateway: Option<&'a Gateway>,
    zone: Zone,
    mtu: u32,
    now: Time,
}

impl Surroundings for Around<'_> {
    fn random(&mut self) -> u32 {
        self.filters.random()
    }

    fn kinds(&mut self, ip: IpAddr, _: Option<&str>) -> AddressKinds {
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        match ip {
            ip if ip.is_unspecified() => AddressKinds::UNSPEC,
            ip if ip.is_multicast() => AddressKinds::MULTICAST,
            _ if broadcast => AddressKinds::BROADCAST,
            ip if self.gateway.is_some_and(|gateway| gateway.has(ip)) => AddressKinds::LOCAL,
            ip if ip.is_loopback() || self.host.owns(ip) => AddressKinds::LOCAL,
            ip if self.subnets.get(ip).is_empty() && self.host.route(ip).is_none() => AddressKinds::UNREACHABLE,
            _ => AddressKinds::UNICAST,
        }
    }

    fn path_mtu(&mut self, from: IpAddr, to: IpAddr) -> u32 {
        let of =
            |ip| if self.subnets.get(ip).is_empty() { self.host.route(ip).map(|route| route.mtu.into()) } else { None };
        [of(from), of(to), Some(self.mtu)].into_iter().flatten().min().unwrap_or(self.mtu)
    }

    fn is_open(&mut self, tuple: &Tuple) -> bool {
        self.tracker.is_open(self.now, self.zone, tuple)
    }

    fn log(&mut self, log: &Log, packet: &rules::Packet<'_>) {
        self.filters.write(LogLine {
            prefix: log.prefix.clone(),
            level: log.level,
            input: packet.input.into(),
            output: packet.output.into(),
            packet: packet.headers.key,
            len: packet.headers.end.saturating_sub(u32::from(packet.headers.l3)),
        });
    }
}
