//! Docker's list of ports to be published as ours: Docker names each port by itself, a range here is one rule.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::Error;

/// Where Docker puts the list.
const KEY: &str = "com.docker.network.portmap";

/// That another endpoint of the sandbox leads IPv6 out.
const ONLY_V4: &str = "com.docker.network.driver.private.no_proxy_6to4";

/// What an endpoint is to publish, and for whom.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// In our words.
    pub(super) specs: Vec<String>,
    /// Whether another endpoint does it for IPv6.
    pub(super) only_v4: bool,
}

/// One port, as Docker says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    /// Number of the IP protocol.
    proto: u8,
    port: u16,
    #[serde(rename = "HostIP")]
    host_ip: Option<String>,
    /// 0: to be chosen.
    host_port: u16,
    /// Of a range of which one is to be chosen; 0 is none.
    host_port_end: u16,
}

/// Consecutive ports.
struct Run {
    proto: u8,
    at: Option<IpAddr>,
    port: u16,
    host: u16,
    /// The last of those to choose from, for a single port.
    host_end: u16,
    count: u16,
}

impl Run {
    fn continues(&self, binding: &Binding, at: Option<IpAddr>) -> bool {
        let single = self.host != 0 && self.host_end == self.host && binding.host_port_end <= binding.host_port;
        single
            && (self.proto, self.at) == (binding.proto, at)
            && self.port.checked_add(self.count) == Some(binding.port)
            && self.host.checked_add(self.count) == Some(binding.host_port)
    }

    fn spec(&self) -> String {
        let at = match self.at {
            Some(IpAddr::V6(v6)) => format!("[{v6}]:"),
            Some(v4) => format!("{v4}:"),
            None => String::new(),
        };
        let range = |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}-{last}") };
        let more = self.count - 1;
        let host = match self.host {
            0 if self.at.is_some() => ":".to_owned(),
            0 => String::new(),
            host => format!("{}:", range(host, host.saturating_add(more).max(self.host_end))),
        };
        let protocol = if self.proto == wire::protocol::UDP { "udp" } else { "tcp" };
        format!("{at}{host}{}/{protocol}", range(self.port, self.port.saturating_add(more)))
    }
}

/// The ports to be published.
pub(super) fn read(options: &Map<String, Value>) -> Result<Wanted, Error> {
    let only_v4 = options.get(ONLY_V4).is_some_and(|value| *value == true || *value == "true");
    let Some(list) = options.get(KEY).filter(|list| !list.is_null()) else {
        return Ok(Wanted { specs: Vec::new(), only_v4 });
    };
    let invalid = |why: String| Error::invalid("published ports", why, "publish TCP and UDP ports");
    let mut bindings: Vec<Binding> =
        serde_json::from_value(list.clone()).map_err(|error| invalid(error.to_string()))?;
    bindings.sort_by_key(|b| (b.proto, b.host_ip.clone(), b.port, b.host_port));
    let mut runs: Vec<Run> = Vec::new();
    for binding in bindings {
        if ![wire::protocol::TCP, wire::protocol::UDP].contains(&binding.proto) {
            return Err(invalid(format!("port {} of IP protocol {} cannot be published", binding.port, binding.proto)));
        }
        let at = match binding.host_ip.as_deref().unwrap_or_default() {
            "" => None,
            text => Some(text.parse().map_err(|_| invalid(format!("{text:?} is not an IP address")))?),
        };
        if let Some(run) = runs.last_mut().filter(|run| run.continues(&binding, at)) {
            run.count += 1;
            run.host_end = run.host_end.max(run.host);
            continue;
        }
        let Binding { proto, port, host_port: host, host_port_end, .. } = binding;
        runs.push(Run { proto, at, port, host, host_end: host_port_end.max(host), count: 1 });
    }
    Ok(Wanted { specs: runs.iter().map(Run::spec).collect(), only_v4 })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn specs(list: Value) -> Result<Vec<String>, Error> {
        read(json!({ KEY: list }).as_object().unwrap()).map(|wanted| wanted.specs)
    }

    fn tcp(port: u16, ip: &str, host: u16, end: u16) -> Value {
        json!({ "Proto": 6, "IP": "", "Port": port, "HostIP": ip, "HostPort": host, "HostPortEnd": end })
    }

    #[test]
    fn single_ports() {
        let list = json!([
            tcp(80, "", 8080, 8080),
            tcp(81, "", 0, 0),
            tcp(82, "127.0.0.1", 8082, 0),
            tcp(83, "::1", 0, 0),
            tcp(84, "", 9000, 9010),
            { "Proto": 17, "Port": 53, "HostIP": "", "HostPort": 5353, "HostPortEnd": 5353 },
        ]);
        let expected = ["8080:80/tcp", "81/tcp", "9000-9010:84/tcp", "127.0.0.1:8082:82/tcp", "[::1]::83/tcp"];
        let specs = specs(list).unwrap();
        assert_eq!(specs[..5], expected);
        assert_eq!(specs[5], "5353:53/udp");
        assert!(specs.iter().all(|spec| spec.parse::<crate::publish::Spec>().is_ok()));
    }

    #[test]
    fn a_range_is_one() {
        let list: Vec<Value> = (0..100).map(|n| tcp(3000 + n, "", 9000 + n, 9000 + n)).collect();
        assert_eq!(specs(list.into()).unwrap(), ["9000-9099:3000-3099/tcp"]);
        let crossed = json!([tcp(80, "", 8001, 8001), tcp(81, "", 8000, 8000)]);
        assert_eq!(specs(crossed).unwrap(), ["8001:80/tcp", "8000:81/tcp"]);
        assert!(specs(Value::Null).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_published_is_named() {
        let sctp = json!([{ "Proto": 132, "Port": 7 }]);
        assert!(specs(sctp).unwrap_err().error.contains("132"));
        assert!(specs(json!([tcp(80, "nowhere", 1, 1)])).unwrap_err().error.contains("nowhere"));
        assert!(specs(json!("x")).is_err());
    }
}
