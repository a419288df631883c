//! The endpoints that one host has in one network: one record, from which every other host derives its tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::Mac;

use super::Service;

/// `v1/endpoints/<network>/<host>`, and `.../<host>.1` and so on when one row cannot hold all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEndpoints {
    /// The host's name.
    pub host: String,
    /// Where its tunnels end.
    pub vtep: IpAddr,
    /// As in the host's own record.
    pub incarnation: u64,
    /// In the order of their ids.
    pub endpoints: Vec<EndpointRecord>,
}

/// One interface of a container in one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointRecord {
    /// 64 hex digits.
    pub id: String,
    /// The sandbox's NAME on its host.
    pub name: String,
    /// The runtime's id; empty when it gave none.
    pub container_id: String,
    /// Of the link.
    pub mac: Mac,
    /// With prefix lengths, IPv4 first.
    pub addresses: Vec<IpNet>,
    /// Other names in this network.
    pub aliases: Vec<String>,
    /// What the container calls itself; also a name in this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Ports that it serves, as far as its host knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// The link's name in the sandbox.
    pub ifname: String,
    /// The user's own notes; rules in words ask for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Most bytes of JSON in one row; a row may have 128 KiB.
const PART: usize = 120 * 1024;

impl HostEndpoints {
    /// Reads a row and checks that nothing in it could disturb others.
    ///
    /// # Errors
    /// What is wrong with it, for an event.
    pub fn read(value: &[u8]) -> Result<HostEndpoints, String> {
        let row: HostEndpoints = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        if !super::is_name(&row.host) {
            return Err(format!("host {:?} is not a name", row.host));
        }
        if row.vtep.is_unspecified() || row.vtep.is_multicast() {
            return Err(format!("{} cannot be a tunnel's end", row.vtep));
        }
        for endpoint in &row.endpoints {
            if !endpoint.mac.is_station() {
                return Err(format!("endpoint {}: {} is no station's address", endpoint.name, endpoint.mac));
            }
            if let Some(bad) =
                endpoint.addresses.iter().map(IpNet::addr).find(|a| a.is_unspecified() || a.is_multicast())
            {
                return Err(format!("endpoint {}: {bad} is no host's address", endpoint.name));
            }
        }
        Ok(row)
    }

    /// The values of the rows that hold this record: one, or as many parts as needed.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let empty = HostEndpoints { endpoints: Vec::new(), ..self.clone() };
        let base = json(&empty).len();
        let mut parts = vec![empty.clone()];
        let mut size = base;
        for endpoint in &self.endpoints {
            let more = json(endpoint).len() + 1;
            if size + more > PART && parts.last().is_some_and(|part| !part.endpoints.is_empty()) {
                parts.push(empty.clone());
                size = base;
            }
            size += more;
            if let Some(part) = parts.last_mut() {
                part.endpoints.push(endpoint.clone());
            }
        }
        parts.iter().map(json).collect()
    }
}

/// JSON of a record of ours. Its maps have text keys only, so that writing cannot fail.
fn json<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(count: u32) -> HostEndpoints {
        let endpoints = (0..count).map(|n| EndpointRecord {
            id: format!("{n:064x}"),
            name: format!("web{n}"),
            container_id: format!("{n:064x}"),
            mac: Mac::from_u64(0x0242_0a00_0000 + u64::from(n)),
            addresses: vec!["10.0.0.2/8".parse().unwrap()],
            aliases: vec![],
            hostname: None,
            services: vec![],
            ifname: "eth0".into(),
            labels: BTreeMap::new(),
        });
        HostEndpoints {
            host: "h1".into(),
            vtep: "192.0.2.1".parse().unwrap(),
            incarnation: 7,
            endpoints: endpoints.collect(),
        }
    }

    #[test]
    fn one_row_or_as_many_as_needed() {
        assert_eq!(record(0).parts().len(), 1);
        assert_eq!(record(3).parts().len(), 1);
        let all = record(2000);
        let parts = all.parts();
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.len() <= 128 * 1024));
        let read: Vec<_> = parts.iter().flat_map(|part| HostEndpoints::read(part).unwrap().endpoints).collect();
        assert_eq!(read, all.endpoints);
    }

    #[test]
    fn hostile_rows_are_refused() {
        let good = serde_json::to_value(record(1)).unwrap();
        let with = |pointer: &str, value: serde_json::Value| {
            let mut row = good.clone();
            *row.pointer_mut(pointer).unwrap() = value;
            HostEndpoints::read(row.to_string().as_bytes())
        };
        assert!(with("/host", "h1".into()).is_ok());
        assert!(with("/host", "../x".into()).is_err());
        assert!(with("/vtep", "224.0.0.1".into()).is_err());
        assert!(with("/vtep", 5.into()).is_err());
        assert!(with("/endpoints/0/mac", "ff:ff:ff:ff:ff:ff".into()).is_err());
        assert!(with("/endpoints/0/addresses/0", "0.0.0.0/0".into()).is_err());
        assert!(HostEndpoints::read(b"\xff\x00").is_err());
        assert!(
            HostEndpoints::read(br#"{"host":"h1","vtep":"192.0.2.1","incarnation":1,"endpoints":[],"x":1}"#).is_err()
        );
    }
}
