//! Who is called what: sandboxes by name, alias and container id.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::EndpointRecord;

/// Addresses by name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl Names {
    /// Adds an endpoint. Several may have one name: it stands for all.
    pub fn insert(&mut self, record: &EndpointRecord) {
        let names = [&record.name, &record.container_id].into_iter().chain(&record.aliases);
        for name in names.filter(|name| !name.is_empty()) {
            let known = self.addresses.entry(name.clone()).or_default();
            known.extend(record.addresses.iter().map(|net| net.addr()));
        }
    }

    /// The addresses of a name; none if nobody has it.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.addresses.get(name).cloned().unwrap_or_default()
    }
}
