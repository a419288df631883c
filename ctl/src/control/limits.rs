//! Changing the limits of an endpoint that is attached: remembered first, then in force with the next frame.

use std::sync::Arc;

use switch::Update;

use super::Control;
use crate::api::{Error, Port};
use crate::model::Limits;
use crate::state::Change;

impl Control {
    /// `set-port`: changes what is named, of a sandbox's endpoint in one network.
    ///
    /// # Errors
    /// 400 when the limits make no sense, 404 when there is no such endpoint.
    pub async fn set_limits(self: &Arc<Self>, name: &str, network: &str, change: Limits) -> Result<Port, Error> {
        let network = self.state().network_id(network)?;
        // One after the other: each starts from what the one before it has left.
        let _gate = self.limiting.lock().await;
        let (id, stored) = {
            let state = self.state();
            let object = format!("port {name} in network {}", state.network_name(&network));
            let endpoint = state.endpoints_in(&network).find(|endpoint| endpoint.is_called(name));
            let endpoint = endpoint.ok_or_else(|| Error::not_found(object.clone(), "see `vsctl ports`"))?;
            let mut stored = endpoint.stored.clone();
            stored.limits = stored.limits.changed(&change);
            stored.limits.check().map_err(|(why, remedy)| Error::invalid(object, why, remedy))?;
            (endpoint.record().id.clone(), stored)
        };
        let gone = || Error::not_found(format!("port {name}"), "its sandbox ended meanwhile");
        let limits = stored.limits;
        let written = self.disk.write(vec![Change::endpoint(&stored)]).await;
        written.map_err(|error| Error::failed(format!("port {name}"), error.to_string()))?;
        let known = {
            let mut state = self.state();
            match state.endpoints.get_mut(&id).filter(|endpoint| !endpoint.leaving) {
                Some(endpoint) => {
                    endpoint.stored.limits = limits;
                    let port = endpoint.port;
                    self.plane.apply(vec![Update::Policing { id: port, limits: limits.policing() }]);
                    true
                }
                None => false,
            }
        };
        if !known {
            // It was forgotten while it was written down.
            self.remember(vec![Change::no_endpoint(&id)]).await;
            return Err(gone());
        }
        self.port(&id).await.ok_or_else(gone)
    }
}
