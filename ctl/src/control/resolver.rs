//! What the resolv.conf of a sandbox is to hold: the gateways of its networks, which answer for the names in all of
//! them, unless its endpoints or its networks want something else; else what the host's own holds. Pure; the same for every endpoint of a sandbox.

use std::collections::HashMap;
use std::net::IpAddr;

use super::gateway;
use super::state::{Endpoint, State};
use crate::model::{NAMESERVERS, NetworkRecord, Resolver};

/// The endpoints of each sandbox, by NAME.
pub(super) struct Sandboxes<'a> {
    state: &'a State,
    by_name: HashMap<&'a str, Vec<&'a Endpoint>>,
    inherited: &'a Resolver,
}

impl<'a> Sandboxes<'a> {
    /// Those of this host, whose own resolver holds what is inherited; all, or the one of that name.
    pub(super) fn of(state: &'a State, inherited: &'a Resolver, name: Option<&str>) -> Sandboxes<'a> {
        let mut by_name: HashMap<&str, Vec<&Endpoint>> = HashMap::new();
        let meant = |endpoint: &&Endpoint| !endpoint.leaving && name.is_none_or(|name| endpoint.record().name == name);
        for endpoint in state.endpoints.values().filter(meant) {
            by_name.entry(&endpoint.record().name).or_default().push(endpoint);
        }
        by_name.values_mut().for_each(|all| all.sort_by_key(|endpoint| (endpoint.stored.since, endpoint.port)));
        Sandboxes { state, by_name, inherited }
    }

    /// What the resolver of a sandbox is to hold.
    pub(super) fn resolver(&self, name: &str) -> Resolver {
        let all = self.by_name.get(name).into_iter().flatten();
        let parts = all.filter_map(|endpoint| {
            let network = self.state.networks.get(&endpoint.stored.network)?;
            Some(Part { network: &network.record, addresses: endpoint.addresses(), wish: &endpoint.stored.dns })
        });
        settle(parts.collect(), self.inherited)
    }
}

/// One endpoint, as far as it matters here.
struct Part<'a> {
    network: &'a NetworkRecord,
    addresses: Vec<IpAddr>,
    wish: &'a Resolver,
}

/// From the endpoints of a sandbox in the order in which they came. What an endpoint wants goes before what a network
/// wants, and that before what is inherited, in each line by itself.
fn settle(mut parts: Vec<Part<'_>>, inherited: &Resolver) -> Resolver {
    parts.sort_by_key(|part| part.network.internal);
    let mut nameservers: Vec<IpAddr> = Vec::new();
    // The first server of each family of each network: another answers when a network is left meanwhile.
    for round in 0..NAMESERVERS {
        for part in &parts {
            let servers = match part.network.dns.nameservers.as_slice() {
                [] => gateway::beside_all(part.network, &part.addresses),
                wanted => wanted.to_vec(),
            };
            if let Some(server) = servers.get(round).filter(|server| !nameservers.contains(server)) {
                nameservers.push(*server);
            }
        }
    }
    if let Some(part) = parts.iter().find(|part| !part.wish.nameservers.is_empty()) {
        nameservers.clone_from(&part.wish.nameservers);
    }
    nameservers.truncate(NAMESERVERS);
    let wanted = |of: fn(&Resolver) -> &Vec<String>| {
        let wishes = parts.iter().map(|part| of(part.wish)).chain(parts.iter().map(|part| of(&part.network.dns)));
        wishes.chain([of(inherited)]).find(|lines| !lines.is_empty()).cloned().unwrap_or_default()
    };
    let search = wanted(|resolver| &resolver.search).into_iter().filter(|domain| domain != ".").collect();
    let mut options = wanted(|resolver| &resolver.options);
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        // A container's name has no dot, and is asked as it is first.
        options.push("ndots:0".into());
    }
    Resolver { nameservers, search, options }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::gateway::tests::record;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn servers(texts: &[&str]) -> Resolver {
        Resolver { nameservers: addresses(texts), ..Resolver::default() }
    }

    #[test]
    fn gateways_that_lead_out_come_first() {
        let none = Resolver::default();
        let inner = record(&[("10.1.0.0/24", "10.1.0.1")], true);
        let red = record(&[("10.2.0.0/24", "10.2.0.1"), ("fd00::/64", "fd00::1"), ("10.3.0.0/24", "10.3.0.1")], false);
        let parts = || {
            vec![
                Part { network: &inner, addresses: addresses(&["10.1.0.2"]), wish: &none },
                Part { network: &red, addresses: addresses(&["10.2.0.2", "fd00::2"]), wish: &none },
            ]
        };
        let resolver = settle(parts(), &none);
        assert_eq!(resolver.nameservers, addresses(&["10.2.0.1", "10.1.0.1", "fd00::1"]));
        assert_eq!((resolver.search.len(), resolver.options), (0, vec!["ndots:0".to_owned()]));
        assert_eq!(settle(parts()[..1].iter().map(clone).collect(), &none).nameservers, addresses(&["10.1.0.1"]));
        assert!(settle(Vec::new(), &none).nameservers.is_empty());
    }

    fn clone<'a>(part: &Part<'a>) -> Part<'a> {
        Part { network: part.network, addresses: part.addresses.clone(), wish: part.wish }
    }

    #[test]
    fn an_endpoint_wants_before_a_network_wants() {
        let none = Resolver::default();
        let mut red = record(&[("10.2.0.0/24", "10.2.0.1")], false);
        red.dns = Resolver { search: vec!["red.example".into()], ..servers(&["192.0.2.53"]) };
        let here = || addresses(&["10.2.0.2"]);
        let host = Resolver { search: vec!["corp.example".into()], options: vec!["ndots:5".into()], ..servers(&[]) };
        let of_network = settle(vec![Part { network: &red, addresses: here(), wish: &none }], &host);
        assert_eq!(
            (of_network.nameservers, of_network.search),
            (addresses(&["192.0.2.53"]), vec!["red.example".into()])
        );
        assert_eq!(of_network.options, ["ndots:5"], "the host's, and nothing of ours besides");
        let wish = Resolver { search: vec![".".into()], options: vec!["ndots:2".into()], ..servers(&["192.0.2.9"]) };
        let own = settle(vec![Part { network: &red, addresses: here(), wish: &wish }], &host);
        assert_eq!((own.nameservers, own.search.len()), (addresses(&["192.0.2.9"]), 0));
        assert_eq!(own.options, ["ndots:2"]);
    }

    #[tokio::test]
    async fn a_port_says_what_its_resolver_is_to_hold_and_remembers_why() {
        use crate::api::{AddPort, CreateNetwork, Kind};
        use crate::control::tests::{Host, store};
        use crate::state::Memory;
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        let ask =
            CreateNetwork { name: "LAN".into(), dns_search: vec!["lan.example".into()], ..CreateNetwork::default() };
        host.control.create_network(ask.clone()).await.unwrap();
        assert_eq!(host.control.networks().iter().filter(|network| network.dns.search == ask.dns_search).count(), 1);
        let bad = CreateNetwork { name: "WAN".into(), dns_search: vec!["a b".into()], ..ask };
        assert_eq!(host.control.create_network(bad).await.unwrap_err().kind, Kind::Invalid);
        let ask = |name: &str| AddPort { network: "LAN".into(), name: name.into(), ..AddPort::default() };
        let port = host.ask(ask("web")).await.unwrap();
        let gateway = port.addresses[0].trunc().hosts().next();
        assert_eq!((port.dns.nameservers, port.dns.search), (Vec::from_iter(gateway), vec!["lan.example".to_owned()]));
        let own = AddPort { hostname: Some("db.example".into()), dns: addresses(&["192.0.2.9"]), ..ask("db") };
        let port = host.ask(own).await.unwrap();
        assert_eq!((port.dns.nameservers, port.hostname.as_deref()), (addresses(&["192.0.2.9"]), Some("db.example")));
        let stored = Memory::read(&host.disk).unwrap().endpoints;
        assert_eq!(stored.iter().filter(|stored| stored.dns == servers(&["192.0.2.9"])).count(), 1);
        for bad in [
            AddPort { hostname: Some("a b".into()), ..ask("x") },
            AddPort { dns: addresses(&["::"]), ..ask("x") },
            AddPort { dns_options: vec!["a b".into()], ..ask("x") },
        ] {
            assert_eq!(host.ask(bad).await.unwrap_err().kind, Kind::Invalid);
        }
    }
    #[tokio::test]
    async fn the_hosts_search_domains_and_options_are_followed_and_its_servers_are_not() {
        use crate::api::{AddPort, CreateNetwork};
        use crate::control::tests::{Host, store};
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        host.control.create_network(CreateNetwork { name: "LAN".into(), ..CreateNetwork::default() }).await.unwrap();
        let write = |text: &str| std::fs::write(&host.control.settings.resolv_conf, text).unwrap();
        write("nameserver 192.0.2.1\nsearch corp.example\noptions edns0\n");
        let port = host.attach("LAN", "web").await.unwrap();
        assert_eq!((port.dns.search, port.dns.options), (vec!["corp.example".into()], texts(&["edns0", "ndots:0"])));
        assert!(!port.dns.nameservers.contains(&addresses(&["192.0.2.1"])[0]));
        write("search other.example corp.example\noptions ndots:2\n");
        let port = host.control.ports(Some("web")).await.unwrap().pop().unwrap();
        assert_eq!(port.dns.search, ["other.example", "corp.example"]);
        assert_eq!(port.dns.options, ["ndots:2"]);
        let none =
            AddPort { network: "LAN".into(), name: "db".into(), dns_search: texts(&["."]), ..AddPort::default() };
        assert!(host.ask(none).await.unwrap().dns.search.is_empty());
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
