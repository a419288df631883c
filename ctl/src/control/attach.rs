//! Attaching a sandbox to a network: address, bridge, link, record, row; each step is undone when a later one fails.
//! The answer comes when other hosts can know the endpoint, or, without the store, when it is noted that they must.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use port::xdp::XdpInfo;
use switch::{BridgeId, Guard, Place, PortId, PortSettings, Update};
use wire::Mac;

use super::coming::Begun;
use super::plane::Future;
use super::state::{Endpoint, sandbox_key};
use super::wish::Wish;
use super::{Control, Plug, Plugged, gateway, refused};
use crate::api::{self, AddPort, Connect, Error, LinkType, Port, PublishPorts};
use crate::model::{self, EndpointRecord, Limits, NetworkRecord};
use crate::sandbox::{Netns, Reference};
use crate::state::{Change, StoredEndpoint};

impl Control {
    /// `add-port`: attaches a namespace. The same request again is answered with what is there.
    ///
    /// # Errors
    /// 400, 404, 409 naming what is in the way, 503 when addresses need the store and it is away.
    pub async fn add_port(self: &Arc<Self>, ask: AddPort) -> Result<Port, Error> {
        let object = format!("port {}", ask.name);
        if ask.link == LinkType::Xdp {
            if ask.pid.is_some() || ask.netns.is_some() {
                let why = "an interface of the host is in no sandbox";
                return Err(Error::invalid(object, why, "leave out --pid and --netns"));
            }
            return self.attach_published(ask, Netns::own().map_err(refused)?.reference().clone()).await;
        }
        let netns = match (&ask.pid, &ask.netns) {
            (Some(pid), None) => Netns::from_pid(*pid),
            (None, Some(path)) => Netns::from_path(Path::new(path)),
            _ => {
                let remedy = "give exactly one: the process id of the sandbox, or the path of its namespace";
                return Err(Error::invalid(object, "pid or netns is wanted", remedy));
            }
        }
        .map_err(refused)?;
        if netns.is_own() {
            let why = "its network namespace is the host's own";
            return Err(Error::invalid(object, why, "attach a container that does not use host networking"));
        }
        let sandbox = netns.reference().clone();
        drop(netns);
        self.attach_published(ask, sandbox).await
    }

    /// Attaches and publishes; without the second the first is taken back.
    pub(super) async fn attach_published(
        self: &Arc<Self>,
        mut ask: AddPort,
        sandbox: Reference,
    ) -> Result<Port, Error> {
        let publish = std::mem::take(&mut ask.publish);
        // A slip in them is told before anything is made.
        super::published::read(&publish)?;
        if publish.is_empty() {
            return self.attach_sandbox(ask, sandbox).await;
        }
        let known: BTreeSet<String> = self.state().endpoints.keys().cloned().collect();
        let _coming = self.comes(&mut ask, &sandbox)?;
        let port = self.attach_coming(ask, sandbox, true).await?;
        // Under the name that it got.
        let (name, network) = (port.name.clone(), Some(port.network_id.clone()));
        match self.publish(PublishPorts { name, publish, network }).await {
            Ok(published) => {
                self.remember(vec![Change::not_begun(&port.endpoint_id)]).await;
                Ok(Port { published, ..port })
            }
            Err(error) => {
                if !known.contains(&port.endpoint_id) {
                    self.detach(&port.endpoint_id, "its ports could not be published").await;
                }
                Err(error)
            }
        }
    }

    /// `network connect`: attaches a sandbox that is attached somewhere already.
    ///
    /// # Errors
    /// As [`Control::add_port`]; 404 when no sandbox has that name.
    pub async fn connect(self: &Arc<Self>, reference: &str, ask: Connect) -> Result<Port, Error> {
        let (sandbox, name, container_id, labels) = {
            let state = self.state();
            let mut called = state.endpoints.values().filter(|e| !e.leaving && e.is_called(&ask.name));
            let endpoint = called.next().ok_or_else(|| {
                let remedy = "attach it first with `vsctl add-port NETWORK NAME --pid PID`";
                Error::not_found(format!("container {}", ask.name), remedy)
            })?;
            let record = endpoint.record();
            let labels = record.labels.clone();
            (endpoint.stored.sandbox.clone(), record.name.clone(), record.container_id.clone(), labels)
        };
        let Connect { name: _, ip, ip6, mac, ifname, aliases, hostname, dns, dns_search, dns_options, limits, vlan } =
            ask;
        let container_id = Some(container_id).filter(|id| !id.is_empty());
        let network = reference.to_owned();
        let of_it = AddPort { network, name, container_id, labels, ..AddPort::default() };
        let of_it = AddPort { ip, ip6, mac, ifname, aliases, hostname, limits, vlan, ..of_it };
        let ask = AddPort { dns, dns_search, dns_options, ..of_it };
        self.attach_sandbox(ask, sandbox).await
    }

    /// The part that needs no namespace: the sandbox is known by its reference.
    pub(super) async fn attach_sandbox(self: &Arc<Self>, mut ask: AddPort, sandbox: Reference) -> Result<Port, Error> {
        let _coming = self.comes(&mut ask, &sandbox)?;
        self.attach_coming(ask, sandbox, false).await
    }

    /// The same for somebody who is known to come. What is left `open` counts as begun until the caller says otherwise.
    async fn attach_coming(self: &Arc<Self>, ask: AddPort, sandbox: Reference, open: bool) -> Result<Port, Error> {
        let wish = self.wish(ask, sandbox).await?;
        let key = sandbox_key(&wish.name, &wish.container_id).to_owned();
        if let Some(port) = self.already(&wish, &key).await? {
            return Ok(port);
        }
        let network = wish.record.id.clone();
        if !self.state().attaching.insert((network.clone(), key.clone())) {
            let why = format!("it is being attached to network {} already", wish.record.name);
            return Err(Error::conflict(format!("port {}", wish.name), why, "wait for that request"));
        }
        let result = self.attach(&wish, &key, open).await;
        {
            let mut state = self.state();
            state.attaching.remove(&(network.clone(), key));
            if state.attaching.is_empty() {
                state.gone.clear();
            }
        }
        let id = match result {
            Ok(id) => id,
            Err(error) => {
                self.state().event("attach_failed", format!("port {}", wish.name), error.error.clone());
                self.release.notify_one();
                return Err(error);
            }
        };
        let change = self.state().endpoints.get(&id).map_or(0, |endpoint| endpoint.change);
        self.announced(&network, change).await;
        let gone = || Error::not_found(format!("port {}", wish.name), "its sandbox ended meanwhile");
        self.port(&id).await.ok_or_else(gone)
    }

    /// What is there under that name: the same endpoint is the answer, unless another link, other limits or VLANs are wanted; a living other
    /// one is in the way; a dead one goes.
    async fn already(self: &Arc<Self>, wish: &Wish, key: &str) -> Result<Option<Port>, Error> {
        let others: Vec<Endpoint> = {
            let state = self.state();
            let same = |endpoint: &&Endpoint| endpoint.key() == key || endpoint.record().name == wish.name;
            state.endpoints.values().filter(same).filter(|endpoint| !endpoint.leaving).cloned().collect()
        };
        if let Some(holder) = self.called_so_too(wish)? {
            let why = format!("another sandbox, {holder}, has that name as an alias, and rules mean it by that");
            return Err(Error::conflict(format!("port {}", wish.name), why, "choose another name"));
        }
        for endpoint in others {
            let id = &endpoint.record().id;
            let there = &endpoint.stored.sandbox;
            if (there.dev, there.ino) == (wish.sandbox.dev, wish.sandbox.ino) && self.plane.alive(there)? {
                if endpoint.stored.network == wish.record.id {
                    wish.is_met_by(&endpoint.stored)?;
                    return Ok(self.port(id).await);
                }
            } else if self.plane.alive(there)? {
                let why = format!("another sandbox of that name lives ({})", there.path.display());
                let remedy = "choose another name, or `vsctl del-port` that one first";
                return Err(Error::conflict(format!("port {}", wish.name), why, remedy));
            } else {
                self.detach(id, "its sandbox is gone").await;
            }
        }
        Ok(None)
    }

    /// Another living sandbox that has the wanted name as an alias. Who has the name itself keeps it, whoever came later
    /// with that alias.
    fn called_so_too(&self, wish: &Wish) -> Result<Option<String>, Error> {
        let own = (wish.sandbox.dev, wish.sandbox.ino);
        let others: Vec<(String, Reference)> = {
            let state = self.state();
            let (its, others): (Vec<_>, Vec<_>) = state
                .endpoints
                .values()
                .filter(|endpoint| !endpoint.leaving)
                .partition(|endpoint| (endpoint.stored.sandbox.dev, endpoint.stored.sandbox.ino) == own);
            if its.iter().any(|endpoint| endpoint.record().name == wish.name) {
                return Ok(None);
            }
            let so_called = others.into_iter().filter(|endpoint| endpoint.record().aliases.contains(&wish.name));
            so_called.map(|endpoint| (endpoint.record().name.clone(), endpoint.stored.sandbox.clone())).collect()
        };
        for (name, sandbox) in others {
            if self.plane.alive(&sandbox)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    async fn attach(self: &Arc<Self>, wish: &Wish, key: &str, open: bool) -> Result<String, Error> {
        let network = wish.record.id.as_str();
        let owner = self.owner(key);
        let gate = self.state().network(network)?.gate.clone();
        let begun = Begun {
            id: model::new_id(),
            name: wish.name.clone(),
            container_id: wish.container_id.clone(),
            network: network.into(),
        };
        let (noted, claimed) = tokio::join!(self.disk.write(vec![Change::begun(&begun)]), async {
            let _gate = gate.lock().await;
            let addresses = match wish.link.interface() {
                // Who is behind it has its own.
                Some(_) => Vec::new(),
                None => self.claim(&wish.record, &owner, wish.want).await?,
            };
            Ok((self.enter_bridge(network).await, addresses))
        });
        let entered = match (noted, claimed) {
            (Ok(()), Ok((Ok(bridge), addresses))) => Ok((addresses, bridge)),
            (_, Ok((Err(error), addresses))) => Err((error, addresses)),
            (Err(error), Ok((Ok(_), addresses))) => {
                self.leave_bridge(network).await;
                Err((Error::failed(format!("port {}", wish.name), error.to_string()), addresses))
            }
            (_, Err(error)) => Err((error, Vec::new())),
        };
        let (addresses, bridge) = match entered {
            Ok(entered) => entered,
            Err((error, addresses)) => {
                self.undo_claim(&begun, &owner, &addresses).await;
                return Err(error);
            }
        };
        let v4 = addresses.iter().find_map(|net| match net.addr() {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        });
        let mac = wish.mac.unwrap_or_else(|| v4.map_or_else(random_mac, Mac::from_ipv4));
        let record = EndpointRecord {
            id: begun.id.clone(),
            name: wish.name.clone(),
            container_id: wish.container_id.clone(),
            mac,
            addresses,
            aliases: wish.aliases.clone(),
            hostname: wish.hostname.clone(),
            services: Vec::new(),
            ifname: wish.ifname.clone().unwrap_or_default(),
            labels: wish.labels.clone(),
        };
        let stored = StoredEndpoint {
            record,
            network: network.into(),
            sandbox: wish.sandbox.clone(),
            allow_spoof: wish.allow_spoof,
            link: wish.link.clone(),
            limits: Limits::default().changed(&wish.limits),
            vlan: wish.vlan.clone(),
            dns: wish.dns.clone(),
            since: model::now_millis(),
            docked: None,
        };
        let result = self.plug_in(&wish.record, bridge, stored, false, open).await;
        if let Err((error, stored)) = result {
            self.undo_claim(&begun, &owner, &stored.record.addresses).await;
            self.leave_bridge(network).await;
            return Err(error);
        }
        result.map_err(|(error, _)| error)
    }

    async fn undo_claim(&self, begun: &Begun, owner: &str, addresses: &[ipnet::IpNet]) {
        let addresses: Vec<_> = addresses.iter().map(|net| net.addr()).collect();
        let mut changes = self.give_back(&mut self.state(), &begun.network, owner, &addresses, false);
        changes.push(Change::not_begun(&begun.id));
        self.remember(changes).await;
    }

    /// Makes the link of an endpoint that has its addresses and its bridge; nothing is left behind on failure.
    pub(super) async fn plug_in(
        self: &Arc<Self>,
        network: &NetworkRecord,
        bridge: switch::BridgeId,
        mut stored: StoredEndpoint,
        replace: bool,
        open: bool,
    ) -> Result<String, (Error, StoredEndpoint)> {
        let (id, mac) = (stored.record.id.clone(), stored.record.mac);
        let port = {
            let mut state = self.state();
            let taken = state.bridge_of(&network.id).and_then(|bridge| bridge.remote.holder(mac)).filter(|_| !replace);
            if let Some((host, _)) = taken {
                let why = format!(
                    "MAC address {mac} is in use in network {} on host {}",
                    network.name,
                    host.unwrap_or(&self.settings.name)
                );
                let error = Error::conflict(format!("port {}", stored.record.name), why, "choose another with --mac");
                return Err((error, stored));
            }
            if gateway::of(network).is_some_and(|gateway| gateway.mac == mac) {
                let why = format!("MAC address {mac} is that of the gateway of network {}", network.name);
                let error = Error::conflict(format!("port {}", stored.record.name), why, "choose another with --mac");
                return Err((error, stored));
            }
            let port = state.next_port();
            let named = state.bridge_mut(&network.id).map(|bridge| bridge.remote.insert_local(&stored.record));
            let mut updates = self.arrival(bridge, port, &stored);
            updates.extend(named.into_iter().flat_map(|delta| delta.updates));
            self.plane.apply(updates);
            port
        };
        // The engine of Docker takes the link from the host's namespace, once, and routes by itself.
        let docked = stored.docked.clone();
        let stage = docked.as_ref().filter(|_| !replace).map(|docked| docked.link.clone());
        let plug = Plug {
            port,
            ifname: stage.clone().or_else(|| Some(stored.record.ifname.clone()).filter(|name| !name.is_empty())),
            mac,
            mtu: network.mtu,
            tunnelled: network.vni.is_some(),
            addresses: stored.record.addresses.clone(),
            routes: gateway::across(network, &stored.record.addresses),
            gateways: gateway::outward(network, &stored.record.addresses)
                .into_iter()
                .filter(|by| docked.as_ref().is_none_or(|docked| docked.leads(by.is_ipv4())))
                .collect(),
            network: network.name.clone(),
            replace,
            link: stored.link.clone(),
        };
        let plugging = async |plug| match &stage {
            Some(_) => self.plane.stage(plug).await.map(|()| Plugged::default()),
            None => self.plane.plug(&stored.sandbox, plug).await,
        };
        // Rules know its name before its first frame.
        self.state().arriving.insert(id.clone(), stored.clone());
        let plugged = match self.follow_names(Some(&stored)).await {
            // What came back has the rules of before, which knew it.
            Err(_) if replace => plugging(plug).await,
            Ok(()) => plugging(plug).await,
            // Without its rules it would pass where it must not.
            Err(Error { kind, error, remedy, .. }) => {
                let why = format!("rules cannot follow its name: {error}");
                Err(Error::new(kind, format!("port {}", stored.record.name), why, remedy))
            }
        };
        let xdp = match plugged {
            Ok(Plugged { ifname, xdp }) => {
                stored.record.ifname = ifname;
                xdp
            }
            Err(error) => {
                self.state().arriving.remove(&id);
                self.renamed.notify_one();
                self.withdraw(&network.id, port, &stored.record).await;
                return Err((error, stored));
            }
        };
        let complete = (!open).then(|| Change::not_begun(&id));
        let written = self.disk.write([Change::endpoint(&stored)].into_iter().chain(complete).collect()).await;
        // What came back is written down already.
        if let Err(error) = written.or_else(|error| if replace { Ok(()) } else { Err(error) }) {
            self.state().arriving.remove(&id);
            self.renamed.notify_one();
            self.withdraw(&network.id, port, &stored.record).await;
            return Err((Error::failed(format!("port {}", stored.record.name), error.to_string()), stored));
        }
        if self.arrived(network, bridge, stored, (port, xdp)) {
            self.detach(&id, "its sandbox ended while it was attached").await;
        }
        Ok(id)
    }

    /// The endpoint is complete. True: its link vanished meanwhile.
    fn arrived(
        &self,
        network: &NetworkRecord,
        bridge: switch::BridgeId,
        stored: StoredEndpoint,
        (port, xdp): (PortId, Option<XdpInfo>),
    ) -> bool {
        let mut state = self.state();
        let record = &stored.record;
        let addresses: Vec<String> = record.addresses.iter().map(ToString::to_string).collect();
        let how = xdp.as_ref().map(|xdp| format!(", {}", api::Xdp::from(xdp))).unwrap_or_default();
        let text = format!("{} {} {} in network {}{how}", record.ifname, addresses.join(" "), record.mac, network.name);
        state.event("attached", format!("port {}", record.name), text);
        let statics = state.fdb.values().filter(|entry| entry.network == network.id);
        let behind = statics.filter(|entry| entry.port.as_ref() == Some(&record.name));
        let updates = behind.map(|entry| Update::Static { bridge, mac: entry.mac, place: Place::Port(port) }).collect();
        self.plane.apply(updates);
        let (id, name, network) = (record.id.clone(), record.name.clone(), network.id.as_str());
        state.arriving.remove(&id);
        state.endpoints.insert(id.clone(), Endpoint { stored, port, xdp, change: 0, leaving: false });
        let change = state.touch(network);
        if let Some(endpoint) = state.endpoints.get_mut(&id) {
            endpoint.change = change;
        }
        for (_, error) in self.settle(&mut state, Some(&name)) {
            state.event("publish_failed", format!("port {name}"), error.error);
        }
        state.gone.remove(&port)
    }

    fn arrival(&self, bridge: switch::BridgeId, port: PortId, stored: &StoredEndpoint) -> Vec<Update> {
        let record = &stored.record;
        let addresses = addresses(record);
        let settings = port_settings(bridge, stored);
        let place = Place::Port(port);
        let mut updates = vec![Update::Port { id: port, settings }];
        updates.extend(stored.vlan.as_ref().map(|vlan| Update::Vlan { id: port, mode: vlan.mode() }));
        let limits = stored.limits.policing();
        updates.extend((!stored.limits.is_none()).then_some(Update::Policing { id: port, limits }));
        updates.push(Update::Endpoint { bridge, mac: record.mac, addresses, place });
        updates
    }

    /// Takes a port and its endpoint out of the engine at once; done when the link is gone, too.
    pub(super) fn withdraw(&self, network: &str, port: PortId, record: &EndpointRecord) -> Future<'static, ()> {
        let gone = self.plane.unplug(port);
        let mut state = self.state();
        let mut updates = Vec::new();
        let mut delta = super::remote::Delta::default();
        if let Some(bridge) = state.bridge_mut(network) {
            let place = Place::Port(port);
            updates.push(Update::RemoveEndpoint { bridge: bridge.id, mac: record.mac, place });
            delta = bridge.remote.remove_local(record);
        }
        updates.push(Update::RemovePort { id: port });
        self.plane.apply(updates);
        self.apply_delta(&mut state, delta);
        gone
    }
}

fn addresses(record: &EndpointRecord) -> Vec<IpAddr> {
    record.addresses.iter().map(|net| net.addr()).collect()
}

/// The engine's settings of an endpoint's port: what is guarded may send as itself only.
pub(super) fn port_settings(bridge: BridgeId, stored: &StoredEndpoint) -> PortSettings {
    let record = &stored.record;
    let guard = stored.is_guarded().then(|| Guard { mac: record.mac, addresses: addresses(record) });
    PortSettings { name: record.name.as_str().into(), bridge, guard }
}

/// For an endpoint without IPv4: `02:42` and four random bytes.
pub(crate) fn random_mac() -> Mac {
    let [a, b, c, d]: [u8; 4] = rand::random();
    Mac([0x02, 0x42, a, b, c, d])
}
