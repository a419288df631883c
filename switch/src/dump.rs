//! The tables as rows, for people and programs.

use std::net::IpAddr;

use serde::Serialize;
use wire::{Mac, Time};

use crate::flow::Egress;
use crate::station::{Origin, Spot};
use crate::{BridgeId, DropReason, Place, PortId, Switch};

/// Who says where a station is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FdbKind {
    /// The endpoint table.
    Endpoint,
    /// An operator.
    Static,
    /// A frame.
    Learned,
}

/// One station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbRow {
    /// Its network.
    pub bridge: BridgeId,
    /// Its VLAN; 0 is the untagged network.
    pub vlan: u16,
    /// Its address.
    pub mac: Mac,
    /// Where it is.
    pub place: Place,
    /// Who says so.
    pub kind: FdbKind,
    /// Seconds since it was last seen; `None` for entries that do not age.
    pub age_seconds: Option<u64>,
}

/// One known address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourRow {
    /// Its network.
    pub bridge: BridgeId,
    /// The IP address.
    pub address: IpAddr,
    /// Its owner.
    pub mac: Mac,
    /// Where the owner is.
    pub place: Option<Place>,
}

/// One VTEP of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The network.
    pub bridge: BridgeId,
    /// The VTEP.
    pub vtep: IpAddr,
    /// Stations known to be behind it.
    pub stations: usize,
}

/// What passed a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortRow {
    /// Which.
    pub port: PortId,
    /// Frames that the container sent.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that the container got.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames dropped on the way in or out.
    pub drops: u64,
}

/// One cached flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowRow {
    /// Source MAC address.
    pub src_mac: Mac,
    /// Destination MAC address.
    pub dst_mac: Mac,
    /// EtherType.
    pub ether_type: u16,
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// IP protocol.
    pub protocol: u8,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The port it leaves by, if it stays on this host.
    pub to_port: Option<PortId>,
    /// The VTEP it leaves to, if not.
    pub to_vtep: Option<IpAddr>,
    /// Frames that it decided.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds since the last one.
    pub idle_seconds: u64,
}

impl Switch {
    /// Every station.
    pub fn fdb(&self, now: Time) -> Vec<FdbRow> {
        let slots = self.bridges.values().flat_map(|bridge| bridge.fdb.values());
        let stations = slots.filter_map(|slot| self.stations.get(*slot));
        stations
            .filter_map(|station| {
                let kind = match station.origin {
                    Origin::Endpoint => FdbKind::Endpoint,
                    Origin::Static => FdbKind::Static,
                    Origin::Learned => FdbKind::Learned,
                };
                Some(FdbRow {
                    bridge: station.bridge,
                    vlan: station.vlan,
                    mac: station.mac,
                    place: self.place(station.spot)?,
                    kind,
                    age_seconds: (kind == FdbKind::Learned).then(|| now.since(station.seen).as_secs()),
                })
            })
            .collect()
    }

    /// Every known address.
    pub fn neighbours(&self) -> Vec<NeighbourRow> {
        let known = self.bridges.values().flat_map(|bridge| bridge.neighbours.iter().map(move |n| (bridge, n)));
        known
            .map(|(bridge, (address, mac))| {
                let station = bridge.fdb.get(mac).and_then(|slot| self.stations.get(*slot));
                let place = station.and_then(|station| self.place(station.spot));
                NeighbourRow { bridge: bridge.id, address: *address, mac: *mac, place }
            })
            .collect()
    }

    /// Every VTEP that hears a network's floods.
    pub fn peers(&self) -> Vec<PeerRow> {
        let peers = self.bridges.values().flat_map(|bridge| bridge.peers.iter().map(move |peer| (bridge, *peer)));
        peers
            .filter_map(|(bridge, peer)| {
                let behind = |slot: &&u32| self.stations.get(**slot).is_some_and(|s| s.spot == Spot::Tunnel(peer));
                let stations = bridge.fdb.values().filter(behind).count();
                Some(PeerRow { bridge: bridge.id, vtep: self.vteps.address(peer)?, stations })
            })
            .collect()
    }

    /// What passed each port.
    pub fn port_counters(&self) -> Vec<PortRow> {
        let row = |(id, state): (&PortId, &crate::switch::PortState)| PortRow {
            port: *id,
            rx_frames: state.rx.frames,
            rx_bytes: state.rx.bytes,
            tx_frames: state.tx.frames,
            tx_bytes: state.tx.bytes,
            drops: state.drops,
        };
        self.ports.iter().map(row).collect()
    }

    /// Every reason to drop a frame, and how often it applied.
    pub fn drops(&self) -> Vec<(DropReason, u64)> {
        DropReason::ALL.iter().map(|reason| (*reason, self.counters.dropped(*reason))).collect()
    }

    /// Up to `most` cached flows.
    pub fn flow_rows(&self, now: Time, most: usize) -> Vec<FlowRow> {
        let flows = (0..self.flows.slots()).filter_map(|at| self.flows.get(at)).take(most);
        flows
            .map(|flow| {
                let (to_port, to_vtep) = match flow.egress {
                    Egress::Port(port) | Egress::Retagged { port, .. } => (Some(port), None),
                    Egress::Tunnel { vtep, .. } => (None, self.vteps.address(vtep)),
                };
                FlowRow {
                    src_mac: flow.key.src_mac(),
                    dst_mac: flow.key.dst_mac(),
                    ether_type: flow.key.ether_type(),
                    src: flow.key.src(),
                    dst: flow.key.dst(),
                    protocol: flow.key.protocol(),
                    src_port: flow.key.src_port(),
                    dst_port: flow.key.dst_port(),
                    to_port,
                    to_vtep,
                    frames: flow.frames,
                    bytes: flow.bytes,
                    idle_seconds: now.since(flow.used()).as_secs(),
                }
            })
            .collect()
    }

    fn place(&self, spot: Spot) -> Option<Place> {
        Some(match spot {
            Spot::Port(port) => Place::Port(port),
            Spot::Tunnel(vtep) => Place::Tunnel(self.vteps.address(vtep)?),
        })
    }
}
