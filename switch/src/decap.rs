//! Frames from other hosts: checked, decided like local ones, and joined into super-frames again.
//! Nothing is learned, answered or delivered before the datagram proved to be of a known network and VTEP.

use vxlan::{Congestion, VtepId};
use wire::{Frame, Headers, Layer3, Offload, Push, Time, checksum, parse};

use crate::flow::Egress;
use crate::forward::{Verdict, forward, listeners};
use crate::gateway::Packet;
use crate::pipeline::Hit;
use crate::station::{Origin, Spot, Stamp};
use crate::vlan::UNTAGGED;
use crate::{BridgeId, Datagram, DropReason, Out, PortId, Switch, admit};

/// Marks the ingress of a flow key as a tunnel: VNI above, VTEP number below.
const TUNNEL: u64 = 1 << 63;

/// What the segments of the frame under construction have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    port: PortId,
    vtep: VtepId,
    outer_ecn: u8,
    header: [u8; vxlan::HEADER_LEN],
    /// The flow that decided the first one, if it is in the cache.
    flow: Option<u32>,
}

impl Switch {
    /// Takes datagrams from the underlay; what comes of them is added to `out`. Pauses when [`Out::is_full`]: what `datagrams`
    /// still yields is for another call after `out` was emptied.
    pub fn decapsulate<'a>(&mut self, now: Time, datagrams: impl Iterator<Item = Datagram<'a>>, out: &mut Out) {
        for datagram in datagrams {
            let vtep = self.vteps.get(&datagram.from);
            if datagram.bytes.is_empty() {
                self.counters.drop(DropReason::NotVxlan);
            }
            for bytes in datagram.bytes.chunks(datagram.segment.max(1)) {
                if self.continues(vtep, datagram.ecn, bytes, out) {
                    continue;
                }
                if let Err(reason) = self.inner(now, vtep, datagram.ecn, bytes, out) {
                    self.counters.drop(reason);
                }
            }
            if out.is_full() {
                break;
            }
        }
        self.flush_joined(out);
    }

    /// Takes a segment that continues the frame under construction, as most of a bulk transfer do: it needs neither parse
    /// nor look-up, because no table changes between two segments of one call.
    #[inline]
    fn continues(&mut self, vtep: Option<VtepId>, outer_ecn: u8, datagram: &[u8], out: &mut Out) -> bool {
        let Some(run) = self.run else { return false };
        let Some((header, bytes)) = datagram.split_first_chunk() else { return false };
        if Some(run.vtep) != vtep || run.outer_ecn != outer_ecn || run.header != *header {
            return false;
        }
        match self.joiner.push_next(bytes, &mut out.pool) {
            Some(Push::Taken) => {}
            Some(Push::Full(frame)) => {
                self.run = None;
                out.frames.push((run.port, frame));
            }
            Some(Push::Flushed(Some(frame))) => {
                self.run = None;
                out.frames.push((run.port, frame));
                return false;
            }
            Some(Push::Flushed(None) | Push::BadChecksum) | None => return false,
        }
        if let Some(flow) = run.flow.and_then(|at| self.flows.get_mut(at)) {
            flow.frames += 1;
            flow.bytes += bytes.len() as u64;
        }
        self.counters.hits += 1;
        self.counters.joined += 1;
        true
    }

    fn inner(
        &mut self,
        now: Time,
        vtep: Option<VtepId>,
        outer_ecn: u8,
        datagram: &[u8],
        out: &mut Out,
    ) -> Result<(), DropReason> {
        let (vni, bytes) = vxlan::decode(datagram).map_err(|_| DropReason::NotVxlan)?;
        let id = *self.by_vni.get(&vni).ok_or(DropReason::UnknownVni)?;
        let vtep = vtep.ok_or(DropReason::UnknownVtep)?;
        let mut headers = parse(bytes).map_err(|_| DropReason::InnerMalformed)?;
        if headers.tag.is_some() {
            return Err(DropReason::TunnelTag);
        }
        headers.key.set_ingress(TUNNEL | u64::from(vni) << 32 | u64::from(vtep.0));
        let verdict = match self.hit(now, &headers, bytes.len()) {
            Some(Hit::Plain(egress)) => Verdict::Output(egress, Stamp::NONE),
            _ => self.walk_inner(now, id, vtep, &headers)?,
        };
        match (verdict, congestion(bytes, &headers, outer_ecn)) {
            (_, Congestion::Drop) => Err(DropReason::Congestion),
            (Verdict::Drop(reason), _) => Err(reason),
            (Verdict::Output(Egress::Port(port), _), Congestion::Keep) => {
                let header = *datagram.first_chunk().ok_or(DropReason::NotVxlan)?;
                let flow = self.flows.find(&headers.key);
                self.deliver(id, Run { port, vtep, outer_ecn, header, flow }, bytes, &headers, out)
            }
            (Verdict::Output(Egress::Port(port), _), Congestion::Set(ecn)) => {
                self.flush_joined(out);
                let offload = self.offload(id, bytes, &headers)?;
                let frame = copy(bytes, &headers, offload, Some(ecn), out);
                out.frames.push((port, frame));
                Ok(())
            }
            (Verdict::Output(Egress::Tunnel { .. }, _), _) => Err(DropReason::SamePort),
            // What has no tag, in the untagged network, gets none.
            (Verdict::Output(Egress::Retagged { .. }, _), _) => Err(DropReason::TunnelTag),
            (Verdict::Judge(id, egress, stamp), congestion) => {
                let ecn = if let Congestion::Set(ecn) = congestion { Some(ecn) } else { None };
                self.flush_joined(out);
                let offload = self.offload(id, bytes, &headers)?;
                let frame = copy(bytes, &headers, offload, ecn, out);
                let packet = Packet::new(now, PortId::TUNNEL, frame, headers);
                self.judge_inner(id, (egress, stamp), packet, out);
                Ok(())
            }
            // Every host has its own gateway.
            (Verdict::Route(_), _) => Err(DropReason::NotRouted),
            (Verdict::Flood, congestion) => {
                let ecn = if let Congestion::Set(ecn) = congestion { Some(ecn) } else { None };
                self.flood_inner(now, (id, vtep), bytes, headers, ecn, out)
            }
        }
    }

    fn walk_inner(&mut self, now: Time, id: BridgeId, vtep: VtepId, headers: &Headers) -> Result<Verdict, DropReason> {
        self.counters.misses += 1;
        let bridge = self.bridges.get_mut(&id).ok_or(DropReason::UnknownVni)?;
        if !bridge.peers.contains(&vtep) {
            return Err(DropReason::UnknownVtep);
        }
        admit::link(headers)?;
        let src = headers.key.src_mac();
        // What another host's gateway has routed comes from the gateway, which is here as well.
        let gateway = bridge.settings.gateway.as_ref().map(|gateway| gateway.mac);
        if gateway == Some(headers.key.dst_mac()) {
            return Ok(Verdict::Route(id));
        }
        let known = bridge.fdb.get(&src).and_then(|slot| self.stations.get(*slot));
        if known.is_some_and(|s| s.origin != Origin::Learned && matches!(s.spot, Spot::Port(_))) {
            return Err(DropReason::SourceHere);
        }
        let src = match gateway == Some(src) {
            true => None,
            false => bridge.learn(&mut self.stations, (UNTAGGED, src), Spot::Tunnel(vtep), now),
        };
        let verdict = forward(bridge, &self.stations, &self.ports, (Spot::Tunnel(vtep), UNTAGGED), &headers.key);
        match verdict {
            Verdict::Output(egress, dst)
                if self.filters.apply_to(id) && matches!(headers.layer3, Layer3::Ipv4 | Layer3::Ipv6) =>
            {
                return Ok(Verdict::Judge(id, egress, dst));
            }
            Verdict::Output(egress, dst) => self.remember(now, headers, egress, src, dst),
            _ => {}
        }
        Ok(verdict)
    }

    /// Lets rules judge a frame from another host. Such frames go on one by one: what is joined is decided as one.
    fn judge_inner(&mut self, id: BridgeId, way: (Egress, Stamp), mut packet: Packet, out: &mut Out) {
        if let Some(at) = self.flows.find(&packet.headers.key).filter(|at| self.is_current(*at)) {
            match self.replay(at, packet, out) {
                Some(again) => packet = again,
                None => return,
            }
        }
        self.take_bridged(id, way, packet, out);
    }

    /// Hands a frame to one port, joined with its neighbours in the run where that is possible.
    fn deliver(
        &mut self,
        id: BridgeId,
        run: Run,
        bytes: &[u8],
        headers: &Headers,
        out: &mut Out,
    ) -> Result<(), DropReason> {
        let port = run.port;
        if self.run.is_some_and(|held| held.port != port) {
            self.flush_joined(out);
        }
        let mut refused = false;
        // Twice: the first answer may be the frame that had to leave before this segment.
        for _ in 0..2 {
            let held = self.joiner.key().is_some();
            match self.joiner.push(bytes, headers, &mut out.pool) {
                Push::Taken => {
                    self.run = Some(run);
                    self.counters.joined += u64::from(held);
                    return Ok(());
                }
                Push::Full(frame) => {
                    self.run = None;
                    self.counters.joined += u64::from(held);
                    out.frames.push((port, frame));
                    return Ok(());
                }
                Push::Flushed(Some(frame)) => {
                    self.run = None;
                    out.frames.push((port, frame));
                }
                Push::Flushed(None) => break,
                Push::BadChecksum => {
                    self.flush_joined(out);
                    refused = true;
                    break;
                }
            }
        }
        let offload = self.offload(id, bytes, headers)?;
        // The joiner has looked at the IPv4 header's checksum as well.
        if refused && offload == Offload::VALID {
            return Err(DropReason::InnerChecksum);
        }
        let frame = copy(bytes, headers, offload, None, out);
        out.frames.push((port, frame));
        Ok(())
    }

    /// What is known about the checksum of a frame that is passed on alone. A wrong one drops the frame, unless it is the
    /// partial one that a Linux sender leaves when no device on the way completes it (veth): that goes on as such.
    fn offload(&mut self, id: BridgeId, bytes: &[u8], headers: &Headers) -> Result<Offload, DropReason> {
        match checksum::verify_transport(bytes, headers) {
            Some(true) => return Ok(Offload::VALID),
            None => return Ok(Offload::NONE),
            Some(false) if !checksum::is_partial(bytes, headers) => return Err(DropReason::InnerChecksum),
            Some(false) => {}
        }
        let mtu = self.bridges.get(&id).map_or(0, |bridge| bridge.settings.mtu);
        let offload = wire::infer_offload(headers, mtu).ok_or(DropReason::InnerSuperFrame)?;
        self.counters.partial += 1;
        Ok(offload)
    }

    fn flood_inner(
        &mut self,
        now: Time,
        (id, vtep): (BridgeId, VtepId),
        bytes: &[u8],
        headers: Headers,
        ecn: Option<u8>,
        out: &mut Out,
    ) -> Result<(), DropReason> {
        self.flush_joined(out);
        let bridge = self.bridges.get(&id).ok_or(DropReason::UnknownVni)?;
        let listeners = listeners(bridge, (Spot::Tunnel(vtep), UNTAGGED), &headers.key);
        if listeners.is_empty() {
            return Err(DropReason::NobodyThere);
        }
        let offload = self.offload(id, bytes, &headers)?;
        let frame = copy(bytes, &headers, offload, ecn, out);
        let packet = Packet::new(now, PortId::TUNNEL, frame, headers);
        // Rules have counted what they drop.
        let Some(packet) = self.judge_copies(id, packet, out) else { return Ok(()) };
        self.counters.floods += 1;
        for egress in listeners {
            let Egress::Port(port) = egress else { continue };
            let frame = out.pool.duplicate(&packet.frame);
            out.frames.push((port, frame));
        }
        out.pool.put(packet.frame);
        Ok(())
    }

    fn flush_joined(&mut self, out: &mut Out) {
        let frame = self.joiner.flush();
        if let (Some(frame), Some(run)) = (frame, self.run.take()) {
            out.frames.push((run.port, frame));
        }
    }
}

/// What the outer mark means for the inner packet; nothing for a frame without IP.
fn congestion(bytes: &[u8], headers: &Headers, outer: u8) -> Congestion {
    if outer == 0 {
        return Congestion::Keep;
    }
    match wire::ecn(bytes, headers) {
        Some(inner) => vxlan::merge(inner, outer),
        None => Congestion::Keep,
    }
}

/// A copy of the frame, with its ECN bits set to `ecn` if that is given.
fn copy(bytes: &[u8], headers: &Headers, offload: Offload, ecn: Option<u8>, out: &mut Out) -> Frame {
    let mut frame = out.pool.get();
    frame.fill(bytes);
    frame.offload = offload;
    if let Some(ecn) = ecn {
        wire::set_ecn(frame.bytes_mut(), headers, ecn);
    }
    frame
}
