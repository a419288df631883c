//! The network configuration on standard input: what is ours in it, and what every plugin gets. Keys that nobody here
//! knows are left alone, as the specification wants; keys that ask for what the switch does not do are refused by name.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{CONFIG, DECODE, Failure};
use super::version::Version;
use super::wishes::Wishes;
use crate::api::{CreateNetwork, NewSubnet};
use crate::client::{DEFAULT_SOCKET, SOCKET_VARIABLE};
use crate::model::{Resolver, is_label_value};

/// One call's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the config; answers have the same.
    pub version: Version,
    /// The configuration's name.
    pub name: String,
    /// The switch's network: its name, id, or a unique prefix of its id.
    pub network: String,
    /// How the network is made when it is missing; `None`: it is not.
    pub create: Option<CreateNetwork>,
    /// vswitchd's socket.
    pub socket: PathBuf,
    /// What the runtime wants for this container.
    pub wishes: Wishes,
    /// The result of the plugins before this one, or, for CHECK, of all.
    pub previous: Option<Map<String, Value>>,
    /// The attachments that are in use, for GC; `None`: the runtime did not say.
    pub valid: Option<Vec<Attachment>>,
}

/// What a runtime knows as attached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Attachment {
    /// CNI_CONTAINERID of its ADD.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// CNI_IFNAME of its ADD.
    pub ifname: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    name: String,
    network: Option<String>,
    driver: Option<String>,
    subnet: Option<IpNet>,
    subnets: Option<Vec<IpNet>>,
    #[serde(default)]
    internal: bool,
    mtu: Option<u32>,
    socket: Option<PathBuf>,
    ipam: Option<Map<String, Value>>,
    dns: Option<Dns>,
    runtime_config: Option<Map<String, Value>>,
    args: Option<Map<String, Value>>,
    prev_result: Option<Map<String, Value>>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid: Option<Vec<Attachment>>,
    // libcni wrote this name first, and writes both.
    #[serde(rename = "cni.dev/attachments")]
    attachments: Option<Vec<Attachment>>,
}

/// The configuration's own resolver, with the names of a result.
#[derive(Deserialize)]
struct Dns {
    nameservers: Option<Vec<std::net::IpAddr>>,
    search: Option<Vec<String>>,
    options: Option<Vec<String>>,
}

/// The version that a config asks for, as far as it can be read: errors are answered with it.
pub fn version_of(bytes: &[u8]) -> String {
    let config: Option<Map<String, Value>> = serde_json::from_slice(bytes).ok();
    let version = config.as_ref().and_then(|config| config.get("cniVersion")?.as_str());
    version.filter(|text| text.len() <= 32).unwrap_or(Version::V1_1_0.text()).to_owned()
}

/// What is left of a configuration where something is taken away.
const FOR_REMOVAL: [&str; 5] = ["name", "network", "socket", "cni.dev/valid-attachments", "cni.dev/attachments"];

impl Config {
    /// Reads standard input; `variable` reads the environment. A removal reads only what says what is to be removed: what
    /// an attachment was refused for must not keep it from being cleaned up after.
    ///
    /// # Errors
    /// [`DECODE`] when it is no JSON object, `INCOMPATIBLE` for the version, [`CONFIG`] or `UNSUPPORTED` naming the key.
    pub fn read(bytes: &[u8], removal: bool, variable: impl Fn(&str) -> Option<String>) -> Result<Config, Failure> {
        let mut document: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| Failure::new(DECODE, format!("network config: cannot be decoded: {error}")))?;
        let version = document.get("cniVersion").and_then(Value::as_str).unwrap_or_default().parse()?;
        if removal {
            document.retain(|key, _| FOR_REMOVAL.contains(&key.as_str()));
        }
        let raw: Raw = serde_path_to_error::deserialize(Value::Object(document)).map_err(|error| {
            let (path, why) = (error.path().to_string(), error.into_inner());
            Failure::new(CONFIG, format!("network config: {path}: {why}"))
        })?;
        let bad = |msg: String| Failure::new(CONFIG, format!("network config: {msg}"));
        if raw.name.is_empty() || !is_label_value(&raw.name) {
            return Err(bad("name: 1 to 255 bytes of text are wanted".into()));
        }
        if let Some(other) = raw.ipam.as_ref().and_then(|ipam| ipam.get("type")) {
            let help = "leave `ipam` out: the switch gives addresses itself, from the network's `subnet`";
            return Err(bad(format!("ipam: type {other} cannot be used")).help(help));
        }
        let network = raw.network.clone().unwrap_or_else(|| raw.name.clone());
        let subnets: Vec<IpNet> = raw.subnet.into_iter().chain(raw.subnets.unwrap_or_default()).collect();
        let create = (!subnets.is_empty()).then(|| CreateNetwork {
            name: network.clone(),
            driver: raw.driver.clone(),
            subnets: subnets.iter().map(|subnet| NewSubnet { subnet: Some(*subnet), ..NewSubnet::default() }).collect(),
            internal: raw.internal,
            mtu: raw.mtu,
            ..CreateNetwork::default()
        });
        if create.is_none() && (raw.driver.is_some() || raw.internal || raw.mtu.is_some()) {
            let help = "with it the network is made when it is missing; without it, remove driver, internal and mtu";
            return Err(bad("driver, internal and mtu need `subnet`".into()).help(help));
        }
        let mut wishes = Wishes::read(raw.runtime_config, raw.args, &raw.name)?;
        if let (true, Some(dns)) = (wishes.dns.is_empty(), raw.dns) {
            let (nameservers, search) = (dns.nameservers.unwrap_or_default(), dns.search.unwrap_or_default());
            wishes.dns = Resolver { nameservers, search, options: dns.options.unwrap_or_default() };
        }
        let socket = raw.socket.or_else(|| variable(SOCKET_VARIABLE).map(PathBuf::from));
        Ok(Config {
            version,
            name: raw.name,
            network,
            create,
            socket: socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            wishes,
            previous: raw.prev_result,
            valid: raw.valid.or(raw.attachments),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::error::INCOMPATIBLE;
    use super::*;

    fn read(document: Value) -> Result<Config, Failure> {
        Config::read(document.to_string().as_bytes(), false, |_| None)
    }

    fn base(more: Value) -> Value {
        let mut document = json!({"cniVersion": "1.1.0", "name": "pods", "type": "vswitch-cni"});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    }

    #[test]
    fn a_config_names_a_network_or_says_how_to_make_it() {
        let plain = read(base(json!({"capabilities": {"mac": true}, "unknown": [1]}))).unwrap();
        assert_eq!((plain.network.as_str(), plain.create, plain.valid), ("pods", None, None));
        assert_eq!(plain.socket, PathBuf::from(DEFAULT_SOCKET));
        let made = read(base(json!({
            "network": "RED", "driver": "overlay", "subnet": "10.9.0.0/16", "subnets": ["fd09::/64"], "mtu": 1400,
            "internal": true, "socket": "/s", "ipam": {}, "prevResult": {"ips": []},
            "cni.dev/attachments": [{"containerID": "c", "ifname": "eth0"}],
            "dns": {"nameservers": ["10.9.0.53"], "domain": "x", "search": ["a.example"]},
        })))
        .unwrap();
        let create = made.create.unwrap();
        assert_eq!((create.name.as_str(), create.driver.as_deref(), create.mtu), ("RED", Some("overlay"), Some(1400)));
        assert!(create.internal && create.subnets.len() == 2);
        assert_eq!((made.network.as_str(), made.socket.to_str()), ("RED", Some("/s")));
        assert_eq!(made.valid.unwrap()[0].container_id, "c");
        assert_eq!(made.wishes.dns.search, ["a.example"]);
        assert!(made.previous.unwrap().contains_key("ips"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let failure = |document: Value| read(document).unwrap_err();
        assert_eq!(Config::read(b"{", false, |_| None).unwrap_err().code, DECODE);
        assert_eq!(Config::read(b"[]", true, |_| None).unwrap_err().code, DECODE);
        assert_eq!(failure(json!({"name": "x"})).code, INCOMPATIBLE);
        assert_eq!(failure(json!({"cniVersion": 1, "name": "x"})).code, INCOMPATIBLE);
        let named = |document: Value, word: &str| {
            let failure = failure(document);
            assert!(failure.code == CONFIG && failure.msg.contains(word), "{failure:?}");
        };
        named(json!({"cniVersion": "1.0.0"}), "name");
        named(base(json!({"name": ""})), "name");
        named(base(json!({"subnet": "10.9.0.0/99"})), "subnet");
        named(base(json!({"ipam": {"type": "host-local"}})), "\"host-local\"");
        named(base(json!({"driver": "overlay"})), "need `subnet`");
        named(base(json!({"cni.dev/valid-attachments": [{"ifname": "x"}]})), "valid-attachments[0]");
    }

    #[test]
    fn a_removal_does_not_look_at_what_an_attachment_is_refused_for() {
        let refused = base(json!({
            "subnet": "10.9.0.0/99", "driver": 7, "ipam": {"type": "dhcp"}, "dns": "x", "mtu": "y", "prevResult": 5,
            "runtimeConfig": {"ipRanges": [[]], "portMappings": [{"protocol": "sctp"}]}, "network": "RED",
        }));
        assert!(read(refused.clone()).is_err());
        let config = Config::read(refused.to_string().as_bytes(), true, |_| None).unwrap();
        assert_eq!((config.name.as_str(), config.network.as_str()), ("pods", "RED"));
        assert!(Config::read(br#"{"cniVersion":"9.0.0","name":"x"}"#, true, |_| None).is_err());
    }

    #[test]
    fn the_version_of_an_answer_is_the_configs() {
        assert_eq!(version_of(br#"{"cniVersion":"0.4.0","name":5}"#), "0.4.0");
        assert_eq!(version_of(b"nonsense"), "1.1.0");
        let config = Config::read(base(json!({})).to_string().as_bytes(), false, |name| {
            (name == SOCKET_VARIABLE).then(|| "/other".to_owned())
        });
        assert_eq!(config.unwrap().socket, PathBuf::from("/other"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_config_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Config::read(&bytes, bytes.len() % 2 == 0, |_| None);
            let _ = version_of(&bytes);
        }
    }
}
