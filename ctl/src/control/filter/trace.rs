//! `filter trace`: a packet in words before the rules as they are now. Names of sandboxes stand for their addresses.

use std::net::IpAddr;
use std::sync::Arc;

use nat::Tuple;
use nat::rules::{AddressKinds, Family, Log, Packet, Program, RuleSet, Surroundings};

use super::beside;
use crate::api::{Error, FilterOf, TracePacket, Traced};
use crate::control::Control;
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
        let family = told.unwrap_or(if ask.ipv6 { Family::Ipv6 } else { Family::Ipv4 });
        let network = self.scope(FilterOf { network: ask.network.clone(), family }).await?.network;
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
            let between = Between {
                input: ask.input.clone().unwrap_or_default(),
                output: ask.output.clone().unwrap_or_default(),
                gateway: own_gateways.into_iter().find(|gateway| gateway.is_ipv4() == (family == Family::Ipv4)),
            };
            let local = state.networks.keys().flat_map(|id| gateways(id)).collect();
            let mtu =
                network.as_deref().and_then(|id| state.networks.get(id)).map_or(1500, |network| network.record.mtu);
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
