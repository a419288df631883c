//! The state of the engine and how updates change it.

use std::net::IpAddr;

use hashbrown::HashMap;
use nat::rules::{Family, Program};
use vxlan::Vteps;
use wire::{Joiner, Time};

use crate::bridge::Bridge;
use crate::counters::Traffic;
use crate::filter::Filters;
use crate::flow::Flows;
use crate::gateway::{PortCheck, Router, Steer};
use crate::police::{Police, StormLine};
use crate::station::{Spot, Stations};
use crate::{BridgeId, BridgeSettings, Counters, DropReason, LogLine, Place, PortId, PortSettings, Update, VlanMode};

/// Bounds of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows in the cache; beyond it frames take the slower path.
    pub flows: usize,
    /// Whether the kernel takes UDP super-frames (USO, Linux 6.2), so that they may be joined.
    pub join_udp: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { flows: 1 << 20, join_udp: true }
    }
}

/// One or more datagrams of equal size from one sender, as the underlay received them.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The outer source address.
    pub from: IpAddr,
    /// The outer ECN bits.
    pub ecn: u8,
    /// The payloads, one behind the other.
    pub bytes: &'a [u8],
    /// The size of each but the last.
    pub segment: usize,
}

/// The engine. Pure: no clock, no descriptor, no thread.
pub struct Switch {
    pub(crate) bridges: HashMap<BridgeId, Bridge>,
    pub(crate) by_vni: HashMap<u32, BridgeId>,
    pub(crate) ports: HashMap<PortId, PortState>,
    pub(crate) stations: Stations,
    pub(crate) vteps: Vteps,
    pub(crate) flows: Flows,
    pub(crate) counters: Counters,
    /// Changes with settings that any flow may depend on.
    pub(crate) epoch: u32,
    pub(crate) joiner: Joiner,
    pub(crate) run: Option<crate::decap::Run>,
    pub(crate) sweep: crate::maintain::Sweep,
    pub(crate) router: Router,
    pub(crate) filters: Filters,
    pub(crate) storms: Vec<StormLine>,
}

#[derive(Debug)]
pub(crate) struct PortState {
    pub(crate) settings: PortSettings,
    pub(crate) rx: Traffic,
    pub(crate) tx: Traffic,
    pub(crate) drops: u64,
    pub(crate) police: Option<Box<Police>>,
}

impl Switch {
    /// An engine without bridges. `seed` is a secret number: it keeps outsiders from building hash collisions.
    pub fn new(limits: Limits, seed: u64) -> Switch {
        let mut state = seed;
        let random = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            state.rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        let settings = nat::Settings { report_gone: true, ..nat::Settings::RFC };
        Switch::with_translation(limits, seed, settings, Box::new(random), Box::new(|_, _, _| true))
    }

    /// The same with settings for connections, a source of randomness that nobody can guess (translated ports are as safe as
    /// it is), and a look at which ports the host has free.
    pub fn with_translation(
        limits: Limits,
        seed: u64,
        settings: nat::Settings,
        random: nat::Random,
        is_free: PortCheck,
    ) -> Switch {
        Switch {
            bridges: HashMap::new(),
            by_vni: HashMap::new(),
            ports: HashMap::new(),
            stations: Stations::default(),
            vteps: Vteps::default(),
            flows: Flows::new(limits.flows, seed),
            counters: Counters::new(),
            epoch: 0,
            joiner: Joiner::new().with_udp(limits.join_udp),
            run: None,
            sweep: crate::maintain::Sweep::default(),
            router: Router::new(settings, random, is_free),
            filters: Filters::new(seed),
            storms: Vec::new(),
        }
    }

    /// The connections, and what translates them.
    pub fn tracker(&self) -> &nat::Tracker {
        &self.router.tracker
    }

    /// Connections among `budget` slots from `from` on that `filter` matches.
    pub fn conns(&self, now: Time, filter: &nat::Filter, from: u32, budget: usize) -> nat::Page<nat::ConnRow> {
        self.router.tracker.dump(now, filter, from, budget)
    }

    /// Ends the connections that `filter` matches among `budget` slots from `from` on; says how many, and where to go on.
    pub fn flush_some(&mut self, filter: &nat::Filter, from: u32, budget: usize) -> (usize, Option<u32>) {
        self.router.tracker.flush_some(filter, from, budget)
    }

    /// Loads rules for one network, or for all, in place of those of that family that were there; those come back, because
    /// letting go of many takes a while. `None` takes them out. Established connections are judged anew.
    pub fn set_rules(
        &mut self,
        scope: Option<BridgeId>,
        family: Family,
        program: Option<Box<Program>>,
    ) -> Option<Box<Program>> {
        self.epoch = self.epoch.wrapping_add(1);
        self.filters.set(scope, family, program)
    }

    /// The rules for one network, or for all.
    pub fn rules(&self, scope: Option<BridgeId>, family: Family) -> Option<&Program> {
        self.filters.get(scope, family)
    }

    /// Whether rules want anything written.
    pub(crate) fn has_log(&self) -> bool {
        !self.filters.lines.is_empty() || !self.storms.is_empty()
    }

    /// Takes out what rules want written, and how many lines found no room.
    pub fn take_log(&mut self, out: &mut Vec<LogLine>) -> u64 {
        out.extend(self.filters.lines.drain(..));
        std::mem::take(&mut self.filters.unwritten)
    }

    /// Adds what steering has to know of connections that began and ended since the last call, in order.
    pub fn take_steering(&mut self, out: &mut Vec<Steer>) {
        self.router.take_steering(out);
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The ports of a bridge.
    pub(crate) fn ports_of(&self, bridge: BridgeId) -> Vec<PortId> {
        self.bridges.get(&bridge).map_or_else(Vec::new, |bridge| bridge.ports.clone())
    }

    /// Takes one change. What it refers to and is not there is passed over: the control plane's order makes it exist.
    pub fn apply(&mut self, now: Time, update: Update) {
        let touched = match &update {
            Update::Endpoint { bridge, .. } | Update::RemoveEndpoint { bridge, .. } => Some(*bridge),
            Update::RemovePort { id } | Update::Port { id, .. } => self.ports.get(id).map(|port| port.settings.bridge),
            _ => None,
        };
        self.change_tables(now, update);
        let ended = touched.and_then(|id| self.bridges.get_mut(&id)).map(|bridge| std::mem::take(&mut bridge.ended));
        for address in ended.into_iter().flatten() {
            touched.inspect(|id| self.router.end_address(*id, address));
        }
    }

    fn change_tables(&mut self, now: Time, update: Update) {
        match update {
            Update::Bridge { id, settings } => self.set_bridge(id, settings),
            Update::RemoveBridge { id } => self.remove_bridge(id),
            Update::Port { id, settings } => self.set_port(id, settings),
            Update::Policing { id, limits } => self.set_policing(now, id, &limits),
            Update::Vlan { id, mode } => self.set_vlan(now, id, mode),
            Update::RemovePort { id } => self.remove_port(id),
            Update::Endpoint { bridge, mac, addresses, place } => {
                let spot = self.spot(place);
                let Some(bridge) = self.bridges.get_mut(&bridge) else { return };
                bridge.set_endpoint(&mut self.stations, mac, spot, addresses, now);
            }
            Update::RemoveEndpoint { bridge, mac, place } => {
                let spot = self.spot(place);
                let Some(bridge) = self.bridges.get_mut(&bridge) else { return };
                bridge.remove_endpoint(&mut self.stations, mac, spot);
            }
            Update::Names { bridge, holder, entry } => {
                let Some(bridge) = self.bridges.get_mut(&bridge) else { return };
                match entry {
                    Some(entry) => bridge.names.insert(holder, entry),
                    None => bridge.names.remove(holder),
                }
            }
            Update::Static { bridge, mac, place } => {
                let spot = self.spot(place);
                let Some(bridge) = self.bridges.get_mut(&bridge) else { return };
                bridge.set_static(&mut self.stations, mac, spot, now);
            }
            Update::RemoveStatic { bridge, mac } => {
                let Some(bridge) = self.bridges.get_mut(&bridge) else { return };
                bridge.remove_static(&mut self.stations, mac, now);
            }
            Update::Peer { bridge, vtep } => {
                let vtep = self.vteps.insert(vtep);
                if let Some(bridge) = self.bridges.get_mut(&bridge)
                    && !bridge.peers.contains(&vtep)
                {
                    bridge.peers.push(vtep);
                }
            }
            Update::Uplink { mac } => {
                self.epoch = self.epoch.wrapping_add(1);
                self.router.set_uplink(mac);
            }
            Update::Host { addresses, routes } => {
                self.epoch = self.epoch.wrapping_add(1);
                self.router.set_host(addresses, routes);
            }
            Update::Publish { id, rule } => self.router.publish(id, rule),
            Update::RemovePublish { id } => self.router.unpublish(id),
            Update::RemovePeer { bridge, vtep } => {
                let (Some(vtep), Some(bridge)) = (self.vteps.get(&vtep), self.bridges.get_mut(&bridge)) else { return };
                // Frames from there are refused from now on: flows that let them in must go.
                self.epoch = self.epoch.wrapping_add(1);
                bridge.peers.retain(|peer| *peer != vtep);
                bridge.unlearn_spot(&mut self.stations, Spot::Tunnel(vtep));
            }
        }
    }

    /// Counts what a port took, or why it did not.
    pub(crate) fn transmitted(&mut self, port: PortId, bytes: usize, outcome: Result<(), DropReason>) {
        let state = self.ports.get_mut(&port);
        match (outcome, state) {
            (Ok(()), Some(state)) => state.tx.add(bytes),
            (Ok(()), None) => {}
            (Err(reason), state) => {
                self.counters.drop(reason);
                if let Some(state) = state {
                    state.drops += 1;
                }
            }
        }
    }

    /// Counts datagrams that the underlay did not take.
    pub(crate) fn lost(&mut self, reason: DropReason, datagrams: usize) {
        self.counters.drop_many(reason, datagrams as u64);
    }

    /// Counts frames of a port that were lost before they came here.
    pub(crate) fn missed(&mut self, port: PortId, reason: DropReason, frames: u64) {
        self.counters.drop_many(reason, frames);
        if let Some(port) = self.ports.get_mut(&port) {
            port.drops += frames;
        }
    }

    fn spot(&mut self, place: Place) -> Spot {
        match place {
            Place::Port(port) => Spot::Port(port),
            Place::Tunnel(vtep) => Spot::Tunnel(self.vteps.insert(vtep)),
        }
    }

    fn set_bridge(&mut self, id: BridgeId, settings: BridgeSettings) {
        self.epoch = self.epoch.wrapping_add(1);
        self.release_vni(id);
        if let Some(vni) = settings.vni {
            self.by_vni.insert(vni.get(), id);
        }
        let known = self.bridges.get(&id).and_then(|bridge| bridge.settings.gateway.as_ref());
        self.router.set_gateway(id, known, settings.gateway.as_ref());
        let bridge = self.bridges.entry(id).or_insert_with(|| Bridge::new(id, settings.clone()));
        bridge.set(settings);
    }

    /// Lets go of a bridge's VNI, unless another bridge has taken it since.
    fn release_vni(&mut self, id: BridgeId) {
        let vni = self.bridges.get(&id).and_then(|bridge| bridge.settings.vni);
        if let Some(vni) = vni.filter(|vni| self.by_vni.get(&vni.get()) == Some(&id)) {
            self.by_vni.remove(&vni.get());
        }
    }

    fn set_port(&mut self, id: PortId, settings: PortSettings) {
        let known = self.ports.get_mut(&id);
        if known.is_some() {
            // Cached flows of the port were admitted by its old settings, and may lead into its old network.
            self.epoch = self.epoch.wrapping_add(1);
        }
        match known {
            Some(port) if port.settings.bridge == settings.bridge => {
                self.router.names.sandboxes.rename(&port.settings.name, &settings.name, (id, settings.bridge));
                port.settings = settings;
            }
            _ => {
                self.remove_port(id);
                let Some(bridge) = self.bridges.get_mut(&settings.bridge) else { return };
                bridge.ports.push(id);
                self.router.names.sandboxes.insert(&settings.name, id, settings.bridge);
                let none = Traffic::default();
                self.ports.insert(id, PortState { settings, rx: none, tx: none, drops: 0, police: None });
            }
        }
    }

    fn set_vlan(&mut self, now: Time, id: PortId, mode: VlanMode) {
        let Some(port) = self.ports.get(&id) else { return };
        let Some(bridge) = self.bridges.get_mut(&port.settings.bridge) else { return };
        self.epoch = self.epoch.wrapping_add(1);
        bridge.set_vlan(&mut self.stations, id, mode, now);
    }

    fn remove_port(&mut self, id: PortId) {
        let Some(port) = self.ports.remove(&id) else { return };
        self.router.names.forget(&port.settings.name, id);
        if let Some(bridge) = self.bridges.get_mut(&port.settings.bridge) {
            bridge.ports.retain(|other| *other != id);
            bridge.forget_spot(&mut self.stations, Spot::Port(id));
            bridge.vlans.set(id, VlanMode::Plain);
        }
    }

    fn remove_bridge(&mut self, id: BridgeId) {
        self.epoch = self.epoch.wrapping_add(1);
        self.release_vni(id);
        let Some(mut bridge) = self.bridges.remove(&id) else { return };
        self.router.set_gateway(id, bridge.settings.gateway.as_ref(), None);
        self.filters.forget(id);
        for id in std::mem::take(&mut bridge.ports) {
            if let Some(port) = self.ports.remove(&id) {
                self.router.names.forget(&port.settings.name, id);
            }
        }
        let slots: Vec<u32> = bridge.fdb.values().copied().collect();
        for slot in slots {
            bridge.forget(&mut self.stations, slot);
        }
    }
}
