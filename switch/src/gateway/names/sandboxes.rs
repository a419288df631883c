//! Which ports are one sandbox's: those of the same NAME. A sandbox knows the names of all its networks.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{BridgeId, PortId};

/// The ports of each sandbox, and the network of each, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Sandboxes {
    by_name: HashMap<Arc<str>, Vec<(PortId, BridgeId)>>,
}

impl Sandboxes {
    /// Takes note of a port.
    pub(crate) fn insert(&mut self, name: &Arc<str>, port: PortId, network: BridgeId) {
        let ports = self.by_name.entry(name.clone()).or_default();
        ports.retain(|(other, _)| *other != port);
        ports.push((port, network));
    }

    /// Takes note of another NAME of a port.
    pub(crate) fn rename(&mut self, old: &Arc<str>, new: &Arc<str>, (port, network): (PortId, BridgeId)) {
        if old != new {
            self.remove(old, port);
            self.insert(new, port, network);
        }
    }

    /// Forgets a port.
    pub(super) fn remove(&mut self, name: &Arc<str>, port: PortId) {
        let Some(ports) = self.by_name.get_mut(name) else { return };
        ports.retain(|(other, _)| *other != port);
        if ports.is_empty() {
            self.by_name.remove(name);
        }
    }

    /// The ports of a sandbox, and their networks.
    pub(super) fn networks(&self, name: &str) -> &[(PortId, BridgeId)] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}
