//! Which interfaces lead outside: those that the operator named, or every one that a container's packets may leave by.

use std::collections::BTreeSet;

use super::facts::{Facts, is_link_local_v6};

/// What `--uplink` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Every interface that can be one.
    #[default]
    Auto,
    /// No way outside, and nothing is made on the host.
    None,
    /// These, as soon and as long as they are there.
    Named(Vec<String>),
}

impl Selection {
    /// `auto`, `none`, or names with commas between them.
    pub fn read(text: &str) -> Selection {
        match text.trim() {
            "auto" => Selection::Auto,
            "none" => Selection::None,
            names => {
                let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
                Selection::Named(names.map(str::to_owned).collect())
            }
        }
    }
}

/// The numbers of the interfaces. `own` is the host's link to the switch, which never is one.
pub(super) fn choose(facts: &Facts, selection: &Selection, own: u32) -> BTreeSet<u32> {
    let links = facts.links.iter().filter(|(index, link)| **index != own && !link.loopback && link.up);
    match selection {
        Selection::None => BTreeSet::new(),
        Selection::Named(names) => {
            links.filter(|(_, link)| names.contains(&link.name)).map(|(index, _)| *index).collect()
        }
        Selection::Auto => links
            .filter(|(index, link)| link.steerable && leads_outside(facts, **index))
            .map(|(index, _)| *index)
            .collect(),
    }
}

/// Whether a link has an address that others can use, or a route beyond its neighbours: a host that is numbered on its
/// loopback has NICs without addresses.
fn leads_outside(facts: &Facts, index: u32) -> bool {
    let has_address = facts.of_link(index).any(|address| !address.ip.is_loopback() && !address.ip.is_multicast());
    let has_route = || facts.paths.iter().any(|path| path.link == index && !is_link_local_v6(path.to.addr()));
    has_address || has_route()
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample::{ETH0, ETH1, IB0, VSW0, address, facts, path};
    use super::*;

    fn chosen(facts: &Facts, selection: &str) -> Vec<u32> {
        choose(facts, &Selection::read(selection), VSW0).into_iter().collect()
    }

    #[test]
    fn words_and_lists_are_read() {
        assert_eq!(Selection::read("auto"), Selection::Auto);
        assert_eq!(Selection::read("none"), Selection::None);
        assert_eq!(Selection::read("eth0, eth1,"), Selection::Named(vec!["eth0".into(), "eth1".into()]));
    }

    #[test]
    fn an_interface_with_an_address_is_one() {
        let mut facts = facts();
        assert_eq!(chosen(&facts, "auto"), [ETH0]);
        facts.addresses.push(address(ETH1, "fe80::2/64"));
        assert_eq!(chosen(&facts, "auto"), [ETH0], "a link-local address leads nowhere");
        facts.addresses.push(address(ETH1, "198.51.100.2/24"));
        assert_eq!(chosen(&facts, "auto"), [ETH0, ETH1]);
        facts.links.get_mut(&ETH0).unwrap().up = false;
        assert_eq!(chosen(&facts, "auto"), [ETH1]);
    }

    #[test]
    fn an_interface_without_address_but_with_a_route_is_one() {
        let mut facts = facts();
        facts.paths.push(path("203.0.113.0/24", ETH1, Some("169.254.0.1")));
        assert_eq!(chosen(&facts, "auto"), [ETH0, ETH1]);
    }

    #[test]
    fn named_ones_are_taken_whatever_they_are() {
        let facts = facts();
        assert_eq!(chosen(&facts, "ib0,eth7,vsw0,lo"), [IB0]);
        assert!(chosen(&facts, "none").is_empty());
    }
}
