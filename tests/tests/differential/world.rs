//! The network that both routers stand in: side `a` and side `b`, a subnet and some hosts on each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nat::rules::Family;

/// Hosts on each side that speak.
pub(crate) const HOSTS: usize = 4;
/// Hosts on each side; the rest are addresses that translations lead to, or hide behind.
pub(crate) const NEIGHBOURS: usize = 22;
/// The names of the sides' interfaces.
pub(crate) const SIDES: [&str; 2] = ["a", "b"];
/// The routers' MAC address, on both sides.
pub(crate) const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

/// The address of a host of a side.
pub(crate) fn address(family: Family, side: usize, host: usize) -> IpAddr {
    numbered(family, side, 10 + host as u8)
}

/// The routers' address on a side.
pub(crate) fn gateway(family: Family, side: usize) -> IpAddr {
    numbered(family, side, 1)
}

/// The length of a side's prefix.
pub(crate) fn prefix(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 24,
        Family::Ipv6 => 64,
    }
}

/// Whose address it is: side and host.
pub(crate) fn owner(ip: IpAddr) -> Option<(usize, usize)> {
    let family = if ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let mut all = (0..2).flat_map(|side| (0..NEIGHBOURS).map(move |host| (side, host)));
    all.find(|(side, host)| address(family, *side, *host) == ip)
}

fn numbered(family: Family, side: usize, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 1 + side as u8, 0, number).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfd00, 1 + side as u16, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

/// The MAC address of a host of a side.
pub(crate) fn mac(side: usize, host: usize) -> [u8; 6] {
    [2, 0, 0, 0, 1 + side as u8, 10 + host as u8]
}
