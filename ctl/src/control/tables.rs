//! The switch's tables with names in place of numbers: what `show`, `ports`, `fdb`, `neigh`, `peers`, `drops`, `flows`
//! and `events` answer. Read-only; the engine is asked once for each.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use switch::turn::View;
use switch::{BridgeId, FdbKind, Place, PortId, PortRow};
use tokio::sync::oneshot;

use super::features;
use super::resolver::Sandboxes;
use super::state::{Endpoint, State};
use super::{Control, gateway};
use crate::api::{self, Error, Sandbox};
use crate::model::{Resolver, rfc3339};

/// Flows that are shown at the most.
const FLOWS: usize = 100_000;

/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names of the engine's numbers.
pub(super) struct Names {
    bridges: HashMap<BridgeId, String>,
    ports: HashMap<PortId, String>,
}

impl Names {
    pub(super) fn of(state: &State) -> Names {
        let bridges = state.networks.values().filter_map(|n| Some((n.bridge.as_ref()?.id, n.record.name.clone())));
        let ports = state.endpoints.values().map(|endpoint| (endpoint.port, endpoint.record().name.clone()));
        let host = (PortId::HOST, "the host".to_owned());
        Names { bridges: bridges.collect(), ports: ports.chain([host]).collect() }
    }

    pub(super) fn bridge(&self, id: BridgeId) -> String {
        self.bridges.get(&id).cloned().unwrap_or_else(|| format!("bridge {}", id.0))
    }

    fn place(&self, place: Place) -> (Option<String>, Option<IpAddr>) {
        match place {
            Place::Port(id) => (Some(self.ports.get(&id).cloned().unwrap_or_else(|| format!("port {}", id.0))), None),
            Place::Tunnel(vtep) => (None, Some(vtep)),
        }
    }
}

impl Control {
    /// Asks the engine.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.plane.look(Box::new(move |view| {
            // The request may have been given up meanwhile.
            let _ = answer.send(look(view));
        }));
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Error::failed("engine", "it does not answer")),
        }
    }

    /// `show`.
    pub async fn show(&self) -> api::Show {
        // What it says of name servers is soon about those that are asked now.
        self.dns.look();
        let underlay = self.ask(|view| view.underlay).await.ok().flatten();
        let uplink = self.plane.uplink();
        let xdp_memory = port::xdp::memory_usage().map(|(used, chunks)| api::XdpMemory { used, chunks });
        let state = self.state();
        let xdp = || state.endpoints.values().filter_map(|endpoint| endpoint.xdp.as_ref());
        let xdp_ports = features::XdpPorts {
            any: xdp_memory.is_some(),
            busy_polled: xdp().any(|xdp| xdp.busy_poll),
            multi_buffer: xdp().any(|xdp| xdp.multi_buffer),
        };
        let hosts = state.hosts.values().map(|host| api::Host { name: host.name.clone(), vteps: host.vteps.clone() });
        api::Show {
            name: self.settings.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            kernel: nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default(),
            advertise: self.settings.vtep,
            vxlan_port: self.settings.vxlan_port,
            underlay_mtu: self.settings.underlay_mtu,
            store: api::Store {
                url: self.store.describe(),
                shared: self.store.shared(),
                connected: state.connected,
                waiting: waiting(&state),
                last_error: state.last_error.clone(),
            },
            features: features::of(&self.settings.kernel, underlay.as_ref(), &uplink, xdp_ports),
            uplink,
            xdp_memory,
            networks: state.networks.len(),
            ports: state.endpoints.len(),
            hosts: hosts.collect(),
            warnings: state.warnings.values().cloned().collect(),
        }
    }

    /// `uplink`.
    pub fn uplink(&self) -> api::Uplink {
        self.plane.uplink()
    }

    /// `ports`, or those of one sandbox.
    ///
    /// # Errors
    /// 404 when a name is given and no sandbox has it.
    pub async fn ports(&self, name: Option<&str>) -> Result<Vec<api::Port>, Error> {
        let (counters, inherited) = (self.counters().await, self.inherited().await);
        let state = self.state();
        let sandboxes = Sandboxes::of(&state, &inherited, None);
        let wanted = |endpoint: &&Endpoint| name.is_none_or(|name| endpoint.is_called(name));
        let mut rows: Vec<api::Port> = state
            .endpoints
            .values()
            .filter(wanted)
            .map(|endpoint| row(&state, endpoint, &counters, &sandboxes))
            .collect();
        if let (Some(name), true) = (name, rows.is_empty()) {
            return Err(Error::not_found(format!("port {name}"), "see `vsctl ports`"));
        }
        rows.sort_by(|a, b| (&a.name, &a.ifname).cmp(&(&b.name, &b.ifname)));
        Ok(rows)
    }

    /// The row of one endpoint.
    pub(super) async fn port(&self, id: &str) -> Option<api::Port> {
        let (counters, inherited) = (self.counters().await, self.inherited().await);
        let state = self.state();
        let endpoint = state.endpoints.get(id)?;
        let sandbox = Sandboxes::of(&state, &inherited, Some(&endpoint.record().name));
        Some(row(&state, endpoint, &counters, &sandbox))
    }

    /// What containers take over of the host's resolver.
    async fn inherited(&self) -> Resolver {
        self.inherited.lock().await.look().await.clone()
    }

    async fn counters(&self) -> HashMap<PortId, PortRow> {
        let rows = self.ask(|view| view.switch.port_counters()).await.unwrap_or_default();
        rows.into_iter().map(|row| (row.port, row)).collect()
    }

    /// `fdb`.
    ///
    /// # Errors
    /// 503 when the engine does not answer.
    pub async fn fdb(&self) -> Result<Vec<api::Fdb>, Error> {
        let rows = self.ask(|view| view.switch.fdb(view.now)).await?;
        let state = self.state();
        let names = Names::of(&state);
        let mut rows: Vec<api::Fdb> = rows
            .into_iter()
            .map(|row| {
                let (port, vtep) = names.place(row.place);
                let kind = match row.kind {
                    FdbKind::Endpoint => "endpoint",
                    FdbKind::Static => "static",
                    FdbKind::Learned => "learned",
                };
                let (network, kind) = (names.bridge(row.bridge), kind.to_owned());
                let vlan = Some(row.vlan).filter(|vlan| (1..4095).contains(vlan));
                api::Fdb { network, mac: row.mac, vlan, port, vtep, kind, age_seconds: row.age_seconds }
            })
            .collect();
        // Entries of networks that are not in use here.
        for entry in state.fdb.values().filter(|entry| state.bridge_of(&entry.network).is_none()) {
            let (network, kind) = (state.network_name(&entry.network), "static".to_owned());
            let (port, vtep) = (entry.port.clone(), entry.vtep);
            rows.push(api::Fdb { network, mac: entry.mac, vlan: None, port, vtep, kind, age_seconds: None });
        }
        rows.sort_by(|a, b| (&a.network, a.vlan, a.mac).cmp(&(&b.network, b.vlan, b.mac)));
        Ok(rows)
    }

    /// `neigh`.
    ///
    /// # Errors
    /// 503 when the engine does not answer.
    pub async fn neighbours(&self) -> Result<Vec<api::Neighbour>, Error> {
        let rows = self.ask(|view| view.switch.neighbours()).await?;
        let names = Names::of(&self.state());
        let mut rows: Vec<api::Neighbour> = rows
            .into_iter()
            .map(|row| {
                let (port, vtep) = row.place.map(|place| names.place(place)).unwrap_or_default();
                api::Neighbour { network: names.bridge(row.bridge), address: row.address, mac: row.mac, port, vtep }
            })
            .collect();
        rows.sort_by(|a, b| (&a.network, a.address).cmp(&(&b.network, b.address)));
        Ok(rows)
    }

    /// `peers`.
    pub fn peers(&self) -> Vec<api::PeerRow> {
        let state = self.state();
        let mut rows: BTreeMap<(String, IpAddr), api::PeerRow> = BTreeMap::new();
        for network in state.networks.values() {
            let name = &network.record.name;
            for (vtep, (host, endpoints)) in self.vteps_of(&state, &network.record.id) {
                let (network, host, kind) = (name.clone(), Some(host), "store".to_owned());
                rows.insert((name.clone(), vtep), api::PeerRow { network, vtep, host, kind, endpoints });
            }
        }
        for (network, vtep) in &state.peers {
            let name = state.network_name(network);
            let fresh = api::PeerRow {
                network: name.clone(),
                vtep: *vtep,
                host: state.hosts.values().find(|host| host.vteps.contains(vtep)).map(|host| host.name.clone()),
                kind: String::new(),
                endpoints: 0,
            };
            rows.entry((name, *vtep)).or_insert(fresh).kind = "static".into();
        }
        rows.into_values().collect()
    }

    /// `drops`.
    ///
    /// # Errors
    /// 503 when the engine does not answer.
    pub async fn drops(&self) -> Result<Vec<api::Drop>, Error> {
        let rows = self.ask(|view| view.switch.drops()).await?;
        let named = rows.into_iter().map(|(reason, count)| {
            let name = serde_json::to_value(reason).ok();
            let reason_name = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
            api::Drop { reason: reason_name, count, meaning: reason.meaning().into() }
        });
        Ok(named.collect())
    }

    /// `flows`: the engine's rows, with the port's name besides.
    ///
    /// # Errors
    /// 503 when the engine does not answer.
    pub async fn flows(&self) -> Result<Vec<Value>, Error> {
        let rows = self.ask(|view| view.switch.flow_rows(view.now, FLOWS)).await?;
        let names = Names::of(&self.state());
        let named = rows.into_iter().map(|row| {
            let port = row.to_port.map(|port| names.place(Place::Port(port)).0);
            let mut value = serde_json::to_value(&row).unwrap_or_default();
            if let (Some(fields), Some(port)) = (value.as_object_mut(), port) {
                fields.insert("to_port".into(), port.into());
            }
            value
        });
        Ok(named.collect())
    }

    /// `events`, oldest first.
    pub fn events(&self) -> Vec<api::Event> {
        let state = self.state();
        let event = |event: &crate::model::Event| api::Event {
            time: rfc3339(event.time),
            kind: event.kind.into(),
            object: event.object.clone(),
            text: event.text.clone(),
        };
        state.events.dump().map(event).collect()
    }
}

fn row(
    state: &State,
    endpoint: &Endpoint,
    counters: &HashMap<PortId, PortRow>,
    sandboxes: &Sandboxes<'_>,
) -> api::Port {
    let (record, stored) = (endpoint.record(), &endpoint.stored);
    let network = state.networks.get(&stored.network);
    let published = network.is_none_or(|network| network.publication.done >= endpoint.change);
    let status = match (endpoint.leaving, published) {
        (true, _) => "gone",
        (false, true) => "up",
        (false, false) => "waiting",
    };
    let counted = counters.get(&endpoint.port);
    let count = |of: fn(&PortRow) -> u64| counted.map(of).unwrap_or_default();
    api::Port {
        name: record.name.clone(),
        network: state.network_name(&stored.network),
        network_id: stored.network.clone(),
        endpoint_id: record.id.clone(),
        container_id: record.container_id.clone(),
        ifname: record.ifname.clone(),
        mac: record.mac,
        addresses: record.addresses.clone(),
        gateways: network.map(|network| gateway::outward(&network.record, &record.addresses)).unwrap_or_default(),
        aliases: record.aliases.clone(),
        hostname: record.hostname.clone(),
        dns: sandboxes.resolver(&record.name),
        labels: record.labels.clone(),
        mtu: network.map_or(0, |network| network.record.mtu),
        state: status.into(),
        kind: stored.link.kind().into(),
        xdp: endpoint.xdp.as_ref().map(api::Xdp::from),
        guard: stored.is_guarded(),
        vlan: stored.vlan.clone(),
        limits: stored.limits,
        sandbox: Sandbox { pid: stored.sandbox.pid, netns: stored.sandbox.path.display().to_string() },
        rx_frames: count(|row| row.rx_frames),
        rx_bytes: count(|row| row.rx_bytes),
        tx_frames: count(|row| row.tx_frames),
        tx_bytes: count(|row| row.tx_bytes),
        drops: count(|row| row.drops),
        published: state.published_through(&record.name, &stored.network),
    }
}

/// What the store has not heard of yet.
fn waiting(state: &State) -> Vec<String> {
    let unpublished = state.networks.values().filter(|network| network.publication.done < network.publication.wanted);
    let endpoints = unpublished.map(|network| format!("endpoints of this host in network {}", network.record.name));
    let releases = state
        .releases
        .values()
        .map(|release| format!("release of {} in network {}", release.address, state.network_name(&release.network)));
    endpoints.chain(releases).take(100).collect()
}
