//! Doing what was decided: where a packet leaves, its new ends and link addresses, one hop less to live. What is decided for
//! a connection both of whose sides have spoken is cached; then only this is left to do.

use std::net::IpAddr;

use nat::rules::Counters;
use nat::{Advance, ConnId, Datagram, Direction, Hit, Rewrite, State, Tracked, Zone};
use wire::icmp::Trouble;
use wire::{FlowKey, Fragment, Mac, Time, parse, protocol};

use super::begin::aimed;
use super::pieces::ttl_at;
use super::{Packet, bridge_of};
use crate::filter::Mark;
use crate::flow::{Egress, Flow};
use crate::forward;
use crate::station::Stamp;
use crate::{BridgeId, DropReason, Out, PortId, Switch};

/// Where the engine's frames for the outside go on the host's port: the program there sends them on by the host's routes.
pub(super) const OUTSIDE: Mac = port::OUT_MAC;

/// Where packets go, and the station that this depends on.
pub(crate) type Way = (Egress, Stamp);

/// What happens to the packets of a routed flow.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The connection, if there is one, and which way this is.
    pub(crate) conn: Option<(ConnId, Direction)>,
    rewrite: Rewrite,
    /// Its new link addresses, if it is routed.
    hop: Option<(Mac, Mac)>,
    /// Longest packet where they leave, in bytes.
    mtu: u32,
    /// The rules that decided, to be credited; `None` if none had a say.
    judged: Option<Box<[Mark]>>,
}

/// FIN, SYN and RST: what rules remember of a flow says nothing about segments with one of these.
const MARKED: u8 = 0x07;

impl Change {
    /// For packets that go on as they are, over the same link.
    pub(super) fn bridged(conn: Option<(ConnId, Direction)>) -> Change {
        Change { conn, rewrite: Rewrite::default(), hop: None, mtu: u32::MAX, judged: None }
    }

    /// The longest packet on the link to which they are routed, in bytes; `None`: they stay on theirs.
    pub(super) fn next_mtu(&self) -> Option<u32> {
        self.hop.map(|_| self.mtu)
    }

    /// Sets a packet's link addresses, once its hop is counted; then that is done.
    pub(super) fn leave(&mut self, packet: &mut Packet) {
        if let Some((src, dst)) = self.hop.take() {
            wire::set_link(&mut packet.frame, src, dst);
        }
    }

    pub(super) const fn set_rewrite(&mut self, rewrite: Rewrite) {
        self.rewrite = rewrite;
    }

    /// Reads something in every cache line of the record.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        let port = |end: Option<nat::End>| end.map_or(0, |end| u32::from(end.port));
        self.mtu ^ port(self.rewrite.src) ^ port(self.rewrite.dst) ^ self.hop.map_or(0, |(_, dst)| u32::from(dst.0[5]))
    }
}

/// Where packets leave.
#[derive(Debug)]
pub(super) struct Exit {
    egress: Egress,
    stamp: Stamp,
    src: Mac,
    dst: Mac,
    mtu: u32,
}

impl Exit {
    pub(super) const fn egress(&self) -> Egress {
        self.egress
    }

    /// Out there, with its ends as they are.
    pub(super) fn unchanged(self) -> (Way, Change) {
        self.with(None, Rewrite::default())
    }

    fn with(self, conn: Option<(ConnId, Direction)>, rewrite: Rewrite) -> (Way, Change) {
        let Exit { egress, stamp, src, dst, mtu } = self;
        ((egress, stamp), Change { conn, rewrite, hop: Some((src, dst)), mtu, judged: None })
    }
}

/// Why there is no way, and what to say to the sender.
pub(super) type NoWay = (DropReason, Option<Trouble>);

impl Switch {
    /// The way of a packet to an address in a zone. Whoever leads it there, a published port, a rule or somebody who knows
    /// the ends of a connection: none leads from one VLAN of a network into another.
    pub(super) fn exit(&self, zone: Zone, dst: IpAddr, packet: &Packet) -> Result<Exit, NoWay> {
        let Some(id) = bridge_of(zone) else { return self.exit_outside(dst) };
        let bridge = self.bridges.get(&id).ok_or((DropReason::NoNetwork, None))?;
        let gateway = bridge.settings.gateway.as_ref().ok_or((DropReason::NotRouted, None))?;
        let unreachable = (DropReason::NoEndpoint, Some(Trouble::HostUnreachable));
        let mac = *bridge.neighbours.get(&dst).ok_or(unreachable)?;
        let key = &packet.headers.key;
        let is_own =
            self.ports.get(&packet.from).map_or(packet.from != PortId::HOST, |port| port.settings.bridge == id);
        if is_own && bridge.vlans.enter(packet.from, key) != Ok(bridge.fdb.home(mac)) {
            return Err((DropReason::OtherVlan, None));
        }
        let (egress, stamp) =
            forward::towards(bridge, &self.stations, &self.ports, mac, key).map_err(|reason| (reason, None))?;
        Ok(Exit { egress, stamp, src: gateway.mac, dst: mac, mtu: u32::from(bridge.settings.mtu) })
    }

    fn exit_outside(&self, dst: IpAddr) -> Result<Exit, NoWay> {
        let host = &self.router.host;
        let mac = host.mac.ok_or((DropReason::NoUplink, Some(Trouble::NetUnreachable)))?;
        let (egress, stamp) = (Egress::Port(PortId::HOST), Stamp::NONE);
        if host.owns(dst) {
            // Nothing is too big for the host: it is no link.
            return Ok(Exit { egress, stamp, src: OUTSIDE, dst: mac, mtu: u32::MAX });
        }
        let route = host.route(dst).ok_or((DropReason::NoRoute, Some(Trouble::NetUnreachable)))?;
        Ok(Exit { egress, stamp, src: mac, dst: OUTSIDE, mtu: u32::from(route.mtu) })
    }

    /// Sends on a packet of a connection.
    pub(super) fn carry(&mut self, hit: Hit, packet: Packet, out: &mut Out) {
        let tracker = &self.router.tracker;
        let (rewrite, towards) = (tracker.rewrite(hit.conn, hit.direction), tracker.towards(hit.conn, hit.direction));
        let (Some(rewrite), Some(zone)) = (rewrite, towards) else {
            return self.drop_packet(DropReason::Invalid, packet, out);
        };
        if self.is_turned(hit) {
            let Some(packet) = self.judge_turn(rewrite.only_dst(), packet, out) else { return };
            return self.turn(packet, out, |packet| nat::translate(&mut packet.frame, &packet.headers, &rewrite));
        }
        let Some(dst) = rewrite.dst.map(|end| end.ip).or(packet.headers.key.dst()) else {
            return self.drop_packet(DropReason::NotRouted, packet, out);
        };
        let zone = self.redirected(zone, dst, &packet);
        let Some(packet) = self.enter_by(zone, &Tracked::Known(hit), packet, out) else { return };
        if self.is_gateway_of(zone, dst) {
            // A rule has redirected it.
            let Some(packet) = self.retarget(rewrite.only_dst(), packet, out) else { return };
            return self.answer_translated(None, rewrite.only_src(), packet, out);
        }
        let exit = match self.exit(zone, dst, &packet) {
            Ok(exit) => exit,
            Err((reason, trouble)) => return self.refuse(reason, trouble, packet, out),
        };
        let way = exit.with(Some((hit.conn, hit.direction)), rewrite);
        self.forward_judged(hit, way, packet, out);
    }

    /// Sends on a packet of a connection that stays on its link, as it is.
    pub(super) fn carry_bridged(&mut self, hit: Option<Hit>, way: Way, packet: Packet, out: &mut Out) {
        match hit {
            Some(hit) => {
                let change = Change::bridged(Some((hit.conn, hit.direction)));
                self.forward_judged(hit, (way, change), packet, out);
            }
            None => {
                if let Some(packet) = self.forwarding(way.0, packet, out) {
                    self.emit(packet.from, way.0, packet.frame, &packet.headers, out);
                }
            }
        }
    }

    /// Lets a packet meet the rules on its way out, and sends it on.
    fn forward_judged(&mut self, hit: Hit, way: (Way, Change), packet: Packet, out: &mut Out) {
        let cacheable = hit.state == State::Established && packet.headers.fragment == Fragment::Whole;
        if packet.passage.is_none() {
            return self.forward_changed(way, cacheable, packet, out);
        }
        let (way, change) = way;
        let (key, mut rest) = (packet.headers.key, change.clone());
        rest.rewrite = change.rewrite.only_src();
        let dst = change.rewrite.only_dst();
        let Some(mut packet) = self.judge_out(way.0, change.next_mtu(), dst, packet, out) else { return };
        rest.leave(&mut packet);
        // The packet keeps its passage: what is said of it if it is too long must be about what was sent.
        let passage = packet.passage.as_ref();
        if let Some(passage) = passage.filter(|passage| passage.steady && cacheable && !is_marked(&packet)) {
            let judged = Some(passage.marks.clone().into_boxed_slice());
            self.remember_changed(key, (way, Change { judged, ..change }), &packet);
        }
        self.change(way.0, &rest, packet, out);
    }

    /// Lets a packet meet the rules on its way out: a hop older, with its new destination, and its old source.
    pub(super) fn judge_out(
        &mut self,
        egress: Egress,
        next_mtu: Option<u32>,
        rewrite: Rewrite,
        packet: Packet,
        out: &mut Out,
    ) -> Option<Packet> {
        let packet = self.retarget(rewrite, packet, out)?;
        let packet = match next_mtu {
            Some(mtu) => self.hop(mtu, packet, out)?,
            None => packet,
        };
        self.forwarding(egress, packet, out)
    }

    /// Gives a packet its new destination. `None`: that could not be done.
    pub(super) fn retarget(&mut self, rewrite: Rewrite, mut packet: Packet, out: &mut Out) -> Option<Packet> {
        if !rewrite.is_empty()
            && (nat::translate(&mut packet.frame, &packet.headers, &rewrite).is_err() || !packet.parse_again())
        {
            self.drop_packet(DropReason::Untranslatable, packet, out);
            return None;
        }
        Some(packet)
    }

    /// Takes a hop off a packet's life before it meets rules, as the kernel does. `None`: it was its last, or the next link
    /// is too narrow for it.
    fn hop(&mut self, mtu: u32, mut packet: Packet, out: &mut Out) -> Option<Packet> {
        if !is_last_hop(&packet) && is_stuck(&packet, mtu) {
            self.refuse(DropReason::TooBig, Some(Trouble::TooBig { mtu }), packet, out);
            return None;
        }
        if nat::decrement_ttl(&mut packet.frame, &packet.headers).is_err() {
            self.refuse(DropReason::TimeExceeded, Some(Trouble::TimeExceeded), packet, out);
            return None;
        }
        Some(packet)
    }

    /// Sends on a packet that belongs to no connection, as it is, if rules let it through.
    pub(super) fn carry_unknown(&mut self, zone: Zone, dst: IpAddr, packet: Packet, out: &mut Out) {
        if !nat::ipv4_header_is_sound(packet.frame.bytes(), &packet.headers) {
            return self.drop_packet(DropReason::Malformed, packet, out);
        }
        match self.exit(zone, dst, &packet) {
            Ok(exit) => self.carry_once(exit, packet, out, |_| Ok(())),
            Err((reason, trouble)) => self.refuse(reason, trouble, packet, out),
        }
    }

    /// Sends on a packet of which nothing is remembered, changed at the last moment.
    fn carry_once(
        &mut self,
        exit: Exit,
        packet: Packet,
        out: &mut Out,
        change: impl FnOnce(&mut Packet) -> Result<(), nat::Untranslatable>,
    ) {
        let Some(packet) = self.hop(exit.mtu, packet, out) else { return };
        let Some(mut packet) = self.forwarding(exit.egress, packet, out) else { return };
        if change(&mut packet).is_err() {
            return self.drop_packet(DropReason::Untranslatable, packet, out);
        }
        self.leave_by(exit, packet, out);
    }

    /// Sends a packet out as it is.
    pub(super) fn leave_by(&mut self, exit: Exit, mut packet: Packet, out: &mut Out) {
        wire::set_link(&mut packet.frame, exit.src, exit.dst);
        self.emit(packet.from, exit.egress, packet.frame, &packet.headers, out);
    }

    /// Whether a packet that leaves is for the public end of another container's mapping (RFC 4787 REQ-9).
    fn is_turned(&self, hit: Hit) -> bool {
        let tracker = &self.router.tracker;
        tracker.towards(hit.conn, hit.direction) == Some(Zone::OUTSIDE)
            && tracker.tuple(hit.conn, hit.direction).is_some_and(|tuple| {
                let to = tracker.rewrite(hit.conn, hit.direction).and_then(|rewrite| rewrite.dst);
                self.router.is_mapping(&aimed(&tuple, to))
            })
    }

    /// Sends a packet on where it was decided, and remembers that if it may.
    pub(super) fn forward_changed(&mut self, way: (Way, Change), cacheable: bool, packet: Packet, out: &mut Out) {
        if !cacheable {
            return self.change(way.0.0, &way.1, packet, out);
        }
        self.remember_changed(packet.headers.key, way.clone(), &packet);
        self.change(way.0.0, &way.1, packet, out);
    }

    fn remember_changed(&mut self, key: FlowKey, ((egress, dst), change): (Way, Change), packet: &Packet) {
        // A flow key tells TCP and UDP connections apart; others have identifiers that it does not hold.
        let tells = matches!(key.protocol(), protocol::TCP | protocol::UDP);
        if !tells || packet.headers.fragment != Fragment::Whole {
            return;
        }
        let src = self.source_stamp(packet.from, &key);
        let mut flow = Flow::new(key, egress, self.epoch, src, dst, packet.now);
        flow.change = Some(Box::new(change));
        self.flows.insert(flow);
    }

    fn source_stamp(&self, from: PortId, key: &FlowKey) -> Stamp {
        let bridge = self.ports.get(&from).and_then(|port| self.bridges.get(&port.settings.bridge));
        let slot = bridge.and_then(|bridge| bridge.sender(from, key));
        slot.map_or(Stamp::NONE, |slot| self.stations.stamp(slot))
    }

    /// Tells a cached flow's connection of a packet, and what it says.
    fn advance(&mut self, change: &Change, packet: &Packet) -> Advance {
        // What does not live to see the hooks behind routing is counted before them only.
        let ends_here = |mtu| is_last_hop(packet) || is_stuck(packet, mtu);
        if change.judged.is_some() && (is_marked(packet) || change.next_mtu().is_some_and(ends_here)) {
            return Advance::Again;
        }
        let Some((conn, direction)) = change.conn else { return Advance::Pass(State::Established) };
        self.router.tracker.advance(packet.now, conn, direction, &packet.frame, &packet.headers)
    }

    /// Takes a packet of a cached flow that changes it. Gives it back if it is to be looked at anew.
    pub(crate) fn replay(&mut self, at: u32, packet: Packet, out: &mut Out) -> Option<Packet> {
        // Taken out for as long as it is needed: that is cheaper than a copy.
        let Some((egress, change)) = self.flows.get_mut(at).and_then(|flow| Some((flow.egress, flow.change.take()?)))
        else {
            return Some(packet);
        };
        let advance = self.advance(&change, &packet);
        let again = match advance {
            Advance::Pass(_) => {
                let len = packet.headers.end.saturating_sub(u32::from(packet.headers.l3));
                let one = Counters { packets: 1, bytes: u64::from(len) };
                self.filters.credit(change.judged.as_deref().unwrap_or_default(), one);
                self.change(egress, &change, packet, out);
                None
            }
            // What makes no sense is for rules to refuse.
            Advance::Invalid(_) if change.judged.is_some() => Some(packet),
            Advance::Invalid(_) => {
                self.drop_packet(DropReason::Invalid, packet, out);
                None
            }
            Advance::Again => Some(packet),
        };
        if let Some(flow) = self.flows.get_mut(at) {
            flow.change = Some(change);
        }
        again
    }

    pub(super) fn change(&mut self, egress: Egress, change: &Change, mut packet: Packet, out: &mut Out) {
        if is_longer(&packet, change.mtu) {
            return self.too_big(egress, change, packet, out);
        }
        if change.hop.is_some() && nat::decrement_ttl(&mut packet.frame, &packet.headers).is_err() {
            return self.refuse(DropReason::TimeExceeded, Some(Trouble::TimeExceeded), packet, out);
        }
        if nat::translate(&mut packet.frame, &packet.headers, &change.rewrite).is_err() {
            return self.drop_packet(DropReason::Untranslatable, packet, out);
        }
        if let Some((src, dst)) = change.hop {
            wire::set_link(&mut packet.frame, src, dst);
        }
        self.emit(packet.from, egress, packet.frame, &packet.headers, out);
    }

    /// Splits what may be split, and says of the rest what would fit.
    fn too_big(&mut self, egress: Egress, change: &Change, packet: Packet, out: &mut Out) {
        let mut pieces = Vec::new();
        if wire::fragment::split(&packet.frame, &packet.headers, change.mtu as usize, &mut out.pool, &mut pieces)
            .is_err()
        {
            let trouble = Trouble::TooBig { mtu: change.mtu };
            return self.refuse(DropReason::TooBig, Some(trouble), packet, out);
        }
        out.pool.put(packet.frame);
        for piece in pieces {
            let (now, from) = (packet.now, packet.from);
            match parse(piece.bytes()) {
                Ok(headers) => self.change(egress, change, Packet::new(now, from, piece, headers), out),
                Err(_) => self.discard(from, DropReason::Malformed, piece, out),
            }
        }
    }

    /// Sends on an ICMP error about a connection, with what it quotes translated back.
    pub(super) fn carry_error(&mut self, hit: Hit, mut packet: Packet, out: &mut Out) {
        let tracker = &self.router.tracker;
        let (rewrites, towards) =
            (tracker.rewrite_error(hit.conn, hit.direction), tracker.towards(hit.conn, hit.direction));
        let (Some((outer, inner)), Some(zone)) = (rewrites, towards) else {
            return self.drop_packet(DropReason::Invalid, packet, out);
        };
        let translate = |packet: &mut Packet, outer: Rewrite, inner: Rewrite| {
            nat::translate_error(&mut packet.frame, &packet.headers, &outer, &inner)
        };
        if self.is_turned(hit) {
            if packet.passage.is_none() {
                return self.turn(packet, out, |packet| translate(packet, outer, inner));
            }
            if translate(&mut packet, outer.only_dst(), inner.only_src()).is_err() || !packet.parse_again() {
                return self.drop_packet(DropReason::Untranslatable, packet, out);
            }
            let Some(packet) = self.judge_turn(Rewrite::default(), packet, out) else { return };
            return self.turn(packet, out, |packet| translate(packet, outer.only_src(), inner.only_dst()));
        }
        let Some(dst) = outer.dst.map(|end| end.ip).or(packet.headers.key.dst()) else {
            return self.drop_packet(DropReason::NotRouted, packet, out);
        };
        let zone = self.redirected(zone, dst, &packet);
        let Some(mut packet) = self.enter_by(zone, &Tracked::Related(hit), packet, out) else { return };
        // Rules see its new destination and its old source, here too; what it quotes went the other way.
        if translate(&mut packet, outer.only_dst(), inner.only_src()).is_err() || !packet.parse_again() {
            return self.drop_packet(DropReason::Untranslatable, packet, out);
        }
        if self.is_gateway_of(zone, dst) {
            return self.answer_as_gateway(None, packet, out);
        }
        let exit = match self.exit(zone, dst, &packet) {
            Ok(exit) => exit,
            // No error about an error.
            Err((reason, _)) => return self.drop_packet(reason, packet, out),
        };
        self.carry_once(exit, packet, out, |packet| translate(packet, outer.only_src(), inner.only_dst()));
    }

    /// The datagram that a packet begins, if fragments may wait for it.
    pub(super) fn first_of(&self, zone: Zone, packet: &Packet) -> Option<Datagram> {
        let router = &self.router;
        if router.held.is_empty() { None } else { router.tracker.datagram(zone, &packet.frame, &packet.headers) }
    }

    /// Keeps a later fragment until its first comes; `way` is where it goes then, if that is known.
    pub(super) fn hold(&mut self, datagram: Datagram, way: Option<(BridgeId, Way)>, mut packet: Packet, out: &mut Out) {
        packet.passage = None;
        if let Err((packet, _)) = self.router.held.hold(packet.now, datagram, (packet, way)) {
            self.drop_packet(DropReason::FirstMissing, packet, out);
        }
    }

    /// Takes up the fragments that waited for a first one, if this packet was it.
    pub(super) fn release(&mut self, now: Time, first: Option<Datagram>, out: &mut Out) {
        let Some(datagram) = first else { return };
        let mut waiting = Vec::new();
        self.router.held.release(&datagram, &mut waiting);
        for (packet, way) in waiting {
            match way {
                Some((id, way)) => self.take_bridged(id, way, Packet { now, ..packet }, out),
                None => self.take_again(now, packet.from, packet.frame, out),
            }
        }
    }
}

/// Whether a packet, or a segment of a super-frame, is longer than that.
fn is_longer(packet: &Packet, mtu: u32) -> bool {
    let room = mtu as usize + usize::from(packet.headers.l3);
    packet.frame.len() > room && wire::segment_len(&packet.frame, &packet.headers) > room
}

/// Whether a packet is longer than that and may not be split.
fn is_stuck(packet: &Packet, mtu: u32) -> bool {
    is_longer(packet, mtu) && !wire::fragment::may_split(&packet.frame, &packet.headers)
}

/// Whether a packet has no hop left.
fn is_last_hop(packet: &Packet) -> bool {
    packet.frame.bytes().get(ttl_at(&packet.headers)).is_none_or(|&ttl| ttl <= 1)
}

/// Whether a packet is a TCP segment that begins or ends something, or has IPv6 extension headers: rules may ask for these.
fn is_marked(packet: &Packet) -> bool {
    if packet.headers.has_extensions() {
        return true;
    }
    let flags = packet.frame.bytes().get(usize::from(packet.headers.l4) + 13);
    packet.headers.key.protocol() == protocol::TCP && flags.is_none_or(|flags| flags & MARKED != 0)
}
