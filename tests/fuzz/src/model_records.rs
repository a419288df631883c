//! Rows of the store are refused or keep their rules: nothing in them can be taken for another row's key, for an address
//! that no station has, or for a number that VXLAN has not.

use ctl::model::{Cluster, HostEndpoints, HostRecord, NetworkRecord, is_id, is_name, key};

use super::json::read;

/// The input is a row of any kind.
pub fn run(data: &[u8]) {
    read::<Cluster>(data);
    if let Some(host) = read::<HostRecord>(data) {
        assert_eq!(key::last(&key::host(&host.name)), host.name.rsplit('/').next().unwrap_or_default());
    }
    if let Some(lease) = read::<ipam::Lease>(data) {
        let key = key::lease("n", lease.address);
        assert!(!key.contains(':') && key.starts_with(&key::leases("n")));
    }
    if let Some(network) = read::<NetworkRecord>(data) {
        assert!(NetworkRecord::read("other", data).is_err(), "the key decides");
        if let Ok(network) = NetworkRecord::read(&network.id, data) {
            check_network(&network);
        }
    }
    read::<HostEndpoints>(data);
    if let Ok(row) = HostEndpoints::read(data) {
        check_endpoints(&row);
    }
}

fn check_network(network: &NetworkRecord) {
    assert!(is_id(&network.id) && is_name(&network.name) && network.is_global());
    assert!(network.vni.is_some_and(|vni| (1..1 << 24).contains(&vni)) && network.mtu >= 68);
    assert!(network.subnets.iter().all(|subnet| subnet.plan().is_ok()));
    let _ = (network.object(), network.driver_text(), network.scope_text(), network.is_predefined());
}

fn check_endpoints(row: &HostEndpoints) {
    assert!(is_name(&row.host) && !row.vtep.is_unspecified() && !row.vtep.is_multicast());
    for endpoint in &row.endpoints {
        assert!(endpoint.mac.is_station());
        assert!(endpoint.addresses.iter().all(|net| !net.addr().is_multicast() && !net.addr().is_unspecified()));
    }
    let parts: Vec<HostEndpoints> =
        row.parts().iter().map(|part| HostEndpoints::read(part).expect("a part is a row")).collect();
    let all: Vec<_> = parts.into_iter().flat_map(|part| part.endpoints).collect();
    assert_eq!(all, row.endpoints);
}
