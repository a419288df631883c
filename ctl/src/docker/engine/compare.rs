//! What Docker's engine has forgotten. It keeps its own records through all errors of a driver, and after a crash it may
//! drop them without a word: endpoints, networks and addresses that it does not list any more are given up here.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::Engine;
use super::answers::{Listed, Network};
use crate::client::segment;
use crate::docker::pool;
use crate::docker::record;
use crate::model::now_millis;

/// What is younger may not have been listed yet, in milliseconds.
const YOUNG: u64 = 60_000;

/// The addresses that Docker uses in a network of ours.
#[derive(Default)]
struct Used {
    addresses: HashSet<IpAddr>,
    /// Not all of Docker's networks could be asked, or Docker manages them by another driver.
    unsure: bool,
}

impl Engine {
    pub(super) async fn compare(&self) {
        let Ok(listed) = self.get::<Vec<Listed>>("/networks").await else { return };
        let listed: HashSet<String> = listed.into_iter().map(|network| network.id).collect();
        let old = |since: u64| now_millis().saturating_sub(since) > YOUNG;
        let known: Vec<record::Network> = self.plugin.records().networks.values().cloned().collect();
        let mut used: HashMap<String, Used> = HashMap::new();
        for network in known {
            if !listed.contains(&network.id) {
                if old(network.since)
                    && let Err(error) = self.plugin.forget_network(&network.id).await
                {
                    tracing::warn!(error = error.error, "a network that Docker has forgotten stays");
                }
                continue;
            }
            let used = used.entry(network.network.clone()).or_default();
            used.unsure |= !network.managed;
            let Ok(found) = self.get::<Network>(&format!("/networks/{}", segment(&network.id))).await else {
                used.unsure = true;
                continue;
            };
            let members: Vec<_> = found.containers.unwrap_or_default().into_values().collect();
            let texts = members.iter().flat_map(|member| [&member.ipv4_address, &member.ipv6_address]);
            used.addresses.extend(texts.filter_map(|text| pool::address(text).ok().flatten()));
            let configured = found.ipam.config.unwrap_or_default().into_iter();
            let aux = configured.flat_map(|config| config.auxiliary_addresses.unwrap_or_default().into_values());
            used.addresses.extend(aux.filter_map(|text| pool::address(&text).ok().flatten()));
            let here: HashSet<&str> = members.iter().map(|member| member.endpoint_id.as_str()).collect();
            let lost: Vec<String> = {
                let records = self.plugin.records();
                let of_it = records.endpoints.values().filter(|endpoint| endpoint.of == network.id);
                let lost = of_it.filter(|endpoint| !here.contains(endpoint.id.as_str()) && old(endpoint.since));
                lost.map(|endpoint| endpoint.id.clone()).collect()
            };
            for endpoint in lost {
                self.plugin.forget_endpoint(&endpoint).await;
            }
        }
        for (network, used) in used.into_iter().filter(|(_, used)| !used.unsure) {
            for address in self.plugin.control.reserved_in(&network) {
                if !used.addresses.contains(&address) && !self.plugin.is_wanted(&network, address) {
                    self.plugin.forget_address(&network, address).await;
                }
            }
        }
    }
}
