//! Names and places of endpoints. The network's list tells whose an endpoint is while the container is still being
//! started; the container itself answers when that is over, with its aliases, host name and process.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Engine;
use super::answers::{Container, Network};
use crate::client::segment;
use crate::control::{Description, Docking};
use crate::model::is_id;

/// How long an endpoint may take to get its container and its sandbox.
const PATIENCE: Duration = Duration::from_secs(300);

impl Engine {
    /// Learns all about an endpoint that was joined.
    pub(super) async fn follow(&self, endpoint: &str, of: &str, room: &Semaphore) {
        let (start, mut pause) = (Instant::now(), Duration::from_millis(5));
        let mut described = false;
        while start.elapsed() < PATIENCE {
            let Some(docking) = self.docking(endpoint) else { return };
            let located = docking.located || self.plugin.control.locate(endpoint, None).await;
            match docking.container_id.as_str() {
                "" => {
                    let _room = room.acquire().await;
                    self.learn_network(of).await;
                }
                container if !described || !located => {
                    let _room = room.acquire().await;
                    described = self.learn_container(container).await;
                }
                _ => return,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    fn docking(&self, endpoint: &str) -> Option<Docking> {
        self.plugin.control.dockings().into_iter().find(|docking| docking.id == endpoint)
    }

    /// Whose the endpoints of a network are.
    pub(super) async fn learn_network(&self, id: &str) {
        let Ok(network) = self.get::<Network>(&format!("/networks/{}", segment(id))).await else { return };
        let unknown: Vec<Docking> = self.plugin.control.dockings();
        for (container_id, member) in network.containers.unwrap_or_default() {
            let ours = unknown.iter().find(|docking| docking.id == member.endpoint_id);
            if ours.is_some_and(|docking| docking.container_id != container_id) && is_id(&container_id) {
                let description = Description { name: member.name, container_id, ..Description::default() };
                self.plugin.control.describe(&member.endpoint_id, description).await;
            }
        }
    }

    /// What a container is called in each of its networks, and where it is. False: it did not say.
    pub(super) async fn learn_container(&self, id: &str) -> bool {
        let dockings = self.plugin.control.dockings();
        if !dockings.iter().any(|docking| docking.container_id == id) {
            return false;
        }
        let Ok(container) = self.get::<Container>(&format!("/containers/{}/json", segment(id))).await else {
            return false;
        };
        let name = container.name.trim_start_matches('/').to_owned();
        let short: String = id.chars().take(12).collect();
        for attached in container.network_settings.networks.unwrap_or_default().into_values() {
            let endpoint = &attached.endpoint_id;
            if !dockings.iter().any(|docking| docking.id == *endpoint) {
                continue;
            }
            let aliases = attached.aliases.unwrap_or_default().into_iter();
            let mut aliases: Vec<String> = aliases.filter(|alias| *alias != short && *alias != name).collect();
            aliases.dedup();
            let description = Description {
                name: name.clone(),
                container_id: id.to_owned(),
                aliases: Some(aliases),
                hostname: Some(container.config.hostname.clone()).filter(|hostname| !hostname.is_empty()),
            };
            self.plugin.control.describe(endpoint, description).await;
            self.plugin.control.locate(endpoint, Some(container.state.pid).filter(|pid| *pid > 0)).await;
        }
        true
    }
}
