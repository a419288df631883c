//! Forwarding: from a destination address to a place, or to everybody.

use hashbrown::HashMap;
use wire::FlowKey;

use crate::bridge::Bridge;
use crate::flow::Egress;
use crate::station::{Spot, Stamp, Stations};
use crate::switch::PortState;
use crate::{DropReason, PortId};

/// What becomes of a frame.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes to one place; the stamp is of the station there.
    Output(Egress, Stamp),
    /// It goes to everybody else in the network.
    Flood,
    /// It goes nowhere.
    Drop(DropReason),
}

/// Where a frame for `dst` goes that came from `from`.
pub(crate) fn forward(
    bridge: &Bridge,
    stations: &Stations,
    ports: &HashMap<PortId, PortState>,
    from: Spot,
    key: &FlowKey,
) -> Verdict {
    let dst = key.dst_mac();
    let slot = if dst.is_group() { None } else { bridge.fdb.get(&dst).copied() };
    let Some((slot, station)) = slot.and_then(|slot| Some((slot, stations.get(slot)?))) else { return Verdict::Flood };
    let egress = match (from, station.spot) {
        (from, to) if from == to => return Verdict::Drop(DropReason::SamePort),
        // A row that names a port of another network must not open a way there.
        (_, Spot::Port(port)) if ports.get(&port).is_none_or(|port| port.settings.bridge != bridge.id) => {
            return Verdict::Drop(DropReason::NoNetwork);
        }
        (_, Spot::Port(port)) => Egress::Port(port),
        // What came from one VTEP never leaves to another (split horizon): every host reaches every other itself.
        (Spot::Tunnel(_), Spot::Tunnel(_)) => return Verdict::Drop(DropReason::SamePort),
        (Spot::Port(_), Spot::Tunnel(vtep)) => match bridge.settings.vni {
            Some(vni) => Egress::Tunnel { vtep, vni, lane: lane(key), max_len: max_len(bridge) },
            None => return Verdict::Drop(DropReason::NobodyThere),
        },
    };
    Verdict::Output(egress, stations.stamp(slot))
}

/// Everybody who hears a flood from `from`.
pub(crate) fn listeners(bridge: &Bridge, from: Spot, key: &FlowKey) -> Vec<Egress> {
    let ports = bridge.ports.iter().filter(|port| Spot::Port(**port) != from).map(|port| Egress::Port(*port));
    let replicated = matches!(from, Spot::Port(_)).then_some(bridge.settings.vni).flatten();
    let peers = replicated.into_iter().flat_map(|vni| bridge.peers.iter().map(move |peer| (vni, *peer)));
    let (lane, max_len) = (lane(key), max_len(bridge));
    ports.chain(peers.map(|(vni, vtep)| Egress::Tunnel { vtep, vni, lane, max_len })).collect()
}

/// Frames of one lane leave by one source port. 1,024 of them spread flows well over the paths of an underlay.
fn lane(key: &FlowKey) -> u32 {
    key.entropy() % 1_024
}

fn max_len(bridge: &Bridge) -> u32 {
    u32::from(bridge.settings.mtu) + 14
}
