//! The host's routes as the engine needs them: where packets may go, from which address, how long they may be. The
//! source is the one that the kernel would choose; routes that say nothing new are left out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use switch::Route;

use super::facts::{Address, Facts, Path, SCOPE_LINK, is_link_local_v6};

/// Routes that the engine is told of at the most. What is left out takes the way of a shorter prefix.
pub(super) const MOST: usize = 65_536;

/// Routes through `nics`, shortest prefixes first.
pub(super) fn routes(facts: &Facts, nics: &BTreeSet<u32>) -> Vec<Route> {
    let usable = |path: &&Path| !is_link_local_v6(path.to.addr()) && !path.to.addr().is_multicast();
    let mut paths: Vec<&Path> = facts.paths.iter().filter(usable).collect();
    paths.sort_by_key(|path| (path.to.prefix_len(), path.to, path.metric, path.rank));
    // The kernel takes the first; where that leads through a link that is not steered, there is no way.
    paths.dedup_by_key(|path| path.to);
    let mut kept: BTreeMap<IpNet, Route> = BTreeMap::new();
    let mut routes = Vec::new();
    for path in paths {
        let Some(route) = route(facts, nics, path) else { continue };
        let same = |wider: &Route| (wider.source, wider.mtu) == (route.source, route.mtu);
        if covering(&kept, path.to).is_some_and(same) {
            continue;
        }
        if routes.len() == MOST {
            break;
        }
        kept.insert(path.to, route.clone());
        routes.push(route);
    }
    routes
}

fn route(facts: &Facts, nics: &BTreeSet<u32>, path: &Path) -> Option<Route> {
    let link = facts.links.get(&path.link).filter(|link| link.up && nics.contains(&path.link))?;
    let source = source(facts, path)?;
    let mtu = path.mtu.unwrap_or(link.mtu).min(link.mtu);
    Some(Route { to: path.to, source, mtu: u16::try_from(mtu).unwrap_or(u16::MAX) })
}

/// The kept route with the longest prefix that covers `net`.
fn covering(kept: &BTreeMap<IpNet, Route>, net: IpNet) -> Option<&Route> {
    let mut wider = net.supernet();
    while let Some(net) = wider {
        if let Some(route) = kept.get(&net) {
            return Some(route);
        }
        wider = net.supernet();
    }
    None
}

/// The address that the host sends from on this path.
pub(super) fn source(facts: &Facts, path: &Path) -> Option<IpAddr> {
    if path.source.is_some() {
        return path.source;
    }
    match path.to {
        IpNet::V4(_) => source_v4(facts, path),
        IpNet::V6(_) => source_v6(facts, path),
    }
}

/// As the kernel (`inet_select_addr`): the link's first primary address whose scope is wide enough, better one whose
/// subnet has the gateway; without one, of any link.
fn source_v4(facts: &Facts, path: &Path) -> Option<IpAddr> {
    let fits = |address: &&Address| address.ip.is_ipv4() && !address.secondary && address.scope <= path.scope;
    let near: Vec<&Address> = facts.addresses.iter().filter(|a| a.link == path.link).filter(fits).collect();
    let beside = near.iter().find(|address| path.via.is_some_and(|via| address.net.contains(&via)));
    let any = || facts.addresses.iter().filter(fits).find(|address| address.scope < SCOPE_LINK);
    beside.or(near.first()).copied().or_else(any).map(|address| address.ip)
}

/// RFC 6724 section 5 without the rules that need the destination itself: no deprecated or temporary address if there
/// is another, the link's own first, of the destination's kind (unique local or not), then the longest common prefix.
/// A temporary address would cut the containers' connections when it is replaced.
fn source_v6(facts: &Facts, path: &Path) -> Option<IpAddr> {
    let IpAddr::V6(to) = path.to.addr() else { return None };
    let candidates = facts.addresses.iter().filter(|address| address.scope < SCOPE_LINK && !address.ip.is_loopback());
    let best = candidates.filter_map(|address| match address.ip {
        IpAddr::V6(ip) => {
            let other_kind = ip.is_unique_local() != to.is_unique_local();
            let common = (ip.to_bits() ^ to.to_bits()).leading_zeros().min(path.to.prefix_len().into());
            let rank = (address.deprecated, address.link != path.link, other_kind, address.secondary);
            Some(((rank, Reverse(common)), address.ip))
        }
        IpAddr::V4(_) => None,
    });
    // The first of equals, in the kernel's order.
    best.min_by_key(|(rank, _)| *rank).map(|(_, ip)| ip)
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample::{ETH0, ETH1, IB0, LO, address, facts, ip, net, path};
    use super::*;

    fn shown(facts: &Facts, nics: &[u32]) -> Vec<(String, String, u16)> {
        let routes = routes(facts, &nics.iter().copied().collect());
        routes.into_iter().map(|route| (route.to.to_string(), route.source.to_string(), route.mtu)).collect()
    }

    fn row(to: &str, source: &str, mtu: u16) -> (String, String, u16) {
        (to.into(), source.into(), mtu)
    }

    #[test]
    fn routes_that_say_the_same_are_one() {
        let all = shown(&facts(), &[ETH0]);
        assert_eq!(all, [row("0.0.0.0/0", "192.0.2.10", 1500), row("::/0", "2001:db8::10", 1500)]);
    }

    #[test]
    fn several_nics_each_with_its_source_and_mtu() {
        let mut facts = facts();
        facts.addresses.push(address(ETH1, "198.51.100.2/24"));
        facts.paths.push(path("198.51.100.0/24", ETH1, None));
        facts.paths.push(Path { mtu: Some(1300), ..path("203.0.113.0/24", ETH1, Some("198.51.100.1")) });
        facts.paths.push(path("203.0.113.9/32", ETH0, Some("192.0.2.1")));
        let all = shown(&facts, &[ETH0, ETH1]);
        assert_eq!(
            all[2..],
            [
                row("198.51.100.0/24", "198.51.100.2", 9000),
                row("203.0.113.0/24", "198.51.100.2", 1300),
                row("203.0.113.9/32", "192.0.2.10", 1500),
            ]
        );
        assert_eq!(shown(&facts, &[ETH1]).len(), 2, "what leaves by another link is no way");
    }

    #[test]
    fn the_metric_decides_between_equal_prefixes() {
        let mut facts = facts();
        facts.addresses.push(address(ETH1, "198.51.100.2/24"));
        let second = Path { metric: 100, ..path("0.0.0.0/0", ETH1, Some("198.51.100.1")) };
        facts.paths.insert(0, second);
        assert_eq!(shown(&facts, &[ETH0, ETH1])[0], row("0.0.0.0/0", "192.0.2.10", 1500));
        facts.paths.retain(|path| path.to != net("0.0.0.0/0") || path.metric > 0);
        assert_eq!(shown(&facts, &[ETH0, ETH1])[0], row("0.0.0.0/0", "198.51.100.2", 9000));
        facts.paths.insert(0, path("0.0.0.0/0", IB0, None));
        let none = shown(&facts, &[ETH0, ETH1]);
        assert!(none.iter().all(|(to, ..)| to != "0.0.0.0/0"), "the better one is not steered: {none:?}");
    }

    #[test]
    fn the_source_is_the_kernels() {
        let mut facts = facts();
        let asked = Path { source: Some(ip("192.0.2.77")), ..path("0.0.0.0/0", ETH0, Some("192.0.2.1")) };
        assert_eq!(source(&facts, &asked), Some(ip("192.0.2.77")));
        facts.addresses.insert(0, address(ETH0, "198.51.100.7/24"));
        let via = path("0.0.0.0/0", ETH0, Some("192.0.2.1"));
        assert_eq!(source(&facts, &via), Some(ip("192.0.2.10")), "beside the gateway");
        let on_link = path("203.0.113.0/24", ETH0, None);
        assert_eq!(source(&facts, &on_link), Some(ip("198.51.100.7")), "else the first");
        facts.addresses[0].secondary = true;
        assert_eq!(source(&facts, &on_link), Some(ip("192.0.2.10")));
        facts.addresses.insert(0, address(LO, "10.255.0.1/32"));
        let unnumbered = path("203.0.113.0/24", ETH1, Some("169.254.0.1"));
        assert_eq!(source(&facts, &unnumbered), Some(ip("10.255.0.1")), "a loopback of global scope");
        facts.addresses.retain(|address| !address.ip.is_ipv4() || address.scope > 0);
        assert_eq!(source(&facts, &via), None);
        assert!(shown(&facts, &[ETH0]).iter().all(|(to, ..)| to != "0.0.0.0/0"));
    }

    #[test]
    fn an_ipv6_source_lasts_and_is_of_the_right_kind() {
        let mut facts = facts();
        let out = path("::/0", ETH0, Some("fe80::9"));
        facts.addresses.insert(0, Address { secondary: true, ..address(ETH0, "2001:db8::bad/64") });
        facts.addresses.insert(0, Address { deprecated: true, ..address(ETH0, "2001:db8::dead/64") });
        facts.addresses.insert(0, address(ETH0, "fd00::10/64"));
        assert_eq!(source(&facts, &out), Some(ip("2001:db8::10")));
        assert_eq!(source(&facts, &path("fd00:9::/32", ETH0, Some("fe80::9"))), Some(ip("fd00::10")));
        facts.addresses.push(address(ETH0, "2001:db8:1::10/64"));
        assert_eq!(source(&facts, &path("2001:db8:1::/48", ETH0, Some("fe80::9"))), Some(ip("2001:db8:1::10")));
        assert_eq!(source(&facts, &path("2001:db8:2::/48", ETH1, Some("fe80::9"))), Some(ip("2001:db8::10")));
    }
}
