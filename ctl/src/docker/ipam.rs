//! The calls of `IpamDriver`. A pool is a subnet of a network: of one that was there, or of one that the next
//! `CreateNetwork` makes. Addresses are reservations: agreed on with all hosts before Docker is told.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::Plugin;
use super::option::{DRIVER, NETWORK, unknown};
use super::pool;
use super::protocol::{AddressAnswer, OfPool, PoolAnswer, RequestPool};
use super::record::{self, Pool};
use crate::api::Error;
use crate::control::Reserve;
use crate::model::{NetworkRecord, SubnetRecord, now_millis};

/// How Docker asks for a gateway.
const KIND: &str = "RequestAddressType";
const GATEWAY: &str = "com.docker.network.gateway";

impl Plugin {
    /// A subnet, as asked or chosen. The same subnet again is the same pool; a chosen one is new each time.
    pub(super) async fn request_pool(self: Arc<Self>, ask: RequestPool) -> Result<PoolAnswer, Error> {
        let (mut joined, mut driver) = (None, None);
        for (key, value) in &ask.options {
            match key.as_str() {
                NETWORK => joined = Some(value.as_str()),
                DRIVER => driver = Some(value.as_str()),
                key if key.starts_with("com.docker.") => {}
                key => return Err(unknown("--ipam-opt", key)),
            }
        }
        let wanted = pool::prefix(&ask.pool, "subnet")?;
        let range = pool::prefix(&ask.sub_pool, "ip-range")?;
        if wanted.is_none() && range.is_some() {
            return Err(Error::invalid(
                format!("ip-range {}", ask.sub_pool),
                "it needs its subnet",
                "give --subnet with it",
            ));
        }
        let _one = self.changing.lock().await;
        let mut pool = match joined {
            Some(name) => {
                let record = self.control.network(name).await?;
                let subnet = self.subnet_of(&record, wanted, ask.v6)?;
                let range = range.or(subnet.ip_range);
                let id = pool::id(Some(&record.id), subnet.subnet, range);
                let network = Some(record.id.clone());
                Pool { id, subnet: subnet.subnet, range, network, joined: true, gateway: None, uses: 0, since: 0 }
            }
            None => {
                let held: Vec<IpNet> = self.records().pools.values().map(|pool| pool.subnet).collect();
                let any = wanted.filter(|subnet| subnet.addr().is_unspecified());
                let subnet = match wanted.filter(|_| any.is_none()) {
                    Some(subnet) => subnet,
                    None => {
                        let v6 = any.map_or(ask.v6, |any| !any.addr().is_ipv4());
                        let size = any.map(|any| any.prefix_len());
                        self.control.free_subnet(driver == Some("overlay"), v6, size, &held)?
                    }
                };
                let id = pool::id(None, subnet, range);
                Pool { id, subnet, range, network: None, joined: false, gateway: None, uses: 0, since: 0 }
            }
        };
        if let Some(known) = self.records().pools.get(&pool.id) {
            pool = known.clone();
        }
        if pool.network.is_none() {
            // What was promised to a network that never came counts no more.
            pool.gateway = None;
        }
        pool.since = now_millis();
        pool.uses = pool.uses.saturating_add(1);
        self.write(vec![record::pool(&pool)]).await?;
        let answer = PoolAnswer { pool_id: pool.id.clone(), pool: pool.subnet.to_string(), data: Map::new() };
        self.records().pools.insert(pool.id.clone(), pool);
        Ok(answer)
    }

    /// The subnet of an existing network that is meant.
    fn subnet_of(&self, record: &NetworkRecord, wanted: Option<IpNet>, v6: bool) -> Result<SubnetRecord, Error> {
        let mut subnets = record.subnets.iter();
        if let Some(wanted) = wanted {
            let found = subnets.find(|subnet| subnet.subnet == wanted).cloned();
            return found.ok_or_else(|| {
                let all: Vec<String> = record.subnets.iter().map(|subnet| subnet.subnet.to_string()).collect();
                let why = format!("it has no subnet {wanted}");
                Error::conflict(record.object(), why, format!("its own: {}; or leave --subnet out", all.join(", ")))
            });
        }
        let family = if v6 { "IPv6" } else { "IPv4" };
        let found = subnets.find(|subnet| subnet.subnet.addr().is_ipv6() == v6).ok_or_else(|| {
            Error::conflict(
                record.object(),
                format!("it has no {family} subnet"),
                "join it as it is, or choose another",
            )
        })?;
        // Asked for no subnet by name, Docker goes on asking for as long as the host has a route to the answer.
        if self.control.has_route(found.subnet) {
            let why = format!("Docker wants its subnet by name, because the host has routes to {}", found.subnet);
            return Err(Error::conflict(record.object(), why, format!("give --subnet {}", found.subnet)));
        }
        Ok(found.clone())
    }

    pub(super) async fn release_pool(self: Arc<Self>, ask: OfPool) -> Result<Value, Error> {
        let _one = self.changing.lock().await;
        let Some(mut pool) = self.records().pools.get(&ask.pool_id).cloned() else { return Ok(json!({})) };
        pool.uses = pool.uses.saturating_sub(1);
        if pool.uses > 0 {
            self.write(vec![record::pool(&pool)]).await?;
            self.records().pools.insert(pool.id.clone(), pool);
        } else {
            self.write(vec![record::no_pool(&pool.id)]).await?;
            self.records().pools.remove(&pool.id);
        }
        Ok(json!({}))
    }

    pub(super) async fn request_address(self: Arc<Self>, ask: OfPool) -> Result<AddressAnswer, Error> {
        let known = self.records().pools.get(&ask.pool_id).cloned();
        let pool = known.or_else(|| pool::of_id(&ask.pool_id)).ok_or_else(|| {
            Error::not_found(format!("pool {}", ask.pool_id), "remove the Docker network and create it again")
        })?;
        let want = pool::address(&ask.address)?;
        if let Some(want) = want.filter(|want| !pool.subnet.contains(want)) {
            let why = format!("it is not in {}", pool.subnet);
            return Err(Error::invalid(format!("address {want}"), why, "choose one that is"));
        }
        let gateway = ask.options.get(KIND).is_some_and(|kind| kind == GATEWAY);
        let address = match (&pool.network, gateway) {
            (Some(network), true) => self.gateway_of(network, &pool, want).await?,
            (Some(network), false) => self.address_in(network, &pool, want).await?,
            (None, true) => self.promise_gateway(&pool, want).await?,
            // An auxiliary address: the network is made with it.
            (None, false) => want.ok_or_else(|| {
                Error::conflict(format!("pool {}", pool.id), "its network has not been created", "create it first")
            })?,
        };
        let address = IpNet::new_assert(address, pool.subnet.prefix_len()).to_string();
        Ok(AddressAnswer { address, data: Map::new() })
    }

    /// An existing network has its gateway, the same for every engine.
    async fn gateway_of(&self, network: &str, pool: &Pool, want: Option<IpAddr>) -> Result<IpAddr, Error> {
        let record = self.control.network(network).await?;
        let subnet = record.subnets.iter().find(|subnet| subnet.subnet == pool.subnet);
        let gateway = subnet.and_then(|subnet| subnet.gateway).ok_or_else(|| {
            Error::conflict(record.object(), format!("its subnet {} has no gateway", pool.subnet), "choose another")
        })?;
        match want {
            Some(want) if want != gateway => {
                let why = format!("its gateway is {gateway}, not {want}");
                Err(Error::conflict(record.object(), why, "leave --gateway out"))
            }
            _ => Ok(gateway),
        }
    }

    /// The gateway of a network that is about to be made.
    async fn promise_gateway(&self, pool: &Pool, want: Option<IpAddr>) -> Result<IpAddr, Error> {
        let _one = self.changing.lock().await;
        let mut pool = self.records().pools.get(&pool.id).unwrap_or(pool).clone();
        let gateway = match want.or(pool.gateway) {
            Some(gateway) => gateway,
            None => pool::first_gateway(pool.subnet, pool.range)?,
        };
        pool.gateway = Some(gateway);
        self.write(vec![record::pool(&pool)]).await?;
        self.records().pools.insert(pool.id.clone(), pool);
        Ok(gateway)
    }

    async fn address_in(&self, network: &str, pool: &Pool, want: Option<IpAddr>) -> Result<IpAddr, Error> {
        let record = self.control.network(network).await?;
        let subnet = record.subnets.iter().find(|subnet| subnet.subnet == pool.subnet);
        let reserved = |want: &IpAddr| {
            subnet.is_some_and(|s| s.gateway == Some(*want) || s.aux_addresses.values().any(|aux| aux == want))
        };
        // Nobody gets those; Docker only makes sure of it.
        if let Some(aux) = want.filter(|want| reserved(want) && pool.joined) {
            return Ok(aux);
        }
        // One that nobody uses was granted in an earlier life of one of the two sides.
        let again = want.is_some_and(|want| !self.is_wanted(network, want));
        let narrow = pool.range.filter(|range| subnet.is_none_or(|subnet| subnet.ip_range != Some(*range)));
        let ask = Reserve { subnet: pool.subnet, range: narrow, want, again };
        let address = self.control.reserve(network, ask).await?.addr();
        self.grant(network, address);
        Ok(address)
    }

    /// What Docker gives back is used by nobody any more, whatever it has or has not told before.
    pub(super) async fn release_address(self: Arc<Self>, ask: OfPool) -> Result<Value, Error> {
        let known = self.records().pools.get(&ask.pool_id).cloned();
        let pool = known.or_else(|| pool::of_id(&ask.pool_id));
        let network = pool.and_then(|pool| pool.network);
        if let (Some(network), Ok(Some(address))) = (network, pool::address(&ask.address)) {
            self.forget_address(&network, address).await;
        }
        Ok(json!({}))
    }
}
