//! Forwarding: from a destination address to a place, or to everybody.

use hashbrown::HashMap;
use wire::{FlowKey, Mac};

use crate::bridge::Bridge;
use crate::flow::Egress;
use crate::station::{Spot, Stamp, Stations};
use crate::switch::PortState;
use crate::{BridgeId, DropReason, PortId};

/// What becomes of a frame.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes to one place; the stamp is of the station there.
    Output(Egress, Stamp),
    /// It goes to everybody else in the network.
    Flood,
    /// It is for the gateway of this network.
    Route(BridgeId),
    /// It goes to one place in this network, if rules let it.
    Judge(BridgeId, Egress, Stamp),
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
    let station = if dst.is_group() { None } else { bridge.fdb.get(&dst).and_then(|slot| stations.get(*slot)) };
    match (from, station.map(|station| station.spot)) {
        (_, None) => Verdict::Flood,
        (from, Some(to)) if from == to => Verdict::Drop(DropReason::SamePort),
        // What came from one VTEP never leaves to another (split horizon): every host reaches every other itself.
        (Spot::Tunnel(_), Some(Spot::Tunnel(_))) => Verdict::Drop(DropReason::SamePort),
        _ => match towards(bridge, stations, ports, dst, key) {
            Ok((egress, stamp)) => Verdict::Output(egress, stamp),
            Err(reason) => Verdict::Drop(reason),
        },
    }
}

/// The way to a station of the network, wherever the frame comes from.
pub(crate) fn towards(
    bridge: &Bridge,
    stations: &Stations,
    ports: &HashMap<PortId, PortState>,
    dst: Mac,
    key: &FlowKey,
) -> Result<(Egress, Stamp), DropReason> {
    let slot = *bridge.fdb.get(&dst).ok_or(DropReason::NobodyThere)?;
    let egress = match stations.get(slot).ok_or(DropReason::NobodyThere)?.spot {
        // A row that names a port of another network must not open a way there.
        Spot::Port(port) if ports.get(&port).is_none_or(|port| port.settings.bridge != bridge.id) => {
            return Err(DropReason::NoNetwork);
        }
        Spot::Port(port) => Egress::Port(port),
        Spot::Tunnel(vtep) => {
            let vni = bridge.settings.vni.ok_or(DropReason::NobodyThere)?;
            Egress::Tunnel { vtep, vni, lane: lane(key), max_len: max_len(bridge) }
        }
    };
    Ok((egress, stations.stamp(slot)))
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
