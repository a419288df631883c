//! Options of `docker network create`: ours begin with `vswitch.`, Docker's own are handed on, and what nobody knows is
//! refused by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::Error;

/// The existing network that is meant, for the driver (`-o`) and for its IPAM (`--ipam-opt`).
pub(super) const NETWORK: &str = "vswitch.network";
/// The name of the network to be made.
const NAME: &str = "vswitch.name";
/// Its driver: bridge or overlay.
pub(super) const DRIVER: &str = "vswitch.driver";

/// What `-o` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) network: Option<String>,
    pub(super) name: Option<String>,
    pub(super) driver: Option<String>,
    pub(super) internal: bool,
    pub(super) ipv6: bool,
    /// All others.
    pub(super) rest: BTreeMap<String, String>,
}

/// Reads the options of `NetworkDriver.CreateNetwork`.
pub(super) fn read(options: &Map<String, Value>) -> Result<Options, Error> {
    let flag = |key: &str| options.get(key).is_some_and(|value| value.as_bool() == Some(true) || *value == "true");
    let mut read = Options {
        internal: flag("com.docker.network.internal"),
        ipv6: flag("com.docker.network.enable_ipv6"),
        ..Options::default()
    };
    let generic = options.get("com.docker.network.generic").and_then(Value::as_object);
    for (key, value) in generic.into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match key.as_str() {
            NETWORK => read.network = Some(value),
            NAME => read.name = Some(value),
            DRIVER => read.driver = Some(value),
            key if key.starts_with("vswitch.") => return Err(unknown("-o", key)),
            _ => drop(read.rest.insert(key.clone(), value)),
        }
    }
    if let (Some(network), Some(_)) = (&read.network, read.name.as_ref().or(read.driver.as_ref())) {
        let why = format!("{NETWORK} joins a network that is there; {NAME} and {DRIVER} are for one to be made");
        return Err(Error::invalid(format!("network {network}"), why, "give one of them"));
    }
    Ok(read)
}

/// An option that nobody knows.
pub(super) fn unknown(flag: &str, key: &str) -> Error {
    let remedy = match flag {
        "-o" => format!("ours are {NETWORK}, {NAME} and {DRIVER}"),
        _ => format!("ours are {NETWORK} and {DRIVER}"),
    };
    Error::invalid("driver vswitch", format!("option {flag} {key} is not known"), remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(generic: Value) -> Result<Options, Error> {
        let options = json!({ "com.docker.network.generic": generic, "com.docker.network.internal": true });
        read(options.as_object().unwrap())
    }

    #[test]
    fn ours_are_known_and_dockers_are_handed_on() {
        let read = of(json!({ "vswitch.name": "RED", "com.docker.network.driver.mtu": "1400" })).unwrap();
        assert_eq!((read.name.as_deref(), read.internal, read.ipv6), (Some("RED"), true, false));
        assert_eq!(read.rest["com.docker.network.driver.mtu"], "1400");
        assert!(of(json!({ "vswitch.colour": "red" })).unwrap_err().error.contains("vswitch.colour"));
        assert!(of(json!({ "vswitch.network": "RED", "vswitch.name": "BLUE" })).is_err());
        assert_eq!(of(Value::Null).unwrap().network, None);
    }
}
