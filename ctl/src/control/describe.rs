//! Names of endpoints that are learnt after they were attached: from then on rules, publications, other hosts and people
//! call them so. A NAME is one sandbox of a host; who comes second with a name gets it with its container's id.

use std::sync::Arc;

use switch::Update;

use super::Control;
use super::attach::port_settings;
use super::state::{Endpoint, State};
use crate::filter;
use crate::model;
use crate::publish::Publication;
use crate::state::{Change, StoredEndpoint};

/// What a runtime says about a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The container's name.
    pub name: String,
    /// Its id.
    pub container_id: String,
    /// Other names in the endpoint's network; `None`: as they are.
    pub aliases: Option<Vec<String>>,
    /// What it calls itself; `None`: as it is.
    pub hostname: Option<String>,
}

impl Control {
    /// An endpoint of the engine is known by name, or by another one. Nothing happens where that is known already.
    pub async fn describe(self: &Arc<Self>, id: &str, description: Description) {
        // Nothing is published under a name while it changes.
        let gate = self.publishing.lock().await;
        let (stored, changes, renamed) = {
            let mut state = self.state();
            let Some(name) = state.name_for(id, &description) else { return };
            let Some(endpoint) = state.endpoints.get_mut(id).filter(|endpoint| !endpoint.leaving) else { return };
            let (port, before) = (endpoint.port, endpoint.stored.clone());
            let record = &mut endpoint.stored.record;
            record.name = name;
            record.container_id = description.container_id;
            if let Some(aliases) = description.aliases {
                record.aliases = aliases.into_iter().filter(|alias| is_usable(alias)).take(64).collect();
            }
            if let Some(hostname) = description.hostname.filter(|hostname| is_usable(hostname)) {
                record.hostname = Some(hostname);
            }
            if endpoint.stored == before {
                return;
            }
            let stored = endpoint.stored.clone();
            let renamed = stored.record.name != before.record.name;
            let mut changes = vec![Change::endpoint(&stored)];
            if renamed {
                changes.extend(state.rename_published(&before, &stored.record.name));
                let text = format!("is {} (container {:.12})", stored.record.name, stored.record.container_id);
                state.event("named", format!("port {}", before.record.name), text);
            }
            if let Some(bridge) = state.bridge_of(&stored.network).map(|bridge| bridge.id) {
                self.plane.apply(vec![Update::Port { id: port, settings: port_settings(bridge, &stored) }]);
            }
            self.tell_names(&mut state, id);
            (stored, changes, renamed)
        };
        drop(gate);
        self.remember(changes).await;
        // What cannot be followed is a warning, and tried again.
        let _ = self.follow_names(Some(&stored)).await;
        if renamed {
            for (id, error) in self.settle(&mut self.state(), Some(&stored.record.name)) {
                tracing::warn!(id, error = error.error, "still steered");
            }
        }
    }
}

impl State {
    /// What the sandbox of an endpoint is to be called: the container's name if it can be, and nobody else has it.
    fn name_for(&self, id: &str, description: &Description) -> Option<String> {
        let wanted = &description.name;
        let container = &description.container_id;
        if !model::is_name(container) {
            return None;
        }
        let another = |endpoint: &Endpoint| {
            let record = endpoint.record();
            let called_so = record.name == *wanted || record.aliases.contains(wanted);
            !endpoint.leaving && record.id != id && called_so && record.container_id != *container
        };
        let comes = self.coming.values().any(|coming| coming.is_another(wanted, container));
        let taken = comes || self.endpoints.values().any(another);
        if is_usable(wanted) && !taken {
            return Some(wanted.clone());
        }
        let short: String = container.chars().take(12).collect();
        let long = format!("{:.100}-{short}", wanted);
        Some(if is_usable(&long) { long } else { short })
    }

    /// What was published for an endpoint follows its new name.
    fn rename_published(&mut self, before: &StoredEndpoint, name: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        let of_it = |publication: &Publication| {
            publication.name == before.record.name && publication.network.as_ref() == Some(&before.network)
        };
        for published in self.published.values_mut().filter(|published| of_it(&published.publication)) {
            published.publication.name = name.to_owned();
            changes.push(Change::publication(&published.publication));
        }
        changes
    }
}

/// Whether rules and people can mean a sandbox by it.
fn is_usable(name: &str) -> bool {
    model::is_name(name) && filter::can_name(name) && !filter::PLACES.contains(&name)
}
