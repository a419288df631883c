//! A network's gateway, which is the switch itself, and the ways by which sandboxes reach it. Pure but for the look at
//! a sandbox's remaining endpoints, which decides where its default routes lead when one has gone.

use std::net::IpAddr;

use ipnet::IpNet;
use switch::Gateway;
use wire::Mac;

use super::Control;
use super::state::Endpoint;
use crate::model::{Driver, NetworkRecord};
use crate::sandbox::{Reference, Way};

/// What the engine has to know of a network's gateway; `None` where no subnet has one.
pub(super) fn of(record: &NetworkRecord) -> Option<Gateway> {
    let subnets = record.subnets.iter();
    let addresses: Vec<IpNet> =
        subnets.filter_map(|subnet| IpNet::new(subnet.gateway?, subnet.subnet.prefix_len()).ok()).collect();
    let mac = mac(&addresses)?;
    Some(Gateway { mac, addresses, internal: record.internal, host_access: record.driver == Driver::Bridge })
}

/// 02:42 and the last four bytes of the gateway's first address, IPv4 before IPv6: the same on every host.
fn mac(addresses: &[IpNet]) -> Option<Mac> {
    let v4 = addresses.iter().find_map(|net| match net.addr() {
        IpAddr::V4(v4) => Some(Mac::from_ipv4(v4)),
        IpAddr::V6(_) => None,
    });
    let v6 = || match addresses.first()?.addr() {
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            Some(Mac([0x02, 0x42, a, b, c, d]))
        }
        IpAddr::V4(_) => None,
    };
    v4.or_else(v6)
}

/// The gateway in the subnet that an address is in.
fn beside(record: &NetworkRecord, address: IpAddr) -> Option<(IpNet, IpAddr)> {
    let subnet = record.subnets.iter().find(|subnet| subnet.subnet.contains(&address))?;
    Some((subnet.subnet, subnet.gateway?))
}

/// The gateways by which an endpoint leaves the network; none where nothing leads out.
pub(super) fn outward(record: &NetworkRecord, addresses: &[IpNet]) -> Vec<IpAddr> {
    if record.internal {
        return Vec::new();
    }
    addresses.iter().filter_map(|net| Some(beside(record, net.addr())?.1)).collect()
}

/// The gateways of the subnets that these addresses are in, also in an internal network.
pub(super) fn beside_all(record: &NetworkRecord, addresses: &[IpAddr]) -> Vec<IpAddr> {
    addresses.iter().filter_map(|address| Some(beside(record, *address)?.1)).collect()
}

/// Routes from an endpoint to the subnets of its network that it is not in, also in an internal network.
pub(super) fn across(record: &NetworkRecord, addresses: &[IpNet]) -> Vec<(IpNet, IpAddr)> {
    let mut routes = Vec::new();
    for net in addresses {
        let Some((own, gateway)) = beside(record, net.addr()) else { continue };
        let others = record.subnets.iter().map(|subnet| subnet.subnet);
        let others = others.filter(|other| *other != own && other.addr().is_ipv4() == gateway.is_ipv4());
        routes.extend(others.map(|other| (other, gateway)));
    }
    routes
}

impl Control {
    /// After an endpoint has gone: its sandbox's default routes lead through the oldest endpoint that is left and leads
    /// out. Nothing happens where the sandbox is gone, too.
    pub(super) async fn lead_out(&self, sandbox: &Reference) {
        let (ways, name) = {
            let state = self.state();
            let here = |endpoint: &&Endpoint| {
                let there = &endpoint.stored.sandbox;
                !endpoint.leaving && (there.dev, there.ino) == (sandbox.dev, sandbox.ino)
            };
            let mut left: Vec<&Endpoint> = state.endpoints.values().filter(here).collect();
            left.sort_by_key(|endpoint| (endpoint.stored.since, endpoint.port));
            let mut ways = Vec::new();
            for endpoint in &left {
                let Some(network) = state.networks.get(&endpoint.stored.network) else { continue };
                let record = endpoint.record();
                let gateways = outward(&network.record, &record.addresses);
                ways.extend(gateways.into_iter().map(|gateway| Way { ifname: record.ifname.clone(), gateway }));
            }
            (ways, left.first().map(|endpoint| endpoint.record().name.clone()).unwrap_or_default())
        };
        if ways.is_empty() {
            return;
        }
        if let Err(error) = self.plane.lead_out(sandbox, ways).await {
            let text = format!("no default route through its remaining networks: {}", error.error);
            self.state().event("no_default_route", format!("port {name}"), text);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{self, Scope, SubnetRecord};

    pub(in crate::control) fn record(subnets: &[(&str, &str)], internal: bool) -> NetworkRecord {
        let subnet = |(subnet, gateway): &(&str, &str)| SubnetRecord {
            subnet: subnet.parse().unwrap(),
            ip_range: None,
            gateway: gateway.parse().ok(),
            aux_addresses: Default::default(),
        };
        NetworkRecord {
            id: model::new_id(),
            name: "RED".into(),
            driver: Driver::Bridge,
            scope: Scope::Local,
            created: String::new(),
            subnets: subnets.iter().map(subnet).collect(),
            vni: None,
            mtu: 1500,
            internal,
            attachable: false,
            ipv6: false,
            options: Default::default(),
            labels: Default::default(),
            dns: Default::default(),
        }
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_gateway_has_one_mac_address_everywhere() {
        let both = of(&record(&[("fd00:1::/64", "fd00:1::1"), ("10.9.0.0/24", "10.9.0.1")], false)).unwrap();
        assert_eq!(both.mac, Mac([0x02, 0x42, 10, 9, 0, 1]));
        assert_eq!(both.addresses, nets(&["fd00:1::1/64", "10.9.0.1/24"]));
        assert!(both.host_access && !both.internal);
        let v6 = of(&record(&[("fd00:1::/64", "fd00:1::102:304")], true)).unwrap();
        assert_eq!((v6.mac, v6.internal), (Mac([0x02, 0x42, 1, 2, 3, 4]), true));
        assert_eq!(of(&record(&[("10.9.0.0/32", "")], false)), None);
        let overlay = NetworkRecord { driver: Driver::Overlay, ..record(&[("10.9.0.0/24", "10.9.0.1")], false) };
        assert!(!of(&overlay).unwrap().host_access);
    }

    #[test]
    fn ways_lead_through_the_gateway_of_the_own_subnet() {
        let subnets = [("10.1.0.0/24", "10.1.0.1"), ("10.2.0.0/24", "10.2.0.1"), ("fd00::/64", "fd00::1")];
        let addresses = nets(&["10.2.0.9/24", "fd00::9/64"]);
        let gateways: Vec<IpAddr> = vec!["10.2.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let network = record(&subnets, false);
        assert_eq!(outward(&network, &addresses), gateways);
        assert_eq!(across(&network, &addresses), [(nets(&["10.1.0.0/24"])[0], gateways[0])]);
        let internal = record(&subnets, true);
        assert!(outward(&internal, &addresses).is_empty());
        assert_eq!(across(&internal, &addresses).len(), 1);
    }
}
