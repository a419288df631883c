//! The host, as a gateway has to know it: its addresses, and where it would send what leaves. A mirror that the control
//! plane keeps; the kernel decides the way again when a packet leaves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashSet;
use wire::Mac;

use super::prefixes::Prefixes;
use crate::Route;

/// The source that the host sees of containers whose own addresses mean nothing to it. Of the host's end's subnets
/// (169.254.86.0/24, fd76:7377:3000::/64), where answers find back.
pub(super) fn mask(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::new(169, 254, 86, 2).into() } else { Ipv6Addr::new(0xfd76, 0x7377, 0x3000, 0, 0, 0, 0, 2).into() }
}

/// What is known of the host.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// The MAC address of the host's end of the link; without one there is no way out.
    pub(super) mac: Option<Mac>,
    addresses: HashSet<IpAddr>,
    routes: Prefixes<Route>,
}

impl Host {
    /// Takes addresses and routes. Says which addresses it no longer has.
    pub(super) fn set(&mut self, addresses: Vec<IpAddr>, routes: Vec<Route>) -> Vec<IpAddr> {
        let old = std::mem::replace(&mut self.addresses, addresses.into_iter().collect());
        self.routes = Prefixes::default();
        for route in routes {
            self.routes.insert(route.to, route);
        }
        old.difference(&self.addresses).copied().collect()
    }

    /// Whether an address is the host's own.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// The way to an address that is not the host's.
    pub(super) fn route(&self, to: IpAddr) -> Option<&Route> {
        self.routes.get(to).first()
    }
}

/// Whether an address is on the link between the switch and its host, which is nobody else's business.
pub(super) fn is_host_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [169, 254, 86],
        IpAddr::V6(address) => address.segments()[..4] == [0xfd76, 0x7377, 0x3000, 0],
    }
}

/// Whether a router has anything to do with packets to this address (RFC 1812 section 5.3.7, RFC 4291 section 2.5).
pub(super) fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            first != 0 && !address.is_loopback() && !address.is_multicast() && first < 240
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !address.is_unicast_link_local()
        }
    }
}
