//! Forwarding: from a destination address to a place, or to everybody.

use hashbrown::HashMap;
use wire::{FlowKey, Mac};

use crate::bridge::Bridge;
use crate::flow::Egress;
use crate::station::{Spot, Stamp, Stations};
use crate::switch::PortState;
use crate::vlan::{Leave, UNTAGGED};
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

/// Where a frame in a VLAN goes that came from `from`.
pub(crate) fn forward(
    bridge: &Bridge,
    stations: &Stations,
    ports: &HashMap<PortId, PortState>,
    (from, vlan): (Spot, u16),
    key: &FlowKey,
) -> Verdict {
    let dst = key.dst_mac();
    let slot = if dst.is_group() { None } else { bridge.fdb.find(vlan, dst).copied() };
    match (from, slot.and_then(|slot| stations.get(slot)).map(|station| station.spot)) {
        (_, None) => Verdict::Flood,
        (from, Some(to)) if from == to => Verdict::Drop(DropReason::SamePort),
        // What came from one VTEP never leaves to another (split horizon): every host reaches every other itself.
        (Spot::Tunnel(_), Some(Spot::Tunnel(_))) => Verdict::Drop(DropReason::SamePort),
        _ => match way(bridge, stations, ports, slot, key) {
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
    way(bridge, stations, ports, bridge.fdb.get(&dst).copied(), key)
}

fn way(
    bridge: &Bridge,
    stations: &Stations,
    ports: &HashMap<PortId, PortState>,
    slot: Option<u32>,
    key: &FlowKey,
) -> Result<(Egress, Stamp), DropReason> {
    let slot = slot.ok_or(DropReason::NobodyThere)?;
    let station = stations.get(slot).ok_or(DropReason::NobodyThere)?;
    let egress = match station.spot {
        // A row that names a port of another network must not open a way there.
        Spot::Port(port) if ports.get(&port).is_none_or(|port| port.settings.bridge != bridge.id) => {
            return Err(DropReason::NoNetwork);
        }
        Spot::Port(port) => through(bridge, station.vlan, port, key)?,
        Spot::Tunnel(vtep) => {
            let vni = bridge.settings.vni.ok_or(DropReason::NobodyThere)?;
            Egress::Tunnel { vtep, vni, lane: lane(key), max_len: max_len(bridge) }
        }
    };
    Ok((egress, stations.stamp(slot)))
}

/// How a frame in a VLAN leaves by a port.
fn through(bridge: &Bridge, vlan: u16, port: PortId, key: &FlowKey) -> Result<Egress, DropReason> {
    Ok(match bridge.vlans.leave(vlan, key, port)? {
        Leave::AsIs => Egress::Port(port),
        Leave::Retagged(tag) => Egress::Retagged { port, tag },
    })
}

/// Everybody who hears a flood from `from` in a VLAN. Tunnels carry the untagged network only (RFC 7348 section 6.1).
pub(crate) fn listeners(bridge: &Bridge, (from, vlan): (Spot, u16), key: &FlowKey) -> Vec<Egress> {
    let ports = bridge.ports.iter().filter(|port| Spot::Port(**port) != from);
    let ports = ports.filter_map(|port| through(bridge, vlan, *port, key).ok());
    let replicated = matches!(from, Spot::Port(_) if vlan == UNTAGGED).then_some(bridge.settings.vni).flatten();
    let peers = replicated.into_iter().flat_map(|vni| bridge.peers.iter().map(move |peer| (vni, *peer)));
    let (lane, max_len) = (lane(key), max_len(bridge));
    ports.chain(peers.map(|(vni, vtep)| Egress::Tunnel { vtep, vni, lane, max_len })).collect()
}

/// Frames of one lane leave by one source port. 1,024 of them spread flows well over the paths of an underlay.
fn lane(key: &FlowKey) -> u16 {
    (key.entropy() % 1_024) as u16
}

fn max_len(bridge: &Bridge) -> u16 {
    bridge.settings.mtu.saturating_add(14)
}
