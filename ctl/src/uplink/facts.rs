//! What the kernel says about the host's network, as far as it is needed here: links, addresses, routes of the main
//! table. Plain values: read elsewhere, so that all decisions on them are pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

/// `RT_SCOPE_LINK`: not to be used beyond the link.
pub(super) const SCOPE_LINK: u8 = 253;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    /// In bytes.
    pub(super) mtu: u32,
    /// Whether its frames begin with an Ethernet or an IP header, so that they can be steered.
    pub(super) steerable: bool,
    pub(super) loopback: bool,
    pub(super) up: bool,
}

/// An address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) link: u32,
    pub(super) ip: IpAddr,
    /// The prefix of its neighbours; on a point-to-point link the other end's.
    pub(super) net: IpNet,
    /// `RT_SCOPE_*`: smaller is wider.
    pub(super) scope: u8,
    /// IPv4: another address of the same subnet comes first. IPv6: temporary (RFC 8981).
    pub(super) secondary: bool,
    /// Not for new connections (RFC 4862 section 5.5.4).
    pub(super) deprecated: bool,
}

/// A unicast route of the main table; of several next hops the first that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) to: IpNet,
    pub(super) link: u32,
    pub(super) via: Option<IpAddr>,
    /// The source that somebody asked for.
    pub(super) source: Option<IpAddr>,
    pub(super) scope: u8,
    /// Less is preferred.
    pub(super) metric: u32,
    /// RFC 4191: of routes of one metric, less is preferred.
    pub(super) rank: u8,
    /// In bytes, where it differs from the link's.
    pub(super) mtu: Option<u32>,
}

/// All of it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) links: BTreeMap<u32, Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) paths: Vec<Path>,
}

impl Facts {
    /// Addresses by which others reach this host, sorted: all but loopback and IPv6 link-local ones, and those of the
    /// link `but`.
    pub(super) fn locals(&self, but: Option<u32>) -> Vec<IpAddr> {
        let outside = self.addresses.iter().filter(|address| Some(address.link) != but).map(|address| address.ip);
        outside.filter(|ip| !ip.is_loopback() && !is_link_local_v6(*ip)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The addresses of one link that others may use.
    pub(super) fn of_link(&self, link: u32) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.link == link && !is_link_local_v6(address.ip))
    }
}

pub(super) fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Facts for tests.
#[cfg(test)]
pub(super) mod sample {
    use super::*;

    pub(in super::super) const LO: u32 = 1;
    pub(in super::super) const ETH0: u32 = 2;
    pub(in super::super) const ETH1: u32 = 3;
    pub(in super::super) const IB0: u32 = 4;
    pub(in super::super) const VSW0: u32 = 9;

    pub(in super::super) fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    pub(in super::super) fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    /// `192.0.2.10/24` on a link, of global scope.
    pub(in super::super) fn address(link: u32, text: &str) -> Address {
        let net = net(text);
        let scope = if is_link_local_v6(net.addr()) { SCOPE_LINK } else { 0 };
        Address { link, ip: net.addr(), net: net.trunc(), scope, secondary: false, deprecated: false }
    }

    /// A route through a link, of its usual scope.
    pub(in super::super) fn path(to: &str, link: u32, via: Option<&str>) -> Path {
        let scope = if via.is_none() && to.contains('.') { SCOPE_LINK } else { 0 };
        Path { to: net(to), link, via: via.map(ip), source: None, scope, metric: 0, rank: 1, mtu: None }
    }

    /// lo, eth0 with both families and the default routes, eth1 without address, one of another kind, and vsw0.
    pub(in super::super) fn facts() -> Facts {
        let link = |name: &str, mtu, steerable| Link { name: name.into(), mtu, steerable, loopback: false, up: true };
        let links = BTreeMap::from([
            (LO, Link { loopback: true, ..link("lo", 65_536, false) }),
            (ETH0, link("eth0", 1500, true)),
            (ETH1, link("eth1", 9000, true)),
            (IB0, link("ib0", 1400, false)),
            (VSW0, link("vsw0", 1500, true)),
        ]);
        let addresses = vec![
            Address { scope: 254, ..address(LO, "127.0.0.1/8") },
            Address { scope: 254, ..address(LO, "::1/128") },
            address(ETH0, "192.0.2.10/24"),
            address(ETH0, "2001:db8::10/64"),
            address(ETH0, "fe80::1/64"),
            address(IB0, "10.8.0.2/24"),
            Address { scope: SCOPE_LINK, ..address(VSW0, "169.254.86.1/24") },
            address(VSW0, "fd76:7377:3000::1/64"),
        ];
        let paths = vec![
            path("0.0.0.0/0", ETH0, Some("192.0.2.1")),
            Path { source: Some(ip("192.0.2.10")), ..path("192.0.2.0/24", ETH0, None) },
            path("10.8.0.0/24", IB0, None),
            path("169.254.86.0/24", VSW0, None),
            path("::/0", ETH0, Some("fe80::9")),
            path("2001:db8::/64", ETH0, None),
            path("fe80::/64", ETH0, None),
            path("fd76:7377:3000::/64", VSW0, None),
        ];
        Facts { links, addresses, paths }
    }
}
