//! `CreateNetwork` and `DeleteNetwork`: a network is made as Docker's pools and options say, or one that is there is
//! joined. What was made goes with Docker's, what was joined stays.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::Plugin;
use super::driver::SPACE;
use super::option::{self, Options};
use super::pool;
use super::protocol::{CreateNetwork, IpamData, OfNetwork};
use super::record::{self, Network, Pool};
use crate::api::{self, Error, Kind, NewSubnet};
use crate::model::{Driver, NetworkRecord, is_id, now_millis};

/// The label of a network that was made for Docker: Docker's id of it.
const LABEL: &str = "com.docker.network.id";

/// A subnet as Docker hands it on.
struct Given {
    space: String,
    subnet: IpNet,
    gateway: Option<IpAddr>,
    aux: BTreeMap<String, IpAddr>,
}

impl Plugin {
    pub(super) async fn create_network(self: Arc<Self>, ask: CreateNetwork) -> Result<Value, Error> {
        if !is_id(&ask.network_id) {
            return Err(Error::invalid("request", "NetworkID is not 64 hex digits", "ask as Docker's engine does"));
        }
        let _one = self.changing.lock().await;
        if self.records().networks.contains_key(&ask.network_id) {
            return Ok(json!({}));
        }
        let options = option::read(&ask.options)?;
        let given = given(ask.ipv4_data.iter().chain(&ask.ipv6_data))?;
        let managed = given.is_empty() || given.iter().any(|given| given.space == SPACE);
        let pools = self.pools_of(&given);
        let joined = match &options.network {
            Some(name) => Some(self.control.network(name).await?),
            None => match pools.iter().find(|pool| pool.joined).and_then(|pool| pool.network.as_deref()) {
                Some(id) => Some(self.control.network(id).await?),
                None => None,
            },
        };
        let network = match &joined {
            Some(record) => {
                may_join(record, &given, &options)?;
                record.id.clone()
            }
            None => self.make(&ask.network_id, options, &given, &pools).await?,
        };
        let fresh = pools.into_iter().filter(|pool| pool.network.is_none());
        let bound: Vec<Pool> = fresh.map(|pool| Pool { network: Some(network.clone()), ..pool }).collect();
        let (id, joined) = (ask.network_id, joined.is_some());
        let created = Network { id, network, joined, managed, since: now_millis(), seen: false };
        let mut changes = vec![record::network(&created)];
        changes.extend(bound.iter().map(record::pool));
        self.write(changes).await?;
        let mut records = self.records();
        records.pools.extend(bound.into_iter().map(|pool| (pool.id.clone(), pool)));
        records.networks.insert(created.id.clone(), created);
        drop(records);
        self.used.notify_one();
        Ok(json!({}))
    }

    /// Our pools that Docker hands back: one that is not yet a network's goes first.
    fn pools_of(&self, given: &[Given]) -> Vec<Pool> {
        let records = self.records();
        let pool = |given: &Given| {
            let mut same: Vec<&Pool> = records.pools.values().filter(|pool| pool.subnet == given.subnet).collect();
            same.sort_by_key(|pool| (pool.network.is_some(), !pool.joined));
            same.first().map(|pool| (*pool).clone())
        };
        given.iter().filter(|given| given.space == SPACE).filter_map(pool).collect()
    }

    async fn make(&self, id: &str, options: Options, given: &[Given], pools: &[Pool]) -> Result<String, Error> {
        let name = options.name.unwrap_or_else(|| format!("docker-{id:.12}"));
        let subnet = |given: &Given| NewSubnet {
            subnet: Some(given.subnet),
            ip_range: pools.iter().find(|pool| pool.subnet == given.subnet).and_then(|pool| pool.range),
            gateway: given.gateway,
            aux_addresses: given.aux.clone(),
        };
        let ask = api::CreateNetwork {
            name: name.clone(),
            driver: options.driver,
            subnets: given.iter().map(subnet).collect(),
            // With subnets at hand Docker has decided on the families.
            ipv6: options.ipv6 && given.is_empty(),
            internal: options.internal,
            labels: [(LABEL.to_owned(), id.to_owned())].into(),
            options: options.rest,
            ..api::CreateNetwork::default()
        };
        match self.control.create_network(ask).await {
            Ok(created) => Ok(created.id),
            // The answer to an earlier try did not arrive, or was not written down.
            Err(error) if error.kind == Kind::Conflict => match self.control.network(&name).await {
                Ok(record) if record.labels.get(LABEL).is_some_and(|label| label == id) => Ok(record.id),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    pub(super) async fn delete_network(self: Arc<Self>, ask: OfNetwork) -> Result<Value, Error> {
        self.forget_network(&ask.network_id).await?;
        Ok(json!({}))
    }

    /// Docker has no such network any more.
    pub(super) async fn forget_network(self: &Arc<Self>, id: &str) -> Result<(), Error> {
        let _one = self.changing.lock().await;
        let Some(network) = self.records().networks.get(id).cloned() else { return Ok(()) };
        let left: Vec<String> = {
            let records = self.records();
            let inside = records.endpoints.values().filter(|endpoint| endpoint.of == id);
            inside.map(|endpoint| endpoint.id.clone()).collect()
        };
        for endpoint in left {
            self.forget_endpoint(&endpoint).await;
        }
        // Refused once, it is tried again when the engine is compared with: until then its record stays.
        if !network.joined {
            match self.control.remove_network(&network.network).await {
                Err(error) if error.kind != Kind::NotFound => {
                    let going = Network { seen: true, ..network };
                    self.write(vec![record::network(&going)]).await?;
                    self.records().networks.insert(going.id.clone(), going);
                    return Err(error);
                }
                _ => {}
            }
        }
        let mut changes = vec![record::no_network(id)];
        {
            let mut records = self.records();
            records.networks.remove(id);
            // Docker releases its pools before; one that it forgot would keep its subnet from others.
            if !network.joined {
                let bound = records.pools.values().filter(|pool| pool.network.as_ref() == Some(&network.network));
                changes.extend(bound.map(|pool| record::no_pool(&pool.id)));
                records.pools.retain(|_, pool| pool.network.as_ref() != Some(&network.network));
            }
        }
        self.write(changes).await?;
        let shared = self.records().networks.values().any(|other| other.network == network.network);
        if network.joined && !shared {
            for address in self.control.reserved_in(&network.network) {
                if !self.is_wanted(&network.network, address) {
                    self.control.unreserve(&network.network, address).await;
                }
            }
        }
        Ok(())
    }
}

fn given<'a>(data: impl Iterator<Item = &'a IpamData>) -> Result<Vec<Given>, Error> {
    let mut all = Vec::new();
    for data in data {
        // The driver `null`: addresses are ours to choose.
        let Some(subnet) = pool::prefix(&data.pool, "subnet")?.filter(|subnet| subnet.prefix_len() > 0) else {
            continue;
        };
        let mut aux = BTreeMap::new();
        for (name, text) in &data.aux_addresses {
            aux.extend(pool::address(text)?.map(|address| (name.clone(), address)));
        }
        all.push(Given { space: data.address_space.clone(), subnet, gateway: pool::address(&data.gateway)?, aux });
    }
    Ok(all)
}

/// A network that is joined is as it is: what Docker was told otherwise would not come true.
fn may_join(record: &NetworkRecord, given: &[Given], options: &Options) -> Result<(), Error> {
    if matches!(record.driver, Driver::Host | Driver::Null) {
        return Err(Error::conflict(
            record.object(),
            "no link can be attached to it",
            "choose a bridge or overlay network",
        ));
    }
    if options.internal && !record.internal {
        let remedy = "leave --internal out, or join a network that was created with it";
        return Err(Error::conflict(record.object(), "it has a way out, and --internal wants none", remedy));
    }
    if let Some(given) = given.iter().find(|given| record.is_global() && given.space != SPACE) {
        let why = format!("its addresses are agreed on with other hosts, and {} comes from another IPAM", given.subnet);
        let remedy = format!("give --ipam-driver vswitch --ipam-opt {}={}", option::NETWORK, record.name);
        return Err(Error::conflict(record.object(), why, remedy));
    }
    if let Some((key, _)) = options.rest.iter().find(|(key, value)| {
        let same = key.as_str() == "com.docker.network.driver.mtu" && value.parse() == Ok(record.mtu);
        !same && record.options.get(*key) != Some(*value)
    }) {
        let why = format!("option {key} is for networks that are made; this one is there");
        return Err(Error::conflict(record.object(), why, "leave the option out"));
    }
    for Given { subnet, gateway, space, .. } in given {
        let Some(known) = record.subnets.iter().find(|known| known.subnet == *subnet) else {
            let all: Vec<String> = record.subnets.iter().map(|known| known.subnet.to_string()).collect();
            let why = format!("its subnets are {}, not {subnet}", all.join(", "));
            let remedy = match space == SPACE {
                true => format!("give --ipam-opt {}={} as well", option::NETWORK, record.name),
                false => format!("give --ipam-driver vswitch --ipam-opt {}={}", option::NETWORK, record.name),
            };
            return Err(Error::conflict(record.object(), why, remedy));
        };
        if let Some(gateway) = gateway.filter(|gateway| known.gateway != Some(*gateway)) {
            let own = known.gateway.map(|own| own.to_string()).unwrap_or_else(|| "none".into());
            let why = format!("its gateway in {subnet} is {own}, not {gateway}");
            return Err(Error::conflict(record.object(), why, format!("give --gateway {own}")));
        }
    }
    Ok(())
}
