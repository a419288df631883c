//! How the host reaches its containers: a route to each subnet of its bridge networks, through the host's link. The
//! host's own routes come first: a subnet that one of them overlaps is not routed.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::facts::{Facts, is_link_local_v6};
use crate::netlink::Hop;

/// Subnets to be reached, and the longest packet of their network, in bytes.
pub(super) type Wanted = BTreeMap<IpNet, u32>;

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Routes that are missing.
    pub(super) add: Vec<Hop>,
    /// Routes of ours that have to go.
    pub(super) remove: Vec<Hop>,
    /// Subnets that are not routed, and the host's route that is in the way.
    pub(super) refused: BTreeMap<IpNet, IpNet>,
}

/// Compares what is wanted with what is there. `installed` are the routes that were made here.
pub(super) fn plan(facts: &Facts, own: u32, wanted: &Wanted, installed: &BTreeSet<IpNet>) -> Plan {
    let mut plan = Plan::default();
    let Some(link) = facts.links.get(&own) else { return plan };
    let there: BTreeSet<IpNet> = facts.paths.iter().filter(|path| path.link == own).map(|path| path.to).collect();
    for (&subnet, &mtu) in wanted {
        if let Some(other) = in_the_way(facts, own, subnet) {
            plan.refused.insert(subnet, other);
        } else if !there.contains(&subnet) {
            let mtu = Some(mtu).filter(|mtu| *mtu < link.mtu);
            plan.add.push(Hop { to: subnet, via: None, link: own, mtu });
        }
    }
    let gone = installed.iter().filter(|subnet| !wanted.contains_key(*subnet) || plan.refused.contains_key(*subnet));
    plan.remove = gone.map(|&to| Hop { to, via: None, link: own, mtu: None }).collect();
    plan
}

/// A route of the host that overlaps the subnet; default routes do not count.
fn in_the_way(facts: &Facts, own: u32, subnet: IpNet) -> Option<IpNet> {
    let foreign = facts.paths.iter().filter(|path| path.link != own && path.to.prefix_len() > 0).map(|path| path.to);
    let mut serious = foreign.filter(|to| !is_link_local_v6(to.addr()) && !to.addr().is_multicast());
    serious.find(|to| to.contains(&subnet) || subnet.contains(to))
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample::{ETH0, IB0, VSW0, facts, net, path};
    use super::*;

    fn wanted(subnets: &[(&str, u32)]) -> Wanted {
        subnets.iter().map(|(subnet, mtu)| (net(subnet), *mtu)).collect()
    }

    fn hop(to: &str, mtu: Option<u32>) -> Hop {
        Hop { to: net(to), via: None, link: VSW0, mtu }
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_over_goes() {
        let mut facts = facts();
        let wanted = wanted(&[("172.18.0.0/16", 1500), ("172.19.0.0/16", 1400), ("fd00:1::/64", 9000)]);
        let all = plan(&facts, VSW0, &wanted, &BTreeSet::new());
        assert_eq!(all.add, [hop("172.18.0.0/16", None), hop("172.19.0.0/16", Some(1400)), hop("fd00:1::/64", None)]);
        assert!(all.remove.is_empty() && all.refused.is_empty());

        facts.paths.push(path("172.18.0.0/16", VSW0, None));
        facts.paths.push(path("172.30.0.0/16", VSW0, None));
        let installed = [net("172.18.0.0/16"), net("172.20.0.0/16")].into();
        let next = plan(&facts, VSW0, &wanted, &installed);
        assert_eq!(next.add.len(), 2);
        assert_eq!(next.remove, [hop("172.20.0.0/16", None)], "a route that somebody else made stays");
    }

    #[test]
    fn the_hosts_own_routes_come_first() {
        let mut facts = facts();
        let wanted = wanted(&[("10.8.0.0/16", 1500), ("10.9.0.0/24", 1500), ("fd00:1::/64", 1500)]);
        let before = plan(&facts, VSW0, &wanted, &BTreeSet::new());
        assert_eq!(before.refused, [(net("10.8.0.0/16"), net("10.8.0.0/24"))].into());
        assert_eq!(before.add, [hop("10.9.0.0/24", None), hop("fd00:1::/64", None)]);

        facts.paths.push(path("10.9.0.0/16", ETH0, Some("192.0.2.1")));
        facts.paths.retain(|path| path.link != IB0);
        let after = plan(&facts, VSW0, &wanted, &[net("10.9.0.0/24")].into());
        assert_eq!(after.refused, [(net("10.9.0.0/24"), net("10.9.0.0/16"))].into());
        assert_eq!(after.remove, [hop("10.9.0.0/24", None)]);
        assert_eq!(after.add.len(), 2);
    }

    #[test]
    fn without_the_link_nothing_is_routed() {
        let facts = Facts::default();
        assert_eq!(plan(&facts, VSW0, &wanted(&[("10.9.0.0/24", 1500)]), &BTreeSet::new()), Plan::default());
    }
}
