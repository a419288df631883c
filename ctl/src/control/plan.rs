//! From the request for a network to its record: driver, options, MTU, subnets. Pure but for random numbers; what is in
//! use already is passed in. The VNI of an overlay is chosen later, with the store.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use ipnet::{IpNet, Ipv6Net};
use rand::RngExt as _;

use crate::api::{CreateNetwork, Error, NewSubnet};
use crate::filter::{ICC_OPTION, Policy};
use crate::model::{self, Driver, NetworkRecord, Resolver, Scope, SubnetRecord};

/// Docker's option for the MTU.
pub(super) const MTU_OPTION: &str = "com.docker.network.driver.mtu";
/// Docker's option for the VNI.
pub(super) const VNI_OPTION: &str = "com.docker.network.driver.overlay.vxlanid_list";
/// What a TAP link takes at the most, in bytes.
const MOST_MTU: u32 = 65_521;

/// What the request is checked against.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Subnets of other networks, with their names.
    pub(super) networks: Vec<(String, IpNet)>,
    /// Prefixes of the host.
    pub(super) host: Vec<IpNet>,
    /// This host's VTEP.
    pub(super) vtep: Option<IpAddr>,
    /// Smallest underlay of the known hosts, in bytes.
    pub(super) underlay_mtu: Option<u32>,
}

/// Checks a request and completes it. The VNI is as asked, or `None`.
pub(super) fn network(ask: &CreateNetwork, known: &Known) -> Result<NetworkRecord, Error> {
    let object = format!("network {}", ask.name);
    let invalid = |why: String, remedy: &str| Error::invalid(object.clone(), why, remedy);
    if !model::is_name(&ask.name) {
        return Err(invalid(
            "not a name: a letter or digit, then letters, digits, _ . - are wanted, at most 128".into(),
            "choose another name",
        ));
    }
    if ask.name == "default" || model::PREDEFINED.iter().any(|(name, _)| *name == ask.name) {
        return Err(Error::conflict(object, "the name is predefined", "choose another name"));
    }
    let driver = match ask.driver.as_deref().unwrap_or("bridge") {
        "bridge" => Driver::Bridge,
        "overlay" => Driver::Overlay,
        "host" | "null" | "none" => {
            let why = "there is only one network of that driver, and it exists";
            return Err(Error::conflict(object, why, "use the predefined network"));
        }
        other => return Err(invalid(format!("driver {other} is not known"), "use bridge or overlay")),
    };
    let (mtu, vni, policy) = options(ask, driver)?;
    if driver == Driver::Overlay && known.vtep.is_none() {
        let why = "overlay networks need an address for tunnels";
        return Err(Error::conflict(object, why, "start vswitchd with --advertise IP or --advertise INTERFACE"));
    }
    let CreateNetwork { dns: nameservers, dns_search: search, dns_options, .. } = ask.clone();
    let dns = Resolver { nameservers, search, options: dns_options };
    dns.check().map_err(|(why, remedy)| invalid(why, remedy))?;
    Ok(NetworkRecord {
        id: model::new_id(),
        name: ask.name.clone(),
        driver,
        scope: if driver == Driver::Overlay { Scope::Global } else { Scope::Local },
        created: model::rfc3339(SystemTime::now()),
        subnets: subnets(ask, driver, known)?,
        vni,
        mtu: link_mtu(&object, mtu, driver, known)?,
        internal: ask.internal,
        attachable: ask.attachable,
        ipv6: ask.ipv6 || ask.subnets.iter().any(|subnet| family(subnet) == Some(false)),
        options: match (policy, ask.options.contains_key(ICC_OPTION)) {
            (Some(Policy::Deny), false) => {
                let denied = (ICC_OPTION.to_owned(), "false".to_owned());
                ask.options.clone().into_iter().chain([denied]).collect()
            }
            _ => ask.options.clone(),
        },
        labels: ask.labels.clone(),
        dns,
    })
}

/// MTU, VNI and policy, wherever in the request they are.
type Options = (Option<u32>, Option<u32>, Option<Policy>);

fn options(ask: &CreateNetwork, driver: Driver) -> Result<Options, Error> {
    let object = format!("network {}", ask.name);
    let (mut mtu, mut vni) = (ask.mtu, ask.vni);
    let policy = ask.policy.as_deref().map(str::parse::<Policy>).transpose();
    let policy = policy.map_err(|unclear| Error::invalid(object.clone(), unclear.why, unclear.remedy))?;
    let contradicts =
        |key: &str| Error::invalid(object.clone(), format!("option {key} contradicts the request"), "give it once");
    for (key, value) in &ask.options {
        let target = match key.as_str() {
            ICC_OPTION => {
                let read = Policy::of_icc(value).ok_or_else(|| {
                    let why = format!("option {key}: {value:?} is neither true nor false");
                    Error::invalid(object.clone(), why, "give true or false")
                })?;
                if policy.is_some_and(|asked| asked != read) {
                    return Err(contradicts(key));
                }
                continue;
            }
            MTU_OPTION => &mut mtu,
            VNI_OPTION => &mut vni,
            _ => {
                let remedy = format!("options are {MTU_OPTION}, {VNI_OPTION} and {ICC_OPTION}");
                return Err(Error::invalid(object.clone(), format!("option {key} is not known"), remedy));
            }
        };
        let number = value.parse().map_err(|_| {
            Error::invalid(object.clone(), format!("option {key}: {value:?} is not one number"), "give a number")
        })?;
        if target.is_some_and(|other| other != number) {
            return Err(contradicts(key));
        }
        *target = Some(number);
    }
    if let Some(number) = vni {
        if driver != Driver::Overlay {
            return Err(Error::invalid(object, "a VNI is for overlay networks only", "leave it out"));
        }
        vxlan::Vni::new(number).map_err(|error| Error::invalid(object, error.to_string(), "choose another"))?;
    }
    Ok((mtu, vni, policy))
}

/// The MTU of the network's links [N6].
fn link_mtu(object: &str, ask: Option<u32>, driver: Driver, known: &Known) -> Result<u32, Error> {
    let carried = match (driver, known.vtep, known.underlay_mtu) {
        (Driver::Overlay, Some(IpAddr::V4(_)), Some(mtu)) => Some(mtu.saturating_sub(vxlan::OVERHEAD_IPV4)),
        (Driver::Overlay, Some(IpAddr::V6(_)), Some(mtu)) => Some(mtu.saturating_sub(vxlan::OVERHEAD_IPV6)),
        _ => None,
    };
    let most = carried.unwrap_or(MOST_MTU).min(MOST_MTU);
    let Some(mtu) = ask else {
        return match carried {
            Some(_) if most < 68 => {
                Err(Error::conflict(object, "the underlay's MTU is too small for tunnels", "raise it"))
            }
            Some(_) => Ok(most),
            None => Ok(1500),
        };
    };
    if !(68..=65_535).contains(&mtu) {
        return Err(Error::invalid(object, format!("MTU {mtu} is out of range: 68 to 65535"), "choose another"));
    }
    if mtu > most {
        let (why, remedy) = match carried {
            Some(_) => (
                format!(
                    "MTU {mtu} is more than the underlay carries: its MTU is {}, less the tunnel's headers {most}",
                    known.underlay_mtu.unwrap_or_default()
                ),
                format!("choose at most {most}, or raise the underlay's MTU"),
            ),
            None => (format!("MTU {mtu} is more than a link takes"), format!("choose at most {most}")),
        };
        return Err(Error::invalid(object, why, remedy));
    }
    Ok(mtu)
}

/// Whether a subnet of the request is IPv4, as far as it says.
fn family(subnet: &NewSubnet) -> Option<bool> {
    let hint = subnet.subnet.map(|net| net.addr()).or(subnet.ip_range.map(|net| net.addr())).or(subnet.gateway);
    hint.map(|address| address.is_ipv4())
}

/// The subnets: those asked for, and those that are missing. IPv4 is missing unless only IPv6 subnets were given
/// without asking for IPv6 besides.
fn subnets(ask: &CreateNetwork, driver: Driver, known: &Known) -> Result<Vec<SubnetRecord>, Error> {
    let object = format!("network {}", ask.name);
    let mut wanted = ask.subnets.clone();
    let only_v6 = !wanted.is_empty() && wanted.iter().all(|subnet| family(subnet) == Some(false));
    if wanted.is_empty() || only_v6 && ask.ipv6 {
        wanted.insert(0, NewSubnet::default());
    }
    if ask.ipv6 && !wanted.iter().any(|subnet| family(subnet) == Some(false)) {
        wanted.push(NewSubnet { subnet: Some(random_ula()), ..NewSubnet::default() });
    }
    let mut chosen: Vec<SubnetRecord> = Vec::new();
    for subnet in wanted {
        let NewSubnet { subnet, ip_range, gateway, aux_addresses } = subnet;
        let refused = |error: ipam::Error| Error::invalid(object.clone(), error.to_string(), "correct the subnet");
        let cidr = match subnet {
            Some(cidr) => cidr,
            None if ip_range.is_some() || gateway.is_some() || !aux_addresses.is_empty() => {
                let why = "a range, gateway or auxiliary address needs its subnet";
                return Err(Error::invalid(object, why, "give --subnet with it"));
            }
            None => choose(driver, known, &chosen)
                .map_err(|error| Error::conflict(object.clone(), error.to_string(), "give --subnet"))?,
        };
        let plan = ipam::Subnet::new(cidr, ip_range, gateway, aux_addresses).map_err(refused)?;
        check_free(&object, &plan.cidr, &chosen, known)?;
        chosen.push(SubnetRecord::from_plan(&plan));
    }
    Ok(chosen)
}

fn choose(driver: Driver, known: &Known, chosen: &[SubnetRecord]) -> Result<IpNet, ipam::Error> {
    let plans = if driver == Driver::Overlay { ipam::global_plans() } else { ipam::local_plans() };
    let networks = known.networks.iter().map(|(_, net)| *net);
    let used: Vec<IpNet> =
        networks.chain(known.host.iter().copied()).chain(chosen.iter().map(|subnet| subnet.subnet)).collect();
    ipam::choose_subnet(&plans, &used)
}

/// A subnet that overlaps none of `used`.
pub(super) fn free_subnet(global: bool, v6: bool, length: Option<u8>, used: &[IpNet]) -> Result<IpNet, ipam::Error> {
    if v6 {
        let prefix = random_ula();
        return Ok(IpNet::new(prefix.addr(), length.unwrap_or(64).clamp(64, 127)).unwrap_or(prefix));
    }
    let plans = match length {
        Some(length) => vec![ipam::Plan::new("10.0.0.0/8".parse().unwrap_or_default(), length)?],
        None if global => ipam::global_plans(),
        None => ipam::local_plans(),
    };
    ipam::choose_subnet(&plans, used)
}

fn check_free(object: &str, cidr: &IpNet, chosen: &[SubnetRecord], known: &Known) -> Result<(), Error> {
    let overlaps = |other: &IpNet| other.contains(cidr) || cidr.contains(other);
    if let Some(other) = chosen.iter().find(|other| overlaps(&other.subnet)) {
        return Err(Error::invalid(object, format!("subnets {} and {cidr} overlap", other.subnet), "choose others"));
    }
    if let Some((name, other)) = known.networks.iter().find(|(_, other)| overlaps(other)) {
        let why = format!("subnet {cidr} overlaps {other} of network {name}");
        return Err(Error::conflict(object, why, "choose another with --subnet"));
    }
    if let Some(other) = known.host.iter().find(|other| overlaps(other)) {
        let why = format!("subnet {cidr} overlaps {other}, a route or resolver of the host");
        return Err(Error::conflict(object, why, "choose another with --subnet"));
    }
    Ok(())
}

/// A unique local prefix (RFC 4193 section 3.2: 40 random bits), subnet 0.
fn random_ula() -> IpNet {
    let bits: u128 = rand::rng().random_range(0..1 << 40);
    let address = (0xfd << 120) | (bits << 80);
    Ipv6Net::new(address.into(), 64).unwrap_or_default().into()
}

/// `bridge`, `host` and `none`, as they are made on the first start.
pub(super) fn predefined(name: &str, driver: Driver, known: &Known) -> NetworkRecord {
    let pool = (driver == Driver::Bridge).then(|| choose(driver, known, &[]).ok()).flatten();
    let plan = pool.and_then(|cidr| ipam::Subnet::new(cidr, None, None, BTreeMap::new()).ok());
    NetworkRecord {
        id: model::new_id(),
        name: name.into(),
        driver,
        scope: Scope::Local,
        created: model::rfc3339(SystemTime::now()),
        subnets: plan.iter().map(SubnetRecord::from_plan).collect(),
        vni: None,
        mtu: if driver == Driver::Bridge { 1500 } else { 0 },
        internal: false,
        attachable: false,
        ipv6: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        dns: Resolver::default(),
    }
}

/// The lowest VNI from 4096 that is not in use.
pub(super) fn lowest_vni(used: &std::collections::BTreeSet<u32>) -> Option<u32> {
    let mut free = 4096;
    for vni in used.range(4096..) {
        if *vni > free {
            break;
        }
        free = vni + 1;
    }
    vxlan::Vni::new(free).ok().map(vxlan::Vni::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            networks: vec![("BLUE".into(), "10.1.0.0/16".parse().unwrap())],
            host: vec!["172.17.0.0/16".parse().unwrap()],
            vtep: Some("192.0.2.1".parse().unwrap()),
            underlay_mtu: Some(1500),
        }
    }

    fn ask(driver: &str, subnets: &[&str]) -> CreateNetwork {
        let subnet = |text: &&str| NewSubnet { subnet: Some(text.parse().unwrap()), ..NewSubnet::default() };
        CreateNetwork {
            name: "RED".into(),
            driver: Some(driver.into()),
            subnets: subnets.iter().map(subnet).collect(),
            ..CreateNetwork::default()
        }
    }

    fn refusal(ask: &CreateNetwork) -> String {
        network(ask, &known()).unwrap_err().error
    }

    #[test]
    fn defaults_are_dockers() {
        let bridge = network(&ask("bridge", &[]), &known()).unwrap();
        assert_eq!(bridge.subnets[0].subnet.to_string(), "172.18.0.0/16", "172.17 is a host route");
        assert_eq!((bridge.mtu, bridge.vni, bridge.scope), (1500, None, Scope::Local));
        let overlay = network(&ask("overlay", &[]), &known()).unwrap();
        assert_eq!(overlay.subnets[0].subnet.to_string(), "10.0.0.0/24");
        assert_eq!((overlay.mtu, overlay.scope), (1450, Scope::Global));
        assert_eq!(overlay.subnets[0].gateway, Some("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn overlay_over_ipv6_has_70_bytes_less() {
        let known = Known { vtep: Some("2001:db8::1".parse().unwrap()), underlay_mtu: Some(9000), ..known() };
        assert_eq!(network(&ask("overlay", &[]), &known).unwrap().mtu, 8930);
    }

    #[test]
    fn ipv6_beside_ipv4_or_alone() {
        let families = |ask: &CreateNetwork| {
            let network = network(ask, &known()).unwrap();
            assert!(network.ipv6);
            network.subnets.iter().map(|subnet| subnet.subnet.addr().is_ipv4()).collect::<Vec<_>>()
        };
        let both = CreateNetwork { ipv6: true, ..ask("overlay", &["10.9.0.0/24"]) };
        assert_eq!(families(&both), [true, false]);
        assert_eq!(families(&ask("overlay", &["fd00:1::/64"])), [false]);
        assert_eq!(families(&CreateNetwork { ipv6: true, ..ask("overlay", &["fd00:1::/64"]) }), [true, false]);
    }

    #[test]
    fn refusals_name_the_object() {
        assert!(refusal(&ask("overlay", &["10.1.2.0/24"])).contains("BLUE"));
        assert!(refusal(&ask("bridge", &["172.17.3.0/24"])).contains("172.17.0.0/16"));
        assert!(refusal(&ask("bridge", &["10.9.0.0/24", "10.9.0.0/25"])).contains("overlap"));
        assert!(refusal(&ask("bridge", &["10.9.0.1/24"])).contains("10.9.0.0/24"));
        assert!(refusal(&ask("macvlan", &[])).contains("macvlan"));
        assert!(refusal(&CreateNetwork { name: "bridge".into(), ..ask("bridge", &[]) }).contains("predefined"));
        assert!(refusal(&CreateNetwork { name: "a b".into(), ..ask("bridge", &[]) }).contains("not a name"));
        assert!(refusal(&CreateNetwork { vni: Some(5), ..ask("bridge", &[]) }).contains("VNI"));
        assert!(refusal(&CreateNetwork { vni: Some(1 << 24), ..ask("overlay", &[]) }).contains("16777216"));
        assert!(refusal(&CreateNetwork { mtu: Some(67), ..ask("bridge", &[]) }).contains("67"));
        assert!(refusal(&CreateNetwork { mtu: Some(1451), ..ask("overlay", &[]) }).contains("1500"));
        let odd = CreateNetwork { options: [("encrypted".into(), String::new())].into(), ..ask("overlay", &[]) };
        assert!(refusal(&odd).contains("encrypted"));
        let none = Known { vtep: None, ..known() };
        assert!(network(&ask("overlay", &[]), &none).unwrap_err().remedy.contains("--advertise"));
    }

    #[test]
    fn options_are_dockers() {
        let options = [(MTU_OPTION.into(), "1400".into()), (VNI_OPTION.into(), "5000".into())];
        let record = network(&CreateNetwork { options: options.into(), ..ask("overlay", &[]) }, &known()).unwrap();
        assert_eq!((record.mtu, record.vni), (1400, Some(5000)));
        let clash =
            CreateNetwork { vni: Some(1), options: [(VNI_OPTION.into(), "2".into())].into(), ..ask("overlay", &[]) };
        assert!(refusal(&clash).contains("contradicts"));
    }

    #[test]
    fn a_policy_is_dockers_option_too() {
        let record = network(&CreateNetwork { policy: Some("deny".into()), ..ask("bridge", &[]) }, &known()).unwrap();
        assert_eq!(record.options.get(ICC_OPTION).map(String::as_str), Some("false"));
        assert_eq!(record.policy(), Policy::Deny);
        let record = network(&CreateNetwork { policy: Some("allow".into()), ..ask("overlay", &[]) }, &known()).unwrap();
        assert!(record.options.is_empty() && record.policy() == Policy::Allow);
        let icc = |value: &str| CreateNetwork {
            options: [(ICC_OPTION.into(), value.into())].into(),
            policy: Some("allow".into()),
            ..ask("bridge", &[])
        };
        assert!(network(&icc("true"), &known()).is_ok());
        assert!(
            refusal(&icc("false")).contains("contradicts") && refusal(&icc("no")).contains("neither true nor false")
        );
        assert!(refusal(&CreateNetwork { policy: Some("drop".into()), ..ask("bridge", &[]) }).contains("drop"));
    }

    #[test]
    fn the_lowest_free_vni() {
        assert_eq!(lowest_vni(&[].into()), Some(4096));
        assert_eq!(lowest_vni(&[1, 4096, 4097, 4099].into()), Some(4098));
        assert_eq!(lowest_vni(&(4096..1 << 24).collect()), None);
    }
}
