//! `filter trace`: a packet in words before the rules as they are now. Names of sandboxes stand for their addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use nat::Tuple;
use nat::rules::{AddressKinds, Family, Log, Packet, Program, RuleSet, Surroundings};

use super::beside;
use crate::api::{Error, FilterOf, TracePacket, Traced};
use crate::control::Control;
use crate::control::state::Endpoint;
use crate::filter::{Between, Described, Layer, Scope, Unclear, trace};

impl Control {
    /// `filter trace`. Nothing is counted, and rates are as if nothing had passed before.
    ///
    /// # Errors
    /// 400 for words that mean nothing, 404 for an unknown network.
    pub async fn trace(self: &Arc<Self>, ask: TracePacket) -> Result<Traced, Error> {
        let refused = |Unclear { why, remedy }: Unclear| Error::invalid("packet", why, remedy);
        if ask.input.is_none() && ask.output.is_none() {
            let remedy = "give --in, --out or both: a sandbox's name, uplink, vsw0 or tunnel";
            return Err(Error::invalid("packet", "where it comes in and goes out is not said", remedy));
        }
        let told = ask.src.or(ask.dst).map(|ip| if ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 });
        if ask.ipv6 && told == Some(Family::Ipv4) {
            let remedy = "give IPv6 addresses, or leave -6 out";
            return Err(Error::invalid("packet", "it is to be IPv6 and has an IPv4 address", remedy));
        }
        let family = told.unwrap_or(if ask.ipv6 { Family::Ipv6 } else { Family::Ipv4 });
        let network = ask.network.clone().map_or_else(|| self.network_between(&ask), |network| Ok(Some(network)))?;
        let network = self.scope(FilterOf { network, family }).await?.network;
        let src = self.end_of(&ask.src, &ask.input, network.as_deref(), family, "--src")?;
        let dst = self.end_of(&ask.dst, &ask.output, network.as_deref(), family, "--dst")?;
        let described = Described::of(&ask, src, dst).map_err(refused)?;
        let (rules, between, mut around) = {
            let state = self.state();
            let name = network.as_deref().map(|id| state.network_name(id));
            let of = |network: Option<String>| state.rules_of(&Scope { network, family });
            let global = of(None).map(|rules| (None, rules));
            let own = network.clone().and_then(|id| {
                let scope = Scope { network: Some(id), family };
                let rules = state.rules_of(&scope);
                Some((name, Arc::new(state.policy_of(&scope).arm(family, rules.as_deref(), &[])?)))
            });
            let gateways = |id: &str| -> Vec<IpAddr> {
                let subnets = state.networks.get(id).into_iter().flat_map(|network| &network.record.subnets);
                subnets.filter_map(|subnet| subnet.gateway).collect()
            };
            let own_gateways = network.as_deref().map(gateways).unwrap_or_default();
            let here = state.endpoints.values().filter(|endpoint| Some(&endpoint.stored.network) == network.as_ref());
            let named = here.flat_map(|endpoint| {
                let record = endpoint.record();
                record.addresses.iter().map(|net| (net.addr(), record.name.clone()))
            });
            let places = named.chain(own_gateways.iter().map(|gateway| (*gateway, String::new()))).collect();
            let record = network.as_deref().and_then(|id| state.networks.get(id)).map(|network| &network.record);
            let subnets = record.into_iter().flat_map(|record| record.subnets.iter().map(|subnet| subnet.subnet));
            let between = Between {
                input: ask.input.clone().unwrap_or_default(),
                output: ask.output.clone().unwrap_or_default(),
                gateway: own_gateways.into_iter().find(|gateway| gateway.is_ipv4() == (family == Family::Ipv4)),
                places,
                subnets: subnets.collect(),
            };
            let local = state.networks.keys().flat_map(|id| gateways(id)).collect();
            let mtu = record.map_or(1500, |record| record.mtu);
            let rules: Vec<(Option<String>, Arc<RuleSet>)> = global.into_iter().chain(own).collect();
            (rules, between, Around { local, mtu })
        };
        let mark = ask.mark.unwrap_or(0);
        let following = move || {
            let layer = |(network, rules): (Option<String>, Arc<RuleSet>)| Layer {
                network,
                program: Program::new(RuleSet::clone(&rules)),
            };
            let mut layers: Vec<Layer> = rules.into_iter().map(layer).collect();
            trace(&mut layers, described, &between, mark, &mut around)
        };
        beside("packet", following).await
    }

    /// The network, by its ID, whose rules a packet meets besides those for all: that of the sandbox where it comes in, or
    /// else goes out. An address that is given, and the sandbox at the other end, tell several apart.
    fn network_between(&self, ask: &TracePacket) -> Result<Option<String>, Error> {
        let state = self.state();
        let of = |name: &Option<String>, ip: Option<IpAddr>| -> BTreeSet<String> {
            let called = |endpoint: &&Endpoint| name.as_ref().is_some_and(|name| endpoint.is_called(name));
            let all: Vec<&Endpoint> = state.endpoints.values().filter(called).collect();
            let has = |endpoint: &&&Endpoint| endpoint.record().addresses.iter().any(|net| Some(net.addr()) == ip);
            let network = |endpoint: &Endpoint| endpoint.stored.network.clone();
            match all.iter().find(has) {
                Some(endpoint) => BTreeSet::from([network(endpoint)]),
                None => all.into_iter().map(network).collect(),
            }
        };
        let (from, to) = (of(&ask.input, ask.src), of(&ask.output, ask.dst));
        let both: BTreeSet<String> = from.intersection(&to).cloned().collect();
        let mut networks = [both, from, to].into_iter().find(|networks| !networks.is_empty()).unwrap_or_default();
        let network = networks.pop_first();
        if networks.is_empty() {
            return Ok(network);
        }
        let names: Vec<String> = network.iter().chain(&networks).map(|id| state.network_name(id)).collect();
        let why = format!("its way may be in the networks {}", names.join(", "));
        Err(Error::invalid("packet", why, "say in which one with --network"))
    }

    /// The address that was given, or that of the sandbox.
    fn end_of(
        &self,
        given: &Option<IpAddr>,
        name: &Option<String>,
        network: Option<&str>,
        family: Family,
        option: &str,
    ) -> Result<IpAddr, Error> {
        let of_family = |ip: &IpAddr| ip.is_ipv4() == (family == Family::Ipv4);
        let sandbox = || {
            let name = name.as_ref()?;
            let state = self.state();
            let called = state.endpoints.values().filter(|endpoint| endpoint.is_called(name));
            let mut here = called.filter(|endpoint| network.is_none_or(|network| endpoint.stored.network == network));
            here.find_map(|endpoint| endpoint.record().addresses.iter().map(|net| net.addr()).find(of_family))
        };
        given.or_else(sandbox).ok_or_else(|| {
            let why = format!("it has no {} address", if option == "--src" { "source" } else { "destination" });
            Error::invalid("packet", why, format!("give one with {option}, or name a sandbox that has one"))
        })
    }
}

/// What rules can ask of the world, as far as a packet in words has one.
struct Around {
    local: Vec<IpAddr>,
    mtu: u32,
}

impl Surroundings for Around {
    fn random(&mut self) -> u32 {
        rand::random()
    }

    fn kinds(&mut self, ip: IpAddr, _: Option<&str>) -> AddressKinds {
        match ip {
            ip if self.local.contains(&ip) => AddressKinds::LOCAL,
            ip if ip.is_unspecified() => AddressKinds::UNSPEC,
            ip if ip.is_multicast() => AddressKinds::MULTICAST,
            IpAddr::V4(ip) if ip.is_broadcast() => AddressKinds::BROADCAST,
            _ => AddressKinds::UNICAST,
        }
    }

    fn path_mtu(&mut self, _: IpAddr, _: IpAddr) -> u32 {
        self.mtu
    }

    fn is_open(&mut self, _: &Tuple) -> bool {
        false
    }

    fn log(&mut self, _: &Log, _: &Packet<'_>) {}
}
