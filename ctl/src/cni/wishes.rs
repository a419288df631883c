//! What a runtime wants for one container beside the configuration: `runtimeConfig`, and `args.cni` of older ones.
//! containerd writes the keys of Go's structures, CRI-O those of the conventions: letters' case means nothing here, and
//! null is nothing. Strict in values: a container at the wrong address or port is worse than none.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wire::Mac;

use super::error::{CONFIG, Failure, UNSUPPORTED};
use crate::model::{Limits, Resolver};

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Ports to be published, as `vsctl publish` takes them.
    pub ports: Vec<String>,
    /// A fixed IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// A fixed MAC address.
    pub mac: Option<Mac>,
    /// Further names.
    pub aliases: Vec<String>,
    /// From `bandwidth`.
    pub limits: Limits,
    /// What its resolver holds instead of the network's gateway.
    pub dns: Resolver,
}

/// containerd's burst where only a rate was asked for, in bits: none in particular.
const NO_BURST: u64 = u32::MAX as u64;
/// The lowest rate that the switch keeps, in bits a second.
const SLOWEST: u64 = 8_000;
/// The highest one.
const FASTEST: u64 = 1_000_000_000_000;
/// The longest burst that the switch keeps, in bytes.
const LONGEST_BURST: u64 = 128 << 20;
/// The shortest one towards a container, in bytes.
const SHORTEST_BURST: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct PortMapping {
    #[serde(default)]
    hostport: i64,
    containerport: u16,
    protocol: Option<String>,
    hostip: Option<String>,
}

/// Rates in bits a second, bursts in bits; ingress is towards the container.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct Bandwidth {
    ingressrate: u64,
    ingressburst: u64,
    egressrate: u64,
    egressburst: u64,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "lowercase")]
#[derive(Default)]
struct Dns {
    servers: Vec<IpAddr>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Wishes {
    /// Reads them; `network` is the configuration's name, by which CRI-O orders aliases.
    ///
    /// # Errors
    /// [`CONFIG`] or [`UNSUPPORTED`], naming key and value.
    pub(super) fn read(
        runtime: Option<Map<String, Value>>,
        args: Option<Map<String, Value>>,
        network: &str,
    ) -> Result<Wishes, Failure> {
        let older = args.and_then(|mut args| match args.remove("cni") {
            Some(Value::Object(cni)) => Some(lower(cni)),
            _ => None,
        });
        let mut all = older.unwrap_or_default();
        all.extend(lower(runtime.unwrap_or_default()));
        let mut wishes = Wishes::default();
        for (key, value) in all {
            match key.as_str() {
                "portmappings" => wishes.ports = ports(take(&key, value)?)?,
                "bandwidth" => wishes.limits = limits(&take::<Bandwidth>(&key, folded(value))?),
                "ips" => wishes.addresses(take(&key, value)?)?,
                "mac" => wishes.mac = Some(parse("mac", &take::<String>(&key, value)?)?),
                "aliases" => wishes.aliases = aliases(value, network)?,
                "dns" => {
                    let Dns { servers, searches, options } = take(&key, folded(value))?;
                    wishes.dns = Resolver { nameservers: servers, search: searches, options };
                }
                "ipranges" => {
                    let help = "the switch gives addresses from its network's subnet: remove the capability ipRanges";
                    return Err(Failure::new(UNSUPPORTED, format!("ipRanges: {value} is not supported")).help(help));
                }
                // The runtime's own business, or for other plugins.
                _ => {}
            }
        }
        Ok(wishes)
    }

    fn addresses(&mut self, texts: Vec<String>) -> Result<(), Failure> {
        for text in texts {
            // The prefix length is the subnet's, whatever is written here.
            let bare = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
            self.address(parse("ips", bare)?)?;
        }
        Ok(())
    }

    /// Takes in a fixed address.
    ///
    /// # Errors
    /// [`UNSUPPORTED`] for a second one of a family.
    pub(super) fn address(&mut self, address: IpAddr) -> Result<(), Failure> {
        let second = match address {
            IpAddr::V4(v4) => self.ip.replace(v4).is_some_and(|first| first != v4),
            IpAddr::V6(v6) => self.ip6.replace(v6).is_some_and(|first| first != v6),
        };
        if second {
            let msg = format!("ips: {address} is a second address of its family, which is not supported");
            return Err(Failure::new(UNSUPPORTED, msg).help("ask for one of each family"));
        }
        Ok(())
    }
}

/// The same with keys in lower case, without what is null.
fn lower(object: Map<String, Value>) -> Map<String, Value> {
    object.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_lowercase(), value)).collect()
}

fn folded(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(lower(object)),
        other => other,
    }
}

fn take<T: DeserializeOwned>(key: &str, value: Value) -> Result<T, Failure> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.into_inner());
        Failure::new(CONFIG, format!("runtimeConfig: {key}: {path}: {why}"))
    })
}

fn parse<T: FromStr<Err: Display>>(key: &str, text: &str) -> Result<T, Failure> {
    let shown: String = text.chars().take(64).collect();
    text.parse().map_err(|why| Failure::new(CONFIG, format!("runtimeConfig: {key}: {shown:?}: {why}")))
}

fn ports(mappings: Vec<Value>) -> Result<Vec<String>, Failure> {
    let mut specs = Vec::new();
    for mapping in mappings {
        let mapping: PortMapping = take("portMappings", folded(mapping))?;
        // A port of the pod that is not the host's.
        if mapping.hostport <= 0 {
            continue;
        }
        let protocol = mapping.protocol.as_deref().filter(|text| !text.is_empty()).unwrap_or("tcp").to_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp") {
            let msg = format!("portMappings: protocol {protocol:?} is not supported");
            return Err(Failure::new(UNSUPPORTED, msg).help("tcp and udp are"));
        }
        let at = match mapping.hostip.as_deref().filter(|text| !text.is_empty()) {
            None => String::new(),
            Some(text) => match parse("portMappings", text)? {
                IpAddr::V4(v4) => format!("{v4}:"),
                IpAddr::V6(v6) => format!("[{v6}]:"),
            },
        };
        let spec = format!("{at}{}:{}/{protocol}", mapping.hostport, mapping.containerport);
        let spec: crate::publish::Spec = parse("portMappings", &spec)?;
        specs.push(spec.to_string());
    }
    Ok(specs)
}

fn limits(bandwidth: &Bandwidth) -> Limits {
    // What is faster than any link is no limit.
    let some = |value: u64| (1..=FASTEST).contains(&value).then(|| value.max(SLOWEST));
    let burst = |rate: u64, bits: u64, least: u64| {
        let given = (1..=FASTEST).contains(&rate) && (1..NO_BURST).contains(&bits);
        given.then(|| (bits / 8).clamp(least, LONGEST_BURST))
    };
    Limits {
        rate: some(bandwidth.egressrate),
        burst: burst(bandwidth.egressrate, bandwidth.egressburst, 1),
        egress_rate: some(bandwidth.ingressrate),
        egress_burst: burst(bandwidth.ingressrate, bandwidth.ingressburst, SHORTEST_BURST),
        ..Limits::default()
    }
}

/// A list, or a map of lists by network.
fn aliases(value: Value, network: &str) -> Result<Vec<String>, Failure> {
    match value {
        Value::Object(mut networks) => match networks.remove(network) {
            Some(list) if !list.is_null() => take("aliases", list),
            _ => Ok(Vec::new()),
        },
        list => take("aliases", list),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(runtime: Value) -> Result<Wishes, Failure> {
        Wishes::read(runtime.as_object().cloned(), None, "pods")
    }

    #[test]
    fn containerd_and_cri_o_say_the_same() {
        let containerd = json!({
            "portMappings": [
                {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""},
                {"HostPort": 53, "ContainerPort": 5353, "Protocol": "udp", "HostIP": "fd00::1"},
                {"HostPort": 0, "ContainerPort": 81, "Protocol": "sctp", "HostIP": ""},
            ],
            "bandwidth": {"IngressRate": 2_000_000, "IngressBurst": 4_294_967_295_u64, "EgressRate": 0, "EgressBurst": 0},
            "dns": {"Servers": ["10.0.0.53"], "Searches": null, "Options": ["ndots:5"]},
            "io.kubernetes.cri.pod-annotations": {"a": "b"}, "mac": null, "cgroupPath": "/x",
        });
        let wishes = read(containerd).unwrap();
        assert_eq!(wishes.ports, ["8080:80/tcp", "[fd00::1]:53:5353/udp"]);
        assert_eq!(wishes.limits, Limits { egress_rate: Some(2_000_000), ..Limits::default() });
        assert_eq!((wishes.dns.nameservers.len(), wishes.dns.options.len()), (1, 1));
        let crio = json!({
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "TCP", "hostIP": "127.0.0.1"}],
            "bandwidth": {"egressRate": 1_000_000, "egressBurst": 800_000, "ingressRate": 9_000, "ingressBurst": 8},
            "aliases": {"pods": ["web", "www"], "other": ["x"]},
            "ips": ["10.1.2.3/24", "fd00::5"], "mac": "02:42:0a:01:02:03",
        });
        let wishes = read(crio).unwrap();
        assert_eq!(
            (wishes.ports.as_slice(), wishes.aliases.as_slice()),
            (&["127.0.0.1:8080:80/tcp".into()][..], &["web".into(), "www".into()][..])
        );
        assert_eq!((wishes.limits.rate, wishes.limits.burst), (Some(1_000_000), Some(100_000)));
        assert_eq!((wishes.limits.egress_rate, wishes.limits.egress_burst), (Some(9_000), Some(65_536)));
        assert_eq!((wishes.ip, wishes.ip6), ("10.1.2.3".parse().ok(), "fd00::5".parse().ok()));
        assert_eq!(wishes.mac.unwrap().to_string(), "02:42:0a:01:02:03");
        let extremes = json!({"bandwidth": {"egressRate": 1, "ingressRate": u64::MAX, "ingressBurst": 80_000}});
        assert_eq!(read(extremes).unwrap().limits, Limits { rate: Some(8_000), ..Limits::default() });
        assert_eq!(read(json!({"aliases": ["a"]})).unwrap().aliases, ["a"]);
        assert_eq!(read(json!({"aliases": {"other": ["a"]}})).unwrap(), Wishes::default());
    }

    #[test]
    fn older_arguments_give_way() {
        let args = json!({"cni": {"ips": ["10.0.0.4"], "mac": "02:42:0a:00:00:04"}});
        let args = || args.as_object().cloned();
        let wishes = Wishes::read(None, args(), "pods").unwrap();
        assert!(wishes.ip.is_some() && wishes.mac.is_some());
        let runtime = json!({"ips": ["10.0.0.5"]});
        let wishes = Wishes::read(runtime.as_object().cloned(), args(), "pods").unwrap();
        assert_eq!(wishes.ip, "10.0.0.5".parse().ok());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let cases = [
            (json!({"ipRanges": [[{"subnet": "10.0.0.0/8"}]]}), UNSUPPORTED, "ipRanges"),
            (
                json!({"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "sctp"}]}),
                UNSUPPORTED,
                "\"sctp\"",
            ),
            (json!({"portMappings": [{"hostPort": 70000, "containerPort": 1}]}), CONFIG, "portMappings"),
            (json!({"portMappings": [{"hostPort": 1, "containerPort": 1, "hostIP": "x"}]}), CONFIG, "\"x\""),
            (json!({"portMappings": {}}), CONFIG, "portmappings"),
            (json!({"ips": ["10.0.0.1", "10.0.0.2"]}), UNSUPPORTED, "10.0.0.2"),
            (json!({"ips": ["10.0.0.300"]}), CONFIG, "10.0.0.300"),
            (json!({"mac": "xx"}), CONFIG, "mac"),
            (json!({"bandwidth": {"ingressRate": "fast"}}), CONFIG, "ingressrate"),
            (json!({"dns": {"servers": ["here"]}}), CONFIG, "servers"),
        ];
        for (runtime, code, word) in cases {
            let failure = read(runtime.clone()).unwrap_err();
            assert!(failure.code == code && failure.msg.contains(word), "{runtime}: {failure:?}");
        }
    }
}
