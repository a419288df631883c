//! Prefixes that the host itself uses: its routes and its resolvers. A new subnet must not hide them.
//! Read from the kernel's tables of the daemon's own namespace; what cannot be read counts as absent.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::uplink;

/// All of them; default routes and link-local prefixes are none, nor what leads to our own networks through `own`. The
/// prefixes of the host's link are taken on every host.
pub(super) fn in_use(own: &str) -> Vec<IpNet> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut all: Vec<IpNet> = parse_v4(&v4, own).chain(parse_v6(&v6, own)).chain(parse_resolvers(&resolvers)).collect();
    all.extend([IpNet::V4(uplink::V4.trunc()), IpNet::V6(uplink::V6.trunc())]);
    all.sort();
    all.dedup();
    all
}

/// Columns: interface, destination, gateway, flags, counters, metric, mask ...; addresses in host byte order.
fn parse_v4(text: &str, own: &str) -> impl Iterator<Item = IpNet> {
    text.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_whitespace();
        columns.next().filter(|interface| *interface != own)?;
        let address = u32::from_str_radix(columns.next()?, 16).ok()?;
        let mask = u32::from_str_radix(columns.nth(5)?, 16).ok()?;
        let ip = |number: u32| Ipv4Addr::from(number.to_ne_bytes());
        let net = Ipv4Net::with_netmask(ip(address), ip(mask)).ok()?;
        (net.prefix_len() > 0 && !net.addr().is_link_local() && !net.addr().is_loopback()).then(|| net.trunc().into())
    })
}

/// Columns: destination, prefix length, source, prefix length, next hop ..., interface; in hex.
fn parse_v6(text: &str, own: &str) -> impl Iterator<Item = IpNet> {
    text.lines().filter_map(move |line| {
        line.split_whitespace().last().filter(|interface| *interface != own)?;
        let mut columns = line.split_whitespace();
        let address = Ipv6Addr::from(u128::from_str_radix(columns.next()?, 16).ok()?);
        let length = u8::from_str_radix(columns.next()?, 16).ok()?;
        let net = Ipv6Net::new(address, length).ok()?;
        let kept = length > 0 && !address.is_unicast_link_local() && !address.is_loopback() && !address.is_multicast();
        kept.then(|| net.trunc().into())
    })
}

fn parse_resolvers(text: &str) -> impl Iterator<Item = IpNet> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = (words.next()? == "nameserver").then(|| words.next())??.parse().ok()?;
        (!address.is_loopback()).then(|| address.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                  vsw0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\nnonsense\n";
        let expected: IpNet = "172.17.0.0/16".parse().unwrap();
        assert_eq!(parse_v4(v4, "vsw0").collect::<Vec<_>>(), [expected]);
        let v6 = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
                  00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
                  fe800000000000000000000000000000 40 0 00 0 0 0 0 0 eth0\nx\n";
        let expected: IpNet = "fd00::/64".parse().unwrap();
        assert_eq!(parse_v6(v6, "vsw0").collect::<Vec<_>>(), [expected]);
        let resolvers = parse_resolvers("# x\nnameserver 10.1.2.3\nnameserver 127.0.0.53\nsearch x\nnameserver\n");
        assert_eq!(resolvers.collect::<Vec<_>>(), ["10.1.2.3/32".parse::<IpNet>().unwrap()]);
    }
}
