//! What Docker's engine has forgotten. It keeps its own records through all errors of a driver, and after a crash it may
//! drop them without a word: endpoints, networks and addresses that it does not list any more are given up here. Only
//! what this engine has listed before counts: another one may use the same driver.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::PoisonError;

use super::Engine;
use super::answers::{Listed, Member, Network};
use crate::client::segment;
use crate::control::Docking;
use crate::docker::{pool, record};
use crate::model::now_millis;

/// What is younger may not have been listed yet, in milliseconds.
const YOUNG: u64 = 60_000;

/// A pool for which no network comes in that time, in milliseconds, was for one that could not be made.
const UNBOUND: u64 = 600_000;

/// The addresses that Docker uses in a network of ours.
#[derive(Default)]
struct Used {
    addresses: HashSet<IpAddr>,
    /// Not all of Docker's networks could be asked, or Docker manages them by another driver.
    unsure: bool,
}

fn is_old(since: u64, age: u64) -> bool {
    now_millis().saturating_sub(since) > age
}

impl Engine {
    pub(super) async fn compare(&self) {
        let Ok(listed) = self.get::<Vec<Listed>>("/networks").await else { return };
        let listed: HashSet<String> = listed.into_iter().map(|network| network.id).collect();
        let known: Vec<record::Network> = self.plugin.records().networks.values().cloned().collect();
        let mut used: HashMap<String, Used> = HashMap::new();
        for network in known {
            if listed.contains(&network.id) {
                let used = used.entry(network.network.clone()).or_default();
                self.compare_network(network, used).await;
            } else {
                // Another engine's, or one whose addresses nobody could ask for.
                used.entry(network.network.clone()).or_default().unsure = true;
                if network.seen
                    && is_old(network.since, YOUNG)
                    && let Err(error) = self.plugin.forget_network(&network.id).await
                {
                    tracing::warn!(error = error.error, "a network that Docker has forgotten stays");
                }
            }
        }
        self.drop_unused(used).await;
        self.drop_unbound().await;
        let dockings = self.plugin.control.dockings();
        for Docking { id, .. } in &dockings {
            // Docker gave it up while it was joined.
            if !self.plugin.records().endpoints.contains_key(id) {
                self.plugin.control.undock(id).await;
            }
        }
        // Renames that nobody heard of.
        let containers: HashSet<String> = dockings.into_iter().map(|docking| docking.container_id).collect();
        for container in containers.iter().filter(|id| !id.is_empty()) {
            self.learn_container(container).await;
        }
    }

    async fn compare_network(&self, network: record::Network, used: &mut Used) {
        used.unsure |= !network.managed;
        if !network.seen {
            let seen = record::Network { seen: true, ..network.clone() };
            if self.plugin.write(vec![record::network(&seen)]).await.is_ok()
                && let Some(known) = self.plugin.records().networks.get_mut(&network.id)
            {
                known.seen = true;
            }
        }
        let Ok(found) = self.get::<Network>(&format!("/networks/{}", segment(&network.id))).await else {
            used.unsure = true;
            return;
        };
        let members: Vec<Member> = found.containers.unwrap_or_default().into_values().collect();
        let texts = members.iter().flat_map(|member| [&member.ipv4_address, &member.ipv6_address]);
        used.addresses.extend(texts.filter_map(|text| pool::address(text).ok().flatten()));
        let configured = found.ipam.config.unwrap_or_default().into_iter();
        let aux = configured.flat_map(|config| config.auxiliary_addresses.unwrap_or_default().into_values());
        used.addresses.extend(aux.filter_map(|text| pool::address(&text).ok().flatten()));
        let here: HashSet<&str> = members.iter().map(|member| member.endpoint_id.as_str()).collect();
        let lost: Vec<record::Endpoint> = {
            let records = self.plugin.records();
            let of_it = records.endpoints.values().filter(|endpoint| endpoint.of == network.id);
            of_it.filter(|e| !here.contains(e.id.as_str()) && is_old(e.since, YOUNG)).cloned().collect()
        };
        for endpoint in lost {
            self.plugin.forget_endpoint(&endpoint.id).await;
            for net in endpoint.addresses.iter().filter(|net| !used.addresses.contains(&net.addr())) {
                self.plugin.forget_address(&endpoint.network, net.addr()).await;
            }
        }
    }

    /// Gives back addresses that nobody used the last time, either: one may be granted while the engine is asked.
    async fn drop_unused(&self, used: HashMap<String, Used>) {
        let mut unused = HashSet::new();
        for (network, used) in used.into_iter().filter(|(_, used)| !used.unsure) {
            let reserved = self.plugin.control.reserved_in(&network).into_iter();
            let free = reserved.filter(|at| !used.addresses.contains(at) && !self.plugin.is_wanted(&network, *at));
            unused.extend(free.map(|address| (network.clone(), address)));
        }
        let before = {
            let mut last = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *last, unused.clone())
        };
        for (network, address) in unused.intersection(&before) {
            self.plugin.forget_address(network, *address).await;
        }
    }

    /// Pools whose network never came keep their subnet from others.
    async fn drop_unbound(&self) {
        let _one = self.plugin.changing.lock().await;
        let unbound: Vec<String> = {
            let records = self.plugin.records();
            let unbound = records.pools.values().filter(|pool| pool.network.is_none() && is_old(pool.since, UNBOUND));
            unbound.map(|pool| pool.id.clone()).collect()
        };
        for id in unbound {
            if self.plugin.write(vec![record::no_pool(&id)]).await.is_ok() {
                self.plugin.records().pools.remove(&id);
            }
        }
    }
}
