//! Detaching: by request, or because the sandbox is gone. Always completes on this host; what the store has to hear is
//! written down and sent when it answers.

use std::sync::Arc;
use std::time::Duration;

use switch::PortId;
use switch::turn::Notice;

use super::Control;
use crate::api::{Disconnect, Error, Kind};
use crate::state::Change;

/// How long a request waits until its addresses are given back.
const PATIENCE: Duration = Duration::from_secs(2);

impl Control {
    /// `del-port`: removes the endpoints of a sandbox, in one network or in all.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn remove_ports(self: &Arc<Self>, name: &str, network: Option<&str>) -> Result<(), Error> {
        self.remove_links(name, network, None).await
    }

    /// The same, for one link of the sandbox where its name is given. Attachments under way are waited for.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn remove_links(
        self: &Arc<Self>,
        name: &str,
        network: Option<&str>,
        ifname: Option<&str>,
    ) -> Result<(), Error> {
        if !self.arrivals_of(name).await {
            let why = "it is still being attached";
            return Err(Error::new(Kind::Unavailable, format!("port {name}"), why, "try again"));
        }
        let stranded = self.forget_stranded(name, network, ifname).await;
        let (ids, object) = {
            let state = self.state();
            let network = match network.map(|reference| state.network_id(reference)).transpose() {
                // Of a network that is not known any more.
                Err(_) if stranded => return Ok(()),
                known => known?,
            };
            let called = state.endpoints.values().filter(|endpoint| !endpoint.leaving && endpoint.is_called(name));
            let wanted = called.filter(|endpoint| {
                network.as_ref().is_none_or(|id| endpoint.stored.network == *id)
                    && ifname.is_none_or(|ifname| endpoint.record().ifname == ifname)
            });
            let ids: Vec<String> = wanted.map(|endpoint| endpoint.record().id.clone()).collect();
            let place = network.map(|id| format!(" in network {}", state.network_name(&id))).unwrap_or_default();
            (ids, format!("port {name}{place}"))
        };
        if ids.is_empty() && !stranded {
            return Err(Error::not_found(object, "see `vsctl ports`"));
        }
        for id in ids {
            self.detach(&id, "removed").await;
        }
        Ok(())
    }

    /// `network disconnect`.
    ///
    /// # Errors
    /// 404 when it is not connected, unless forced.
    pub async fn disconnect(self: &Arc<Self>, reference: &str, ask: Disconnect) -> Result<(), Error> {
        match self.remove_ports(&ask.name, Some(reference)).await {
            Err(_) if ask.force => Ok(()),
            other => other,
        }
    }

    /// Removes one endpoint; nothing happens if somebody else does so already.
    pub(super) async fn detach(self: &Arc<Self>, id: &str, why: &str) {
        let endpoint = {
            let mut state = self.state();
            let Some(endpoint) = state.endpoints.get_mut(id).filter(|endpoint| !endpoint.leaving) else { return };
            endpoint.leaving = true;
            endpoint.clone()
        };
        let network = endpoint.stored.network.clone();
        let name = &endpoint.record().name;
        // From here to its removal nothing is waited for: who comes again at once finds its name and addresses free.
        let left = self.leave_published(name);
        let link_gone = self.withdraw(&network, endpoint.port, endpoint.record());
        let addresses: Vec<_> = endpoint.record().addresses.iter().map(|net| net.addr()).collect();
        let mut changes = {
            let mut state = self.state();
            state.endpoints.remove(id);
            let text = format!("from network {}: {why}", state.network_name(&network));
            state.event("detached", format!("port {name}"), text);
            self.give_back_of(&mut state, &endpoint.stored)
        };
        self.renamed.notify_one();
        changes.extend([Change::no_endpoint(id), Change::not_begun(id)]);
        self.remember(changes).await;
        self.end_published(name, left).await;
        // The row first: other hosts forget the endpoint before its address begins to rest.
        let change = self.state().touch(&network);
        self.announced(&network, change).await;
        link_gone.await;
        self.lead_out(&endpoint.stored.sandbox).await;
        self.leave_bridge(&network).await;
        self.release.notify_one();
        let network_id = network.clone();
        self.wait_for(PATIENCE, move |state| {
            let pending = addresses.iter().any(|address| state.releases.contains_key(&(network_id.clone(), *address)));
            !pending || !state.connected
        })
        .await;
    }

    /// What the engine has to say, until it ends.
    pub async fn hear(self: &Arc<Self>, notice: Notice) {
        match notice {
            Notice::Gone(PortId::HOST) => self.host_link_lost(),
            Notice::Gone(port) if port.is_inlet() => self.plane.inlet_lost(port),
            Notice::Gone(port) => self.port_gone(port).await,
            Notice::Ask(question) => self.forward(question),
        }
    }

    /// Published ports lead nowhere without it.
    fn host_link_lost(&self) {
        self.plane.host_link_lost();
        let failed = self.settle(&mut self.state(), None);
        failed.into_iter().for_each(|(id, error)| tracing::warn!(id, error = error.error, "still steered"));
    }

    async fn port_gone(self: &Arc<Self>, port: PortId) {
        let id = {
            let mut state = self.state();
            let found = state.endpoints.iter().find(|(_, endpoint)| endpoint.port == port).map(|(id, _)| id.clone());
            if found.is_none() && !state.attaching.is_empty() {
                state.gone.insert(port);
            }
            found
        };
        if let Some(id) = id {
            self.detach(&id, "its link vanished with its sandbox").await;
        }
    }
}
