//! The result of ADD in the form of each version, after those of the plugins before; and what CHECK reads of it. Pure.
//! Invariant: an address points at the link that has it, because other plugins find the container's address so.

use std::net::IpAddr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Map, Value, json};

use super::error::{CONFIG, Failure};
use super::version::Version;
use crate::api::Port;

/// What to print after an attachment, where the container leaves by these gateways of it. Of two networks that lead out
/// one has its default route.
pub(super) fn of(
    version: Version,
    previous: Option<&Map<String, Value>>,
    port: &Port,
    ways_out: &[IpAddr],
    netns: &Path,
) -> Value {
    let mut result = previous.cloned().unwrap_or_default();
    result.insert("cniVersion".into(), version.text().into());
    let mut interfaces = list(&result, "interfaces");
    let index = interfaces.len();
    let mut interface = json!({ "name": port.ifname, "mac": port.mac, "sandbox": netns });
    if version >= Version::V1_1_0 {
        interface["mtu"] = port.mtu.into();
    }
    interfaces.push(interface);
    result.insert("interfaces".into(), interfaces.into());

    let mut ips = list(&result, "ips");
    for address in &port.addresses {
        let mut ip = json!({ "address": address, "interface": index });
        if version < Version::V1_0_0 {
            ip["version"] = if address.addr().is_ipv4() { "4" } else { "6" }.into();
        }
        if let Some(gateway) = port.gateways.iter().find(|gateway| address.contains(*gateway)) {
            ip["gateway"] = gateway.to_string().into();
        }
        ips.push(ip);
    }
    result.insert("ips".into(), ips.into());

    let mut routes = list(&result, "routes");
    for gateway in port.gateways.iter().filter(|gateway| ways_out.contains(gateway)) {
        let all: IpNet = if gateway.is_ipv4() { Ipv4Net::default().into() } else { Ipv6Net::default().into() };
        // A family's first way out is the container's.
        if !routes.iter().any(|route| route["dst"] == all.to_string().as_str()) {
            routes.push(json!({ "dst": all, "gw": gateway }));
        }
    }
    if !routes.is_empty() {
        result.insert("routes".into(), routes.into());
    }

    let theirs = result.get("dns").and_then(|dns| dns["nameservers"].as_array()).is_some_and(|all| !all.is_empty());
    if !theirs {
        let dns = &port.dns;
        let parts = [("search", &dns.search), ("options", &dns.options)];
        let mut ours = json!({ "nameservers": dns.nameservers });
        for (key, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
            ours[key] = json!(values);
        }
        result.insert("dns".into(), if dns.is_empty() { json!({}) } else { ours });
    }
    result.into()
}

fn list(result: &Map<String, Value>, key: &str) -> Vec<Value> {
    result.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The addresses that a result gives to a link of the container.
///
/// # Errors
/// [`CONFIG`] when the result has no such link.
pub(super) fn addresses(result: &Map<String, Value>, ifname: &str, netns: &Path) -> Result<Vec<IpNet>, Failure> {
    let index = position(result, ifname, netns)
        .ok_or_else(|| Failure::new(CONFIG, format!("prevResult: it has no interface {ifname} of the container")))?;
    let ips = result.get("ips").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let its = ips.iter().filter(|ip| ip["interface"].as_u64() == Some(index as u64));
    let read = |ip: &Value| {
        let text = ip["address"].as_str().unwrap_or_default();
        text.parse().map_err(|_| Failure::new(CONFIG, format!("prevResult: ips: {text:?} is no address")))
    };
    its.map(read).collect()
}

/// Which interface of a result is this link of the container.
pub(super) fn position(result: &Map<String, Value>, ifname: &str, netns: &Path) -> Option<usize> {
    let interfaces = result.get("interfaces")?.as_array()?;
    let sandbox = netns.to_str();
    interfaces.iter().position(|link| link["name"] == ifname && link["sandbox"].as_str() == sandbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> Port {
        let port = json!({
            "name": "web", "network": "RED", "network_id": "1", "endpoint_id": "2", "container_id": "c", "ifname": "eth0",
            "mac": "02:42:0a:09:00:05", "addresses": ["10.9.0.5/16", "fd09::5/64"], "gateways": ["10.9.0.1", "fd09::1"],
            "dns": {"nameservers": ["10.9.0.1"], "search": ["a.example"]}, "aliases": [], "mtu": 1450, "state": "up",
            "kind": "tap", "guard": true, "sandbox": {"pid": null, "netns": "/n"},
            "rx_frames": 0, "rx_bytes": 0, "tx_frames": 0, "tx_bytes": 0, "drops": 0,
        });
        serde_json::from_value(port).unwrap()
    }

    #[test]
    fn each_version_has_its_form() {
        let ways = port().gateways;
        let result = of(Version::V1_1_0, None, &port(), &ways, Path::new("/n"));
        let expected = json!({
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "eth0", "mac": "02:42:0a:09:00:05", "sandbox": "/n", "mtu": 1450}],
            "ips": [
                {"address": "10.9.0.5/16", "interface": 0, "gateway": "10.9.0.1"},
                {"address": "fd09::5/64", "interface": 0, "gateway": "fd09::1"},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.9.0.1"}, {"dst": "::/0", "gw": "fd09::1"}],
            "dns": {"nameservers": ["10.9.0.1"], "search": ["a.example"]},
        });
        assert_eq!(result, expected);
        let result = of(Version::V1_0_0, None, &port(), &ways, Path::new("/n"));
        assert!(result["interfaces"][0]["mtu"].is_null() && result["ips"][0]["version"].is_null());
        let result = of(Version::V0_4_0, None, &port(), &ways, Path::new("/n"));
        assert_eq!((&result["ips"][0]["version"], &result["ips"][1]["version"]), (&json!("4"), &json!("6")));
        let second = of(Version::V1_1_0, None, &port(), &ways[1..], Path::new("/n"));
        assert_eq!(second["routes"], json!([{"dst": "::/0", "gw": "fd09::1"}]));
        assert_eq!(second["ips"], expected["ips"]);
        let inner = of(Version::V1_1_0, None, &Port { gateways: vec![], ..port() }, &ways, Path::new("/n"));
        assert!(inner["routes"].is_null() && inner["ips"][0]["gateway"].is_null());
    }

    #[test]
    fn it_stands_behind_what_was_there() {
        let previous = json!({
            "cniVersion": "0.3.1", "interfaces": [{"name": "lo", "sandbox": "/n"}], "ips": [{"address": "127.0.0.1/8"}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}], "dns": {"nameservers": ["192.0.2.53"]}, "other": 1,
        });
        let previous = previous.as_object().unwrap();
        let result = of(Version::V1_0_0, Some(previous), &port(), &port().gateways, Path::new("/n"));
        assert_eq!((&result["interfaces"][1]["name"], &result["ips"][1]["interface"]), (&json!("eth0"), &json!(1)));
        assert_eq!(result["routes"].as_array().unwrap().len(), 2, "IPv4 has its way out already");
        assert_eq!((&result["dns"]["nameservers"][0], &result["other"]), (&json!("192.0.2.53"), &json!(1)));
        let result = result.as_object().unwrap();
        assert_eq!(addresses(result, "eth0", Path::new("/n")).unwrap(), port().addresses);
        assert!(addresses(result, "eth0", Path::new("/other")).unwrap_err().msg.contains("no interface eth0"));
        assert_eq!(position(result, "lo", Path::new("/n")), Some(0));
    }
}
