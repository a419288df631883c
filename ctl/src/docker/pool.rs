//! Pools by their ids. An id says all that is needed to find the pool's network again: `joined/NETWORK-ID/SUBNET[/RANGE]`
//! for a network that was there before, `own/SUBNET[/RANGE]` for one that is made for Docker.

use std::net::IpAddr;

use ipnet::IpNet;

use super::record::Pool;
use crate::api::Error;

/// The id of a pool of an existing network (its id), or of one that is to be made.
pub(super) fn id(network: Option<&str>, subnet: IpNet, range: Option<IpNet>) -> String {
    let range = range.map(|range| format!("/{range}")).unwrap_or_default();
    match network {
        Some(network) => format!("joined/{network}/{subnet}{range}"),
        None => format!("own/{subnet}{range}"),
    }
}

/// A pool of an existing network by its id alone, when the state file does not know it.
pub(super) fn of_id(id: &str) -> Option<Pool> {
    let mut parts = id.strip_prefix("joined/")?.split('/');
    let network = parts.next()?.to_owned();
    let mut prefix = || Some(format!("{}/{}", parts.next()?, parts.next()?));
    let (subnet, range) = (prefix()?.parse().ok()?, prefix());
    let range = range.map(|text| text.parse()).transpose().ok()?;
    let id = id.to_owned();
    Some(Pool { id, subnet, range, network: Some(network), joined: true, gateway: None, uses: 1, since: 0 })
}

/// Reads a prefix as a user gave it; host bits do not matter.
pub(super) fn prefix(text: &str, what: &str) -> Result<Option<IpNet>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let net = text.parse::<IpNet>();
    let net = net.map_err(|_| Error::invalid(format!("{what} {text}"), "not a prefix", "write ADDRESS/LENGTH"))?;
    Ok(Some(net.trunc()))
}

/// Reads an address, with or without a prefix length.
pub(super) fn address(text: &str) -> Result<Option<IpAddr>, Error> {
    let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
    if bare.is_empty() {
        return Ok(None);
    }
    let read = bare.parse().map_err(|_| Error::invalid(format!("address {text}"), "not an IP address", "correct it"));
    read.map(Some)
}

/// The gateway of a network that is to be made: the first address of the range, or of the subnet.
pub(super) fn first_gateway(subnet: IpNet, range: Option<IpNet>) -> Result<IpAddr, Error> {
    let refused = |error: ipam::Error| Error::invalid(format!("subnet {subnet}"), error.to_string(), "give --gateway");
    let plan = ipam::Subnet::new(subnet, range, None, Default::default()).map_err(refused)?;
    let usual = plan.gateway.ok_or_else(|| {
        Error::invalid(format!("subnet {subnet}"), "it has no room for a gateway", "choose a larger one")
    })?;
    match range {
        Some(range) if !range.contains(&usual) => {
            let mut hosts = range.hosts();
            let first = hosts.find(|address| *address != subnet.network() && *address != subnet.broadcast());
            Ok(first.unwrap_or(usual))
        }
        _ => Ok(usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_says_what_the_pool_is() {
        let id = id(Some("abc"), net("10.9.0.0/16"), Some(net("10.9.4.0/22")));
        let pool = of_id(&id).unwrap();
        assert_eq!((pool.network.as_deref(), pool.subnet), (Some("abc"), net("10.9.0.0/16")));
        assert_eq!((pool.range, pool.id), (Some(net("10.9.4.0/22")), id));
        let v6 = of_id(&super::id(Some("abc"), net("fd00::/64"), None)).unwrap();
        assert_eq!((v6.subnet, v6.range), (net("fd00::/64"), None));
        for bad in
            ["", "own/10.0.0.0/8", "joined/", "joined/x/10.0.0.0", "joined/x/10.0.0.0/99", "joined/x/1.0.0.0/8/y/z"]
        {
            assert!(of_id(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn gateways_are_the_first_of_the_range() {
        let first = |subnet, range: Option<&str>| first_gateway(net(subnet), range.map(net)).unwrap().to_string();
        assert_eq!(first("10.9.0.0/16", None), "10.9.0.1");
        assert_eq!(first("10.9.0.0/16", Some("10.9.4.0/22")), "10.9.4.1");
        assert_eq!(first("10.9.0.0/16", Some("10.9.0.0/24")), "10.9.0.1");
        assert_eq!(first("fd00::/64", None), "fd00::1");
        assert!(first_gateway(net("10.9.0.0/32"), None).is_err());
    }

    #[test]
    fn what_users_write() {
        assert_eq!(prefix("10.1.2.3/16", "subnet").unwrap(), Some(net("10.1.0.0/16")));
        assert_eq!(prefix("", "subnet").unwrap(), None);
        assert!(prefix("10.1", "subnet").unwrap_err().error.contains("10.1"));
        assert_eq!(address("10.1.2.3/16").unwrap(), address("10.1.2.3").unwrap());
        assert!(address("x").is_err());
    }
}
