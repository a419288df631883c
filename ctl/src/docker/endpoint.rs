//! The calls about endpoints, from `CreateEndpoint` to `DeleteEndpoint`. The link is there from `Join` on; Docker moves it
//! into the sandbox and back. Whatever comes twice, or after the link has gone with its sandbox, is fine.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Value, json};
use wire::Mac;

use super::engine::Task;
use super::portmap::{self, Wanted};
use super::protocol::{EndpointAnswer, Interface, InterfaceName, JoinAnswer, OfEndpoint, StaticRoute};
use super::record::{self, Endpoint, Network};
use super::{Plugin, pool};
use crate::api::Error;
use crate::control::{Dock, Reserve, WaysOut};
use crate::model::{NetworkRecord, is_id, now_millis};

/// After so many milliseconds without its link an endpoint is not about to be joined.
const LONG: u64 = 60_000;

impl Plugin {
    pub(super) async fn create_endpoint(self: Arc<Self>, ask: OfEndpoint) -> Result<EndpointAnswer, Error> {
        if !is_id(&ask.endpoint_id) {
            return Err(Error::invalid("request", "EndpointID is not 64 hex digits", "ask as Docker's engine does"));
        }
        let known = self.records().endpoints.get(&ask.endpoint_id).cloned();
        if let Some(endpoint) = known {
            return Ok(answer(&endpoint, &ask.interface));
        }
        let network = self.network_of(&ask)?;
        let record = self.control.network(&network.network).await?;
        self.drop_stale(&ask, &network).await;
        let mut own = Vec::new();
        let endpoint = match self.addresses(&network, &record, &ask.interface, &mut own).await {
            Ok(addresses) => self.new_endpoint(&ask, &network, addresses, own.clone()),
            Err(error) => Err(error),
        };
        let made = match endpoint {
            Ok(endpoint) => {
                let written = self.write(vec![record::endpoint(&endpoint)]).await;
                written.map(|()| endpoint).inspect_err(|_| drop(self.records().endpoints.remove(&ask.endpoint_id)))
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(endpoint) => {
                endpoint.addresses.iter().for_each(|net| self.settle_grant(&endpoint.network, net.addr()));
                Ok(answer(&endpoint, &ask.interface))
            }
            Err(error) => {
                for address in own {
                    self.control.unreserve(&record.id, address).await;
                }
                Err(error)
            }
        }
    }

    /// An engine that was killed forgets endpoints without a word. Where it manages addresses by itself and gives one
    /// again, the endpoint that had it is gone; so is one that has been without its link for long.
    async fn drop_stale(self: &Arc<Self>, ask: &OfEndpoint, network: &Network) {
        let asked = &ask.interface;
        let addresses: Vec<IpAddr> = [&asked.address, &asked.address_ipv6]
            .iter()
            .filter_map(|text| pool::address(text).ok().flatten())
            .collect();
        let mac: Option<Mac> = asked.mac_address.parse().ok();
        let attached: Vec<String> = self.control.dockings().into_iter().map(|docking| docking.id).collect();
        let stale: Vec<String> = {
            let records = self.records();
            let others =
                records.endpoints.values().filter(|other| other.of == network.id && other.id != ask.endpoint_id);
            let gone = |other: &&Endpoint| {
                let same = other.addresses.iter().any(|net| addresses.contains(&net.addr()));
                let old = now_millis().saturating_sub(other.since) > LONG && !attached.contains(&other.id);
                same && (!network.managed || old) || mac == Some(other.mac) && old
            };
            others.filter(gone).map(|other| other.id.clone()).collect()
        };
        for endpoint in stale {
            self.forget_endpoint(&endpoint).await;
        }
    }

    fn network_of(&self, ask: &OfEndpoint) -> Result<Network, Error> {
        self.records().networks.get(&ask.network_id).cloned().ok_or_else(|| {
            let remedy = "vswitchd has lost its state: remove the Docker network and create it again";
            Error::not_found(format!("Docker's network {:.12}", ask.network_id), remedy)
        })
    }

    /// The endpoint's addresses: those that Docker has chosen, ours where it leaves the choice. Those that end with the
    /// endpoint go to `own`.
    async fn addresses(
        &self,
        network: &Network,
        record: &NetworkRecord,
        asked: &Interface,
        own: &mut Vec<IpAddr>,
    ) -> Result<Vec<IpNet>, Error> {
        let wanted = [pool::address(&asked.address)?, pool::address(&asked.address_ipv6)?];
        let reserved = self.control.reserved_in(&record.id);
        let mut addresses = Vec::new();
        for (v4, want) in [true, false].into_iter().zip(wanted) {
            let subnets = record.subnets.iter().map(|subnet| subnet.subnet);
            let mut subnets = subnets.filter(|subnet| subnet.addr().is_ipv4() == v4);
            let subnet = match want {
                Some(want) => Some(subnets.find(|subnet| subnet.contains(&want)).ok_or_else(|| {
                    let why = format!("address {want} is in none of its subnets");
                    Error::conflict(record.object(), why, "create the Docker network with its subnet")
                })?),
                // Without an address management on Docker's side each family gets one.
                None if wanted == [None, None] => subnets.next(),
                None => None,
            };
            let Some(subnet) = subnet else { continue };
            if let Some(want) = want.filter(|want| network.managed && reserved.contains(want)) {
                addresses.push(IpNet::new_assert(want, subnet.prefix_len()));
                continue;
            }
            let again = want.is_some_and(|want| !self.is_wanted(&record.id, want));
            let net = self.control.reserve(&record.id, Reserve { subnet, range: None, want, again }).await?;
            // What Docker asked this driver's IPAM for, it gives back there.
            if want.is_none() || !network.managed {
                own.push(net.addr());
            }
            addresses.push(net);
        }
        if addresses.is_empty() {
            return Err(Error::conflict(record.object(), "it has no subnet", "create a network with --subnet"));
        }
        Ok(addresses)
    }

    fn new_endpoint(
        &self,
        ask: &OfEndpoint,
        network: &Network,
        addresses: Vec<IpNet>,
        own: Vec<IpAddr>,
    ) -> Result<Endpoint, Error> {
        let object = format!("endpoint {:.12}", ask.endpoint_id);
        let v4 = addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        });
        let mac = match ask.interface.mac_address.as_str() {
            "" => v4.map_or_else(crate::control::random_mac, Mac::from_ipv4),
            text => text.parse().ok().filter(|mac: &Mac| mac.is_station()).ok_or_else(|| {
                Error::invalid(object.clone(), format!("{text} is no station's MAC address"), "choose another")
            })?,
        };
        let mut records = self.records();
        if let Some(twice) = records.endpoints.get(&ask.endpoint_id) {
            return Ok(twice.clone());
        }
        let shared = |other: &&Endpoint| {
            let same = |net: &IpNet| addresses.iter().any(|mine| mine.addr() == net.addr());
            other.network == network.network && (other.addresses.iter().any(same) || other.mac == mac)
        };
        if let Some(other) = records.endpoints.values().find(shared) {
            let why = format!("its address or MAC address is that of endpoint {:.12}", other.id);
            return Err(Error::conflict(object, why, "choose another, or stop that container first"));
        }
        let (id, of) = (ask.endpoint_id.clone(), network.id.clone());
        let endpoint = Endpoint { id, of, network: network.network.clone(), mac, addresses, own, since: now_millis() };
        records.endpoints.insert(endpoint.id.clone(), endpoint.clone());
        Ok(endpoint)
    }

    pub(super) async fn endpoint_info(self: Arc<Self>, _: OfEndpoint) -> Result<Value, Error> {
        Ok(json!({ "Value": {} }))
    }

    /// The link, in the host's namespace. What it is for is learnt from Docker when it has its answer.
    pub(super) async fn join(self: Arc<Self>, ask: OfEndpoint) -> Result<JoinAnswer, Error> {
        let endpoint = self.endpoint(&ask)?;
        let sandbox = ask.sandbox_key.rsplit('/').next().unwrap_or_default();
        let link = format!("vsw{:.12}", endpoint.id);
        let dock = Dock {
            id: endpoint.id.clone(),
            network: endpoint.network.clone(),
            name: format!("docker-{:.12}", if sandbox.is_empty() { &endpoint.id } else { sandbox }),
            link: link.clone(),
            key: ask.sandbox_key.clone().into(),
            mac: endpoint.mac,
            addresses: endpoint.addresses.clone(),
        };
        let WaysOut { gateways, routes } = self.control.dock(dock).await?;
        // Docker may have given it up meanwhile.
        if let Err(error) = self.endpoint(&ask) {
            self.control.undock(&endpoint.id).await;
            return Err(error);
        }
        self.ask(Task::Joined { endpoint: endpoint.id, of: endpoint.of });
        let gateway = |v4: bool| gateways.iter().find(|gateway| gateway.is_ipv4() == v4).map(ToString::to_string);
        let route = |(to, by): &(IpNet, IpAddr)| StaticRoute {
            destination: to.to_string(),
            route_type: 0,
            next_hop: by.to_string(),
        };
        Ok(JoinAnswer {
            interface_name: InterfaceName { src_name: link, dst_prefix: "eth".into() },
            gateway: gateway(true).unwrap_or_default(),
            gateway_ipv6: gateway(false).unwrap_or_default(),
            static_routes: routes.iter().map(route).collect(),
            // Where nothing leads out, nothing does: no second link to a bridge of Docker's.
            disable_gateway_service: true,
        })
    }

    fn endpoint(&self, ask: &OfEndpoint) -> Result<Endpoint, Error> {
        let known = self.records().endpoints.get(&ask.endpoint_id).cloned();
        known.ok_or_else(|| Error::not_found(format!("endpoint {:.12}", ask.endpoint_id), "start the container again"))
    }

    pub(super) async fn program_external(self: Arc<Self>, ask: OfEndpoint) -> Result<Value, Error> {
        let Wanted { specs, only_v4 } = portmap::read(&ask.options)?;
        self.control.lead(&ask.endpoint_id, specs, only_v4).await?;
        Ok(json!({}))
    }

    pub(super) async fn revoke_external(self: Arc<Self>, ask: OfEndpoint) -> Result<Value, Error> {
        self.control.lead_no_more(&ask.endpoint_id).await;
        Ok(json!({}))
    }

    /// The link is still in the sandbox, and Docker wants it back before it goes.
    pub(super) async fn leave(self: Arc<Self>, ask: OfEndpoint) -> Result<Value, Error> {
        self.revoke_external(ask).await
    }

    pub(super) async fn delete_endpoint(self: Arc<Self>, ask: OfEndpoint) -> Result<Value, Error> {
        self.forget_endpoint(&ask.endpoint_id).await;
        Ok(json!({}))
    }

    /// Docker has no such endpoint any more.
    pub(super) async fn forget_endpoint(self: &Arc<Self>, id: &str) {
        self.control.undock(id).await;
        let Some(endpoint) = self.records().endpoints.remove(id) else { return };
        for address in &endpoint.own {
            self.control.unreserve(&endpoint.network, *address).await;
        }
        if let Err(error) = self.write(vec![record::no_endpoint(id)]).await {
            self.control.warn("state_file", error.error);
        }
    }

    /// Docker has given an address back.
    pub(super) async fn forget_address(self: &Arc<Self>, network: &str, address: IpAddr) {
        let users: Vec<String> = {
            let records = self.records();
            let uses = |endpoint: &&Endpoint| {
                endpoint.network == network && endpoint.addresses.iter().any(|net| net.addr() == address)
            };
            records.endpoints.values().filter(uses).map(|endpoint| endpoint.id.clone()).collect()
        };
        for endpoint in users {
            self.forget_endpoint(&endpoint).await;
        }
        self.settle_grant(network, address);
        self.control.unreserve(network, address).await;
    }
}

/// Only what Docker has left open may be answered.
fn answer(endpoint: &Endpoint, asked: &Interface) -> EndpointAnswer {
    let address = |v4: bool| {
        let found = endpoint.addresses.iter().find(|net| net.addr().is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let open = |asked: &str, ours: String| if asked.is_empty() { ours } else { String::new() };
    let interface = Interface {
        address: open(&asked.address, address(true)),
        address_ipv6: open(&asked.address_ipv6, address(false)),
        mac_address: open(&asked.mac_address, endpoint.mac.to_string()),
    };
    EndpointAnswer { interface }
}
