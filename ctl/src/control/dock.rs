//! Endpoints of Docker's engine: the switch makes the link in the host's namespace, the engine moves it into the sandbox,
//! names it and gives it addresses and routes. Which sandbox that is, and who lives there, is learnt afterwards; from
//! then on they are endpoints like all others, over restarts of the daemon too.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use wire::Mac;

use super::plane::{Found, Spot};
use super::published::Published;
use super::state::Endpoint;
use super::{Control, gateway};
use crate::api::{Error, Kind, PublishPorts};
use crate::model::{self, EndpointRecord, Limits};
use crate::sandbox::Reference;
use crate::state::{Change, Docked, StoredEndpoint};

/// An endpoint that the engine asked for. Its addresses are reserved.
#[derive(Clone, Debug)]
pub struct Dock {
    /// The engine's id of it, which becomes ours.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The sandbox's NAME as long as nobody knows a better one.
    pub name: String,
    /// The link's name in the host's namespace.
    pub link: String,
    /// Where the engine keeps the sandbox's namespace.
    pub key: PathBuf,
    /// The link's MAC address.
    pub mac: Mac,
    /// With prefix lengths, IPv4 first.
    pub addresses: Vec<IpNet>,
}

/// An endpoint as the engine's plugin needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docking {
    /// 64 hex digits.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The container's id; empty until it is known.
    pub container_id: String,
    /// Whether it is known in which namespace the link is, and under which name.
    pub located: bool,
}

/// How an endpoint may leave its subnets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaysOut {
    /// Gateways, at most one of each family; none where nothing leads out.
    pub gateways: Vec<std::net::IpAddr>,
    /// Routes to other subnets of the network.
    pub routes: Vec<(IpNet, std::net::IpAddr)>,
}

/// What is to be published at an unspecified address of the host, at that of a family.
fn narrowed(spec: String, at: &str) -> String {
    let (ports, _) = spec.split_once('/').unwrap_or((&spec, ""));
    match ports.matches(':').count() {
        _ if at.is_empty() => spec,
        0 => format!("{at}:{spec}"),
        1 => format!("{at}{spec}"),
        _ => spec,
    }
}

impl Control {
    /// Makes the link of an endpoint for the engine to take. The same again is fine.
    ///
    /// # Errors
    /// 404, 409 for a MAC address in use, 503 when the machine lacks something.
    pub async fn dock(self: &Arc<Self>, ask: Dock) -> Result<WaysOut, Error> {
        let (record, gate) = {
            let state = self.state();
            let known = state.network(&ask.network)?;
            (known.record.clone(), known.gate.clone())
        };
        let addresses = &ask.addresses;
        let ways =
            WaysOut { gateways: gateway::outward(&record, addresses), routes: gateway::across(&record, addresses) };
        if self.state().endpoints.get(&ask.id).is_some_and(|endpoint| !endpoint.leaving) {
            return Ok(ways);
        }
        if record.is_global() && self.settings.vtep.is_none() {
            let why = format!("network {} needs an address for tunnels", record.name);
            return Err(Error::conflict(
                format!("port {}", ask.name),
                why,
                "start vswitchd with --advertise IP or --advertise INTERFACE",
            ));
        }
        let attempt = (record.id.clone(), ask.id.clone());
        if !self.state().attaching.insert(attempt.clone()) {
            return Err(Error::conflict(format!("port {}", ask.name), "it is being attached already", "try again"));
        }
        let bridge = {
            let _gate = gate.lock().await;
            self.enter_bridge(&record.id).await
        };
        let result = match bridge {
            Ok(bridge) => match self.plug_in(&record, bridge, self.to_dock(ask), false, false).await {
                Ok(id) => Ok(id),
                Err((error, stored)) => {
                    self.leave_bridge(&record.id).await;
                    self.state().event("attach_failed", format!("port {}", stored.record.name), error.error.clone());
                    Err(error)
                }
            },
            Err(error) => Err(error),
        };
        {
            let mut state = self.state();
            state.attaching.remove(&attempt);
            if state.attaching.is_empty() {
                state.gone.clear();
            }
        }
        let id = result?;
        let change = self.state().endpoints.get(&id).map_or(0, |endpoint| endpoint.change);
        self.announced(&record.id, change).await;
        Ok(ways)
    }

    fn to_dock(&self, ask: Dock) -> StoredEndpoint {
        let state = self.state();
        // A container that is in another network already is known.
        let in_it = |endpoint: &&Endpoint| {
            let docked = endpoint.stored.docked.as_ref();
            !endpoint.leaving && docked.is_some_and(|docked| docked.key == ask.key)
        };
        let sibling = state.endpoints.values().find(in_it).map(Endpoint::record);
        StoredEndpoint {
            record: EndpointRecord {
                id: ask.id,
                name: sibling.map_or(ask.name, |record| record.name.clone()),
                container_id: sibling.map(|record| record.container_id.clone()).unwrap_or_default(),
                mac: ask.mac,
                addresses: ask.addresses,
                aliases: Vec::new(),
                hostname: sibling.and_then(|record| record.hostname.clone()),
                services: Vec::new(),
                ifname: String::new(),
                labels: Default::default(),
            },
            network: ask.network,
            sandbox: Reference { path: ask.key.clone(), pid: None, dev: 0, ino: 0, started: None },
            allow_spoof: false,
            link: Default::default(),
            limits: Limits::default(),
            vlan: None,
            dns: Default::default(),
            since: model::now_millis(),
            docked: Some(Docked {
                link: ask.link,
                key: ask.key,
                leads_v4: false,
                leads_v6: false,
                published: Vec::new(),
            }),
        }
    }

    /// Removes an endpoint of the engine; one that is not there is fine. Its addresses stay reserved.
    pub async fn undock(self: &Arc<Self>, id: &str) {
        let docked = self.state().endpoints.get(id).is_some_and(|endpoint| endpoint.stored.docked.is_some());
        if docked {
            self.detach(id, "removed by Docker").await;
        }
    }

    /// The engine's endpoints on this host.
    pub fn dockings(&self) -> Vec<Docking> {
        let state = self.state();
        let docked = state.endpoints.values().filter(|endpoint| !endpoint.leaving && endpoint.stored.docked.is_some());
        let docking = |endpoint: &Endpoint| Docking {
            id: endpoint.record().id.clone(),
            network: endpoint.stored.network.clone(),
            container_id: endpoint.record().container_id.clone(),
            located: endpoint.stored.sandbox.ino != 0,
        };
        docked.map(docking).collect()
    }

    /// Looks for the namespace that the link is in by now: where the engine keeps it, or that of a process. True: it is
    /// known from now on, or the endpoint is gone.
    pub async fn locate(&self, id: &str, pid: Option<u32>) -> bool {
        let (key, mac, made_as) = {
            let state = self.state();
            let Some(endpoint) = state.endpoints.get(id).filter(|endpoint| !endpoint.leaving) else { return true };
            let Some(docked) = &endpoint.stored.docked else { return true };
            if endpoint.stored.sandbox.ino != 0 {
                return true;
            }
            (docked.key.clone(), endpoint.record().mac, docked.link.clone())
        };
        for spot in [Spot::Path(key)].into_iter().chain(pid.map(Spot::Process)) {
            // Not there, or not to be opened: it may come.
            let Ok(Some(Found { sandbox, ifname: Some(ifname) })) = self.plane.find_link(spot, mac).await else {
                continue;
            };
            // Moved, and about to be renamed and set up.
            if ifname == made_as {
                continue;
            }
            let stored = {
                let mut state = self.state();
                let Some(endpoint) = state.endpoints.get_mut(id).filter(|endpoint| !endpoint.leaving) else {
                    return true;
                };
                endpoint.stored.sandbox = sandbox;
                endpoint.stored.record.ifname = ifname;
                let stored = endpoint.stored.clone();
                state.touch(&stored.network);
                stored
            };
            self.publish.notify_one();
            self.remember(vec![Change::endpoint(&stored)]).await;
            return true;
        }
        false
    }

    /// At the start: an endpoint whose sandbox was not known yet when the daemon ended.
    pub(super) async fn locate_docked(&self, stored: &mut StoredEndpoint) -> Result<(), Error> {
        let Some(docked) = stored.docked.as_ref().filter(|_| stored.sandbox.ino == 0) else { return Ok(()) };
        if let Some(found) = self.plane.find_link(Spot::Path(docked.key.clone()), stored.record.mac).await? {
            stored.sandbox = found.sandbox;
            self.remember(vec![Change::endpoint(stored)]).await;
        }
        Ok(())
    }

    /// The engine has made an endpoint its sandbox's way out, and wants these ports published by it. With `only_v4`, or
    /// where another endpoint of the sandbox leads out already, it does so for one family: an unspecified address of the
    /// host then means that family's.
    ///
    /// # Errors
    /// 404, and those of [`Control::publish`]; nothing is published then.
    pub async fn lead(self: &Arc<Self>, id: &str, publish: Vec<String>, only_v4: bool) -> Result<(), Error> {
        self.end_docked(id).await;
        let leads_v6 = !only_v4;
        let leads_v4 = only_v4 || !self.sibling_leads(id);
        let at = match (leads_v4, leads_v6) {
            (true, false) => "0.0.0.0:",
            (false, true) => "[::]:",
            _ => "",
        };
        let publish: Vec<String> = publish.into_iter().map(|spec| narrowed(spec, at)).collect();
        let published = match publish.is_empty() {
            true => self.docked(id).map(|_| Vec::new())?,
            false => self.publish_docked(id, &publish).await?,
        };
        self.change_docked(id, |docked| {
            (docked.leads_v4, docked.leads_v6, docked.published) = (leads_v4, leads_v6, published);
        })
        .await;
        Ok(())
    }

    /// It is not any more; one that is gone leads nowhere.
    pub async fn lead_no_more(self: &Arc<Self>, id: &str) {
        self.end_docked(id).await;
        self.change_docked(id, |docked| (docked.leads_v4, docked.leads_v6) = (false, false)).await;
    }

    async fn change_docked(&self, id: &str, change: impl FnOnce(&mut Docked)) {
        let stored = {
            let mut state = self.state();
            let Some(endpoint) = state.endpoints.get_mut(id).filter(|endpoint| !endpoint.leaving) else { return };
            endpoint.stored.docked.as_mut().map(change);
            endpoint.stored.clone()
        };
        self.remember(vec![Change::endpoint(&stored)]).await;
    }

    /// Whether another endpoint of the same sandbox leads IPv4 out.
    fn sibling_leads(&self, id: &str) -> bool {
        let state = self.state();
        let docked = |endpoint: &Endpoint| endpoint.stored.docked.clone().filter(|_| !endpoint.leaving);
        let Some(own) = state.endpoints.get(id).and_then(docked) else { return false };
        let others = state.endpoints.values().filter(|endpoint| endpoint.record().id != id).filter_map(docked);
        others.into_iter().any(|other| other.key == own.key && other.leads_v4)
    }

    /// NAME and network of an endpoint.
    fn docked(&self, id: &str) -> Result<(String, String), Error> {
        let state = self.state();
        let endpoint = state.endpoints.get(id).filter(|endpoint| !endpoint.leaving);
        let endpoint = endpoint.ok_or_else(|| Error::not_found(format!("endpoint {id:.12}"), "start it again"))?;
        Ok((endpoint.record().name.clone(), endpoint.stored.network.clone()))
    }

    /// Publishes ports for an endpoint. Its name may be learnt at the same time: then it is tried under the new one.
    async fn publish_docked(self: &Arc<Self>, id: &str, publish: &[String]) -> Result<Vec<u32>, Error> {
        loop {
            let (name, network) = self.docked(id)?;
            let ask = PublishPorts { name: name.clone(), publish: publish.to_vec(), network: Some(network) };
            match self.publish(ask).await {
                Ok(published) => return Ok(published.into_iter().map(|published| published.id).collect()),
                Err(error) if error.kind == Kind::NotFound && self.docked(id)?.0 != name => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes back what was published for the engine at an endpoint.
    async fn end_docked(self: &Arc<Self>, id: &str) {
        let published = {
            let mut state = self.state();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return };
            let (name, network) = (endpoint.record().name.clone(), endpoint.stored.network.clone());
            let docked = endpoint.stored.docked.as_mut();
            let mut ids = docked.map(|docked| std::mem::take(&mut docked.published)).unwrap_or_default();
            // A number may be somebody else's by now.
            let its = |published: &Published| {
                published.publication.name == name && published.publication.network.as_ref() == Some(&network)
            };
            ids.retain(|id| state.published.get(id).is_some_and(its));
            ids
        };
        for publication in published {
            // It may have ended with an endpoint already.
            let _ = self.unpublish(publication).await;
        }
    }
}
