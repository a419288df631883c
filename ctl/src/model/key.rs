//! Where rows are in the store. Everything that comes from outside was checked to be a name or an id before it gets here.

use std::net::IpAddr;

/// The cluster's identity.
pub const CLUSTER: &str = "v1/cluster";
/// All hosts.
pub const HOSTS: &str = "v1/hosts/";
/// All networks.
pub const NETWORKS: &str = "v1/networks/";
/// All VNIs in use.
pub const VNIS: &str = "v1/vnis/";

/// A host.
pub fn host(name: &str) -> String {
    format!("{HOSTS}{name}")
}

/// A network.
pub fn network(id: &str) -> String {
    format!("{NETWORKS}{id}")
}

/// Who has a network's name.
pub fn name(name: &str) -> String {
    format!("v1/names/{name}")
}

/// Who has a VNI.
pub fn vni(vni: u32) -> String {
    format!("{VNIS}{vni}")
}

/// All endpoints of a network.
pub fn endpoints(network: &str) -> String {
    format!("v1/endpoints/{network}/")
}

/// A host's endpoints in a network; part 0 is the first row.
pub fn endpoints_of(network: &str, host: &str, part: usize) -> String {
    match part {
        0 => format!("v1/endpoints/{network}/{host}"),
        _ => format!("v1/endpoints/{network}/{host}.{part}"),
    }
}

/// All leases of a network.
pub fn leases(network: &str) -> String {
    format!("v1/leases/{network}/")
}

/// The lease of an address. A colon is not allowed in keys.
pub fn lease(network: &str, address: IpAddr) -> String {
    format!("v1/leases/{network}/{}", address.to_string().replace(':', "-"))
}

/// The last segment.
pub fn last(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_keys() {
        assert_eq!(lease("n", "10.0.0.2".parse().unwrap()), "v1/leases/n/10.0.0.2");
        assert_eq!(lease("n", "fd00::2".parse().unwrap()), "v1/leases/n/fd00--2");
        assert_eq!(endpoints_of("n", "h1", 0), "v1/endpoints/n/h1");
        assert_eq!(endpoints_of("n", "h1", 2), "v1/endpoints/n/h1.2");
        assert_eq!(last("v1/hosts/h1"), "h1");
    }
}
