//! Networks as people and Docker's tools see them: rows, the inspect object, leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Control;
use super::address::read_lease;
use super::plan::{MTU_OPTION, VNI_OPTION};
use super::state::State;
use crate::api::{self, ConfigFrom, Container, Error, Inspect, Ipam, IpamConfig};
use crate::model::{Driver, EndpointRecord, NetworkRecord, key};

impl Control {
    /// `network ls`.
    pub fn networks(&self) -> Vec<api::Network> {
        let state = self.state();
        let mut rows: Vec<api::Network> =
            state.networks.values().map(|n| self.network_row(&state, &n.record)).collect();
        rows.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        rows
    }

    fn network_row(&self, state: &State, record: &NetworkRecord) -> api::Network {
        let subnets = record.subnets.iter().map(|subnet| api::Subnet {
            subnet: subnet.subnet,
            ip_range: subnet.ip_range,
            gateway: subnet.gateway,
            aux_addresses: subnet.aux_addresses.clone(),
        });
        let remote: usize = self.vteps_of(state, &record.id).values().map(|(_, count)| count).sum();
        api::Network {
            id: record.id.clone(),
            name: record.name.clone(),
            driver: record.driver_text().into(),
            scope: record.scope_text().into(),
            created: record.created.clone(),
            subnets: subnets.collect(),
            vni: record.vni,
            mtu: record.mtu,
            internal: record.internal,
            policy: record.policy().text().into(),
            attachable: record.attachable,
            labels: record.labels.clone(),
            dns: record.dns.clone(),
            options: record.options.clone(),
            endpoints: remote + state.endpoints_in(&record.id).count(),
        }
    }

    /// `network inspect`: Docker's object, with the endpoints of every host.
    ///
    /// # Errors
    /// 404, 409 when the reference is ambiguous.
    pub async fn inspect(self: &Arc<Self>, reference: &str) -> Result<Inspect, Error> {
        let id = self.find_network(reference).await?;
        let record = self.state().record(&id)?;
        let rows = self.rows_of(&record).await;
        let state = self.state();
        let name = &self.settings.name;
        let mut containers = BTreeMap::new();
        let mut peers: Vec<api::Peer> = Vec::new();
        for endpoint in state.endpoints_in(&id) {
            containers.extend([container(endpoint.record(), name)]);
        }
        if let (Some(vtep), false) = (self.settings.vtep, containers.is_empty()) {
            peers.push(api::Peer { name: name.clone(), ip: vtep.to_string() });
        }
        for row in &rows {
            containers.extend(row.endpoints.iter().map(|endpoint| container(endpoint, &row.host)));
            peers.push(api::Peer { name: row.host.clone(), ip: row.vtep.to_string() });
        }
        peers.sort();
        peers.dedup();
        Ok(Inspect {
            name: record.name.clone(),
            id: record.id.clone(),
            created: record.created.clone(),
            scope: record.scope_text().into(),
            driver: record.driver_text().into(),
            enable_ipv4: record.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv4()),
            enable_ipv6: record.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv6()),
            ipam: Ipam { driver: "default".into(), options: BTreeMap::new(), config: configuration(&record) },
            internal: record.internal,
            attachable: record.attachable,
            ingress: false,
            config_from: ConfigFrom::default(),
            config_only: false,
            containers,
            options: options(&record),
            labels: record.labels.clone(),
            peers: record.is_global().then_some(peers),
        })
    }

    /// `leases`.
    ///
    /// # Errors
    /// 404; 503 when the leases are in a store that is away.
    pub async fn leases(self: &Arc<Self>, reference: &str) -> Result<Vec<api::Lease>, Error> {
        let id = self.find_network(reference).await?;
        let record = self.state().record(&id)?;
        let mut leases: Vec<ipam::Lease> = if record.is_global() {
            let snapshot = self.store.snapshot(&key::leases(&id)).await;
            let snapshot = snapshot.map_err(|error| Error::store(record.object(), &error))?;
            snapshot.rows.values().filter_map(|row| read_lease(&row.key, &row.value).0).collect()
        } else {
            self.state().network(&id)?.pools.iter().flat_map(|pool| pool.dump().cloned().collect::<Vec<_>>()).collect()
        };
        leases.sort_by_key(|lease| lease.address);
        let row = |lease: ipam::Lease| api::Lease {
            state: if lease.is_held() { "held" } else { "resting" }.into(),
            address: lease.address,
            owner: lease.owner,
            host: lease.host,
        };
        Ok(leases.into_iter().map(row).collect())
    }
}

fn container(endpoint: &EndpointRecord, host: &str) -> (String, Container) {
    let key =
        if endpoint.container_id.is_empty() { format!("ep-{}", endpoint.id) } else { endpoint.container_id.clone() };
    let address = |v4: bool| {
        let found = endpoint.addresses.iter().find(|net| net.addr().is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let container = Container {
        name: endpoint.name.clone(),
        endpoint_id: endpoint.id.clone(),
        mac_address: endpoint.mac.to_string(),
        ipv4_address: address(true),
        ipv6_address: address(false),
        host: host.into(),
    };
    (key, container)
}

fn configuration(record: &NetworkRecord) -> Vec<IpamConfig> {
    let subnets = record.subnets.iter();
    subnets
        .map(|subnet| IpamConfig {
            subnet: subnet.subnet.to_string(),
            ip_range: subnet.ip_range.map(|range| range.to_string()),
            gateway: subnet.gateway.map(|gateway| gateway.to_string()),
            auxiliary_addresses: subnet.aux_addresses.iter().map(|(k, v)| (k.clone(), v.to_string())).collect(),
        })
        .collect()
}

fn options(record: &NetworkRecord) -> BTreeMap<String, String> {
    let mut options = record.options.clone();
    if let Some(vni) = record.vni {
        options.insert(VNI_OPTION.into(), vni.to_string());
    }
    if !matches!(record.driver, Driver::Host | Driver::Null) {
        options.insert(MTU_OPTION.into(), record.mtu.to_string());
    }
    options
}
