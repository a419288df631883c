//! A network: its name, address plan and numbers, the same on every host. Not its endpoints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Resolver;
use crate::filter::Policy;

/// What kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A bridge on this host.
    Bridge,
    /// A bridge over all hosts, on VXLAN.
    Overlay,
    /// The host's own namespace; predefined only.
    Host,
    /// Nothing; predefined only.
    Null,
}

/// Who knows a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This host.
    Local,
    /// Every host of the cluster.
    Global,
}

/// Networks that every host has from the start: name and driver.
pub const PREDEFINED: [(&str, Driver); 3] =
    [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::Null)];

/// `v1/networks/<id>`, and a local network in the state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRecord {
    /// 64 hex digits.
    pub id: String,
    /// Unique.
    pub name: String,
    /// The kind.
    pub driver: Driver,
    /// Who knows it.
    pub scope: Scope,
    /// RFC 3339 with nanoseconds.
    pub created: String,
    /// The address plan, in the order of the request.
    pub subnets: Vec<SubnetRecord>,
    /// Overlay only.
    pub vni: Option<u32>,
    /// In bytes; fixed when the network is created.
    pub mtu: u32,
    /// No way to the outside.
    pub internal: bool,
    /// As created.
    pub attachable: bool,
    /// As created.
    pub ipv6: bool,
    /// Driver options as created.
    pub options: BTreeMap<String, String>,
    /// The user's own notes.
    pub labels: BTreeMap<String, String>,
    /// What its containers' resolvers hold instead of its gateways.
    #[serde(default, skip_serializing_if = "Resolver::is_empty")]
    pub dns: Resolver,
}

/// A subnet of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetRecord {
    /// The prefix.
    pub subnet: IpNet,
    /// Where dynamic addresses come from.
    pub ip_range: Option<IpNet>,
    /// The gateway; absent only in a subnet of one address.
    pub gateway: Option<IpAddr>,
    /// Reserved addresses by name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

impl SubnetRecord {
    /// The rules for its addresses.
    ///
    /// # Errors
    /// When the subnet breaks them.
    pub fn plan(&self) -> Result<ipam::Subnet, ipam::Error> {
        ipam::Subnet::new(self.subnet, self.ip_range, self.gateway, self.aux_addresses.clone())
    }

    /// A checked subnet as a record.
    pub fn from_plan(plan: &ipam::Subnet) -> SubnetRecord {
        SubnetRecord { subnet: plan.cidr, ip_range: plan.range, gateway: plan.gateway, aux_addresses: plan.aux.clone() }
    }
}

impl NetworkRecord {
    /// Reads a row of the store whose key ends in `id`.
    ///
    /// # Errors
    /// What is wrong with it, for an event.
    pub fn read(id: &str, value: &[u8]) -> Result<NetworkRecord, String> {
        let network: NetworkRecord = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        if network.id != id || !super::is_id(id) {
            return Err("its id is not that of its key".into());
        }
        if !super::is_name(&network.name) {
            return Err(format!("{:?} is not a name", network.name));
        }
        if network.driver != Driver::Overlay || network.scope != Scope::Global {
            return Err("only overlay networks are shared".into());
        }
        if !(68..=65_535).contains(&network.mtu) {
            return Err(format!("MTU {} is out of range: 68 to 65535", network.mtu));
        }
        let vni = network.vni.ok_or("it has no VNI")?;
        vxlan::Vni::new(vni).map_err(|error| error.to_string())?;
        network.dns.check().map_err(|(why, _)| why)?;
        for subnet in &network.subnets {
            subnet.plan().map_err(|error| error.to_string())?;
        }
        Ok(network)
    }

    /// Whether every host knows it.
    pub fn is_global(&self) -> bool {
        self.scope == Scope::Global
    }

    /// Whether it is `bridge`, `host` or `none`.
    pub fn is_predefined(&self) -> bool {
        PREDEFINED.iter().any(|(name, _)| *name == self.name)
    }

    /// Whether its endpoints may reach each other where no rule says so.
    pub fn policy(&self) -> Policy {
        Policy::of_options(&self.options)
    }

    /// `overlay` and so on, as Docker says it.
    pub fn driver_text(&self) -> &'static str {
        match self.driver {
            Driver::Bridge => "bridge",
            Driver::Overlay => "overlay",
            Driver::Host => "host",
            Driver::Null => "null",
        }
    }

    /// `local` or `global`.
    pub fn scope_text(&self) -> &'static str {
        match self.scope {
            Scope::Local => "local",
            Scope::Global => "global",
        }
    }

    /// How messages name it.
    pub fn object(&self) -> String {
        format!("network {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, more: &str) -> String {
        format!(
            r#"{{"id":"{id}","name":"RED","driver":"overlay","scope":"global","created":"2026-01-01T00:00:00.000000000Z",
            "subnets":[{{"subnet":"10.10.10.0/24","ip_range":null,"gateway":"10.10.10.1","aux_addresses":{{}}}}],
            "vni":4096,"mtu":1450,"internal":false,"attachable":true,"ipv6":false,"options":{{}},"labels":{{}}{more}}}"#
        )
    }

    #[test]
    fn a_row_is_read_or_refused() {
        let id = super::super::new_id();
        let read = |text: String| NetworkRecord::read(&id, text.as_bytes());
        let network = read(row(&id, "")).unwrap();
        assert_eq!(network.subnets[0].plan().unwrap().gateway, Some("10.10.10.1".parse().unwrap()));
        assert_eq!(serde_json::from_str::<NetworkRecord>(&serde_json::to_string(&network).unwrap()).unwrap(), network);
        assert!(read(row(&super::super::new_id(), "")).is_err());
        assert!(read(row(&id, r#","x":1"#)).unwrap_err().contains('x'));
        assert!(read(row(&id, "").replace("4096", "16777216")).unwrap_err().contains("VNI"));
        assert!(read(row(&id, "").replace("10.10.10.0/24", "10.10.10.7/24")).is_err());
        assert!(read(row(&id, "").replace("1450", "67")).is_err());
        assert!(read("{}".into()).is_err() && read("\u{0}".into()).is_err());
    }
}
