//! One frame's life: parse once; a hit in the flow cache decides it; a miss walks the stages and caches what they decided.

use wire::{Fragment, Frame, Headers, Layer3, Time, parse, protocol};

use crate::flow::{Egress, Flow};
use crate::forward::{Verdict, forward, listeners};
use crate::gateway::{Packet, zone_of};
use crate::police::{Storm, packets};
use crate::station::{Spot, Stamp};
use crate::{DropReason, Out, PortId, Switch, admit, neighbour};

/// What the flow cache says about a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hit {
    /// It goes there as it is.
    Plain(Egress),
    /// The flow in this slot says what changes about it.
    Changed(u32),
}

impl Switch {
    /// Takes the frames that a port received; what comes of them is added to `out`. Pauses when [`Out::is_full`]: `batch`
    /// then holds the rest, for another call after `out` was emptied.
    pub fn process(&mut self, now: Time, from: PortId, batch: &mut Vec<Frame>, out: &mut Out) {
        self.warm(from, batch);
        let (mut taken, mut bytes) = (0, 0);
        let policed = self.is_policed(from);
        let mut frames = batch.drain(..);
        for frame in frames.by_ref() {
            taken += 1;
            bytes += frame.len() as u64;
            if policed && !self.within_rate(now, from, &frame) {
                self.discard(from, DropReason::RateExceeded, frame, out);
                continue;
            }
            self.take(now, from, frame, out);
            if out.is_full() {
                break;
            }
        }
        let rest: Vec<Frame> = frames.collect();
        batch.extend(rest);
        if let Some(port) = self.ports.get_mut(&from) {
            port.rx.frames += taken;
            port.rx.bytes += bytes;
        }
    }

    fn take(&mut self, now: Time, from: PortId, frame: Frame, out: &mut Out) {
        match from {
            PortId::HOST => self.take_outside(now, frame, out),
            _ => self.take_local(now, from, frame, false, out),
        }
    }

    /// Takes a frame that had to wait, and was counted when it came.
    pub(crate) fn take_again(&mut self, now: Time, from: PortId, frame: Frame, out: &mut Out) {
        match from {
            PortId::HOST => self.take_outside(now, frame, out),
            _ => self.take_local(now, from, frame, true, out),
        }
    }

    fn take_local(&mut self, now: Time, from: PortId, mut frame: Frame, counted: bool, out: &mut Out) {
        let mut headers = match parse(frame.bytes()) {
            Ok(headers) => headers,
            Err(_) => return self.discard(from, DropReason::Malformed, frame, out),
        };
        if let Err(reason) = admit::offload(frame.offload, &headers) {
            return self.discard(from, reason, frame, out);
        }
        headers.key.set_ingress(u64::from(from.0));
        match self.hit(now, &headers, frame.len()) {
            Some(Hit::Plain(Egress::Port(port))) => return out.frames.push((port, frame)),
            Some(Hit::Plain(egress)) => return self.emit(from, egress, frame, &headers, out),
            Some(Hit::Changed(at)) => match self.replay(at, Packet::new(now, from, frame, headers), out) {
                Some(again) => frame = again.frame,
                None => return,
            },
            None => {}
        }
        match self.walk(now, from, &frame, &headers, out) {
            Some(Verdict::Output(egress, _)) => self.emit(from, egress, frame, &headers, out),
            Some(Verdict::Flood) => {
                let kind = Storm::of(headers.key.dst_mac());
                if !counted && let Err(reason) = self.within_storm(now, from, kind, packets(&frame, &headers)) {
                    return self.discard(from, reason, frame, out);
                }
                if let Some(packet) = self.judge_flood(Packet::new(now, from, frame, headers), out) {
                    self.flood(from, packet.frame, &headers, out);
                }
            }
            Some(Verdict::Route(bridge)) => self.take_inside(bridge, Packet::new(now, from, frame, headers), out),
            Some(Verdict::Judge(bridge, egress, dst)) => {
                self.take_bridged(bridge, (egress, dst), Packet::new(now, from, frame, headers), out);
            }
            Some(Verdict::Drop(reason)) => self.discard(from, reason, frame, out),
            None => out.pool.put(frame),
        }
    }

    /// What a cached flow says about a frame, if there is a valid one.
    #[inline]
    pub(crate) fn hit(&mut self, now: Time, headers: &Headers, len: usize) -> Option<Hit> {
        let at = self.flows.find(&headers.key)?;
        let (epoch, stations) = (self.epoch, &self.stations);
        let flow = self.flows.get_mut(at)?;
        if flow.epoch != epoch || !stations.is_current(flow.src) || !stations.is_current(flow.dst) {
            return None;
        }
        flow.count(now, len);
        self.counters.hits += 1;
        Some(if flow.change.is_none() { Hit::Plain(flow.egress) } else { Hit::Changed(at) })
    }

    /// Whether what a cached flow depends on is as it was.
    pub(crate) fn is_current(&self, at: u32) -> bool {
        self.flows.get(at).is_some_and(|flow| {
            flow.epoch == self.epoch && self.stations.is_current(flow.src) && self.stations.is_current(flow.dst)
        })
    }

    /// The stages, for a frame from a port: admit, answer, forward. `None`: it was answered here.
    fn walk(&mut self, now: Time, from: PortId, frame: &Frame, headers: &Headers, out: &mut Out) -> Option<Verdict> {
        self.counters.misses += 1;
        let Some(port) = self.ports.get(&from) else { return Some(Verdict::Drop(DropReason::NoNetwork)) };
        let Some(bridge) = self.bridges.get_mut(&port.settings.bridge) else {
            return Some(Verdict::Drop(DropReason::NoNetwork));
        };
        let admitted = admit::link(headers).and_then(|()| match &port.settings.guard {
            Some(guard) => admit::guard(guard, frame.bytes(), headers),
            None => Ok(()),
        });
        if let Err(reason) = admitted {
            return Some(Verdict::Drop(reason));
        }
        let vlan = match bridge.vlans.enter(from, &headers.key) {
            Ok(vlan) => vlan,
            Err(reason) => return Some(Verdict::Drop(reason)),
        };
        if bridge.is_gateway(headers.key.src_mac()) {
            return Some(Verdict::Drop(DropReason::Martian));
        }
        let bare = bridge.vlans.is_bare(from, &headers.key);
        let src = bridge.learn(&mut self.stations, (vlan, headers.key.src_mac()), Spot::Port(from), now);
        if let Some(reply) = neighbour::answer(bridge, (vlan, bare), frame.bytes(), headers, &mut out.pool) {
            self.counters.replies += 1;
            out.frames.push((from, reply));
            return None;
        }
        let id = bridge.id;
        if bridge.is_gateway(headers.key.dst_mac()) {
            return Some(if bare { Verdict::Route(id) } else { Verdict::Drop(DropReason::RoutedTag) });
        }
        let verdict = forward(bridge, &self.stations, &self.ports, (Spot::Port(from), vlan), &headers.key);
        if let Verdict::Output(egress, dst) = verdict {
            if self.filters.apply_to(id) && matches!(headers.layer3, Layer3::Ipv4 | Layer3::Ipv6) {
                return Some(Verdict::Judge(id, egress, dst));
            }
            let tracks = bare && self.router.tracks(id);
            if tracks && self.router.tracker.is_known(now, zone_of(id), frame, headers) {
                return Some(Verdict::Route(id));
            }
            // A key does not tell one datagram's fragments from another's.
            if !tracks || headers.fragment == Fragment::Whole {
                self.remember(now, headers, egress, src, dst);
            }
        }
        Some(verdict)
    }

    /// Caches a decision, unless the next frame with the same key may be decided otherwise.
    pub(crate) fn remember(&mut self, now: Time, headers: &Headers, egress: Egress, src: Option<u32>, dst: Stamp) {
        // ARP and ND are judged by their content.
        if headers.layer3 == Layer3::Arp || headers.key.protocol() == protocol::ICMPV6 {
            return;
        }
        let src = src.map_or(Stamp::NONE, |slot| self.stations.stamp(slot));
        self.flows.insert(Flow::new(headers.key, egress, self.epoch, src, dst, now));
    }

    fn flood(&mut self, from: PortId, frame: Frame, headers: &Headers, out: &mut Out) {
        let Some(bridge) = self.ports.get(&from).and_then(|port| self.bridges.get(&port.settings.bridge)) else {
            return self.discard(from, DropReason::NoNetwork, frame, out);
        };
        let Ok(vlan) = bridge.vlans.enter(from, &headers.key) else {
            return self.discard(from, DropReason::NotMember, frame, out);
        };
        let mut listeners = listeners(bridge, (Spot::Port(from), vlan), &headers.key);
        let Some(last) = listeners.pop() else { return self.discard(from, DropReason::NobodyThere, frame, out) };
        self.counters.floods += 1;
        for egress in listeners {
            let copy = out.pool.duplicate(&frame);
            self.emit(from, egress, copy, headers, out);
        }
        self.emit(from, last, frame, headers, out);
    }

    #[inline]
    pub(crate) fn emit(&mut self, from: PortId, egress: Egress, frame: Frame, headers: &Headers, out: &mut Out) {
        match egress {
            Egress::Port(port) => out.frames.push((port, frame)),
            Egress::Retagged { port, tag } => self.emit_retagged(from, (port, tag), frame, out),
            Egress::Tunnel { vtep, vni, lane, max_len } => {
                let outcome = if headers.tag.is_some() {
                    Err(DropReason::TunnelTag)
                } else if wire::segment_len(&frame, headers) > usize::from(max_len) {
                    Err(DropReason::TooBig)
                } else if let Some(to) = self.vteps.address(vtep) {
                    out.trains.push(to, lane.into(), vni, &frame, headers).map_err(|_| DropReason::BadOffload)
                } else {
                    Err(DropReason::UnknownVtep)
                };
                match outcome {
                    Ok(()) => out.pool.put(frame),
                    Err(reason) => self.discard(from, reason, frame, out),
                }
            }
        }
    }

    #[inline(never)]
    fn emit_retagged(&mut self, from: PortId, (port, tag): (PortId, Option<u16>), mut frame: Frame, out: &mut Out) {
        let fits = match tag {
            Some(tag) => wire::set_tag(&mut frame, tag),
            None => {
                wire::untag(&mut frame);
                true
            }
        };
        match fits {
            true => out.frames.push((port, frame)),
            false => self.discard(from, DropReason::TooBig, frame, out),
        }
    }

    pub(crate) fn discard(&mut self, from: PortId, reason: DropReason, frame: Frame, out: &mut Out) {
        self.counters.drop(reason);
        if let Some(port) = self.ports.get_mut(&from) {
            port.drops += 1;
        }
        out.pool.put(frame);
    }
}
