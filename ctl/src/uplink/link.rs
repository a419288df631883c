//! The host's link to the switch: a TAP that stays in the host's namespace. It is made at the daemon's start and goes
//! with its descriptor, at a crash as well, and with it every route through it. Sysctls are set on it alone.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::libc;
use nix::net::if_::if_nametoindex;
use port::{Tap, TapOptions};
use rtnetlink::packet_route::address::AddressScope;
use rtnetlink::{LinkMessageBuilder, LinkUnspec};
use wire::Mac;

use super::Error;
use super::facts::Facts;
use crate::netlink::Netlink;

/// Its name unless told otherwise.
pub const NAME: &str = "vsw0";
/// Its MAC address. Fixed, so that nobody replaces it by one of his own making.
pub const MAC: Mac = Mac([0x02, 0x76, 0x73, 0x77, 0x00, 0x02]);
/// Its IPv4 address and the prefix from which the switch takes others: link-local, where nobody assigns addresses.
pub const V4: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(169, 254, 86, 1), 24);
/// The same for IPv6: a unique local prefix.
pub const V6: Ipv6Net = Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfd76, 0x7377, 0x3000, 0, 0, 0, 0, 1), 64);

/// Smallest and largest MTU, in bytes: Ethernet's, and what a TAP takes.
const MTU: (u32, u32) = (1500, 65_521);
/// Frames that wait for the data thread at the most: some milliseconds of small ones, and no more.
const QUEUE: u32 = 2_000;
/// How long a link that a killed predecessor had may take to vanish.
const PATIENCE: Duration = Duration::from_secs(2);

/// The link.
#[derive(Debug)]
pub(super) struct HostLink {
    /// The switch's end.
    pub(super) tap: Tap,
    pub(super) index: u32,
}

/// The MTU that fits interfaces with these ones.
pub(super) fn fitting_mtu(nics: impl Iterator<Item = u32>) -> u32 {
    nics.max().unwrap_or(MTU.0).clamp(MTU.0, MTU.1)
}

/// Makes the link, up and with its addresses. On failure nothing is left.
///
/// # Errors
/// Any [`Error`].
pub(super) async fn make(name: &str) -> Result<HostLink, Error> {
    let failed = |step| move |source| Error::Step { name: name.into(), step, source };
    let netlink = Netlink::open().map_err(failed("open a netlink socket"))?;
    let tap = create(&netlink, name).await?;
    let index = if_nametoindex(name).map_err(io::Error::from).map_err(failed("find the new link"))?;
    let change = || LinkMessageBuilder::<LinkUnspec>::new().index(index);
    let dress =
        change().address(MAC.0.to_vec()).mtu(MTU.0).txqueuelen(QUEUE).arp(false).multicast(false).alias("vswitch");
    netlink.set(dress).await.map_err(failed("set its MAC address and queue"))?;
    // Its gso_max_size stays the kernel's: what NICs hand over whole must not be cut on the way to the switch.
    set_sysctls(name);
    add_v4(&netlink, index).await.map_err(failed("add its IPv4 address"))?;
    match add_v6(&netlink, index).await {
        // IPv6 is off on this host, and stays so.
        Err(error) if is_off(&error) => tracing::info!(link = name, "no IPv6 on this host"),
        other => other.map_err(failed("add its IPv6 address"))?,
    }
    netlink.set(change().up()).await.map_err(failed("set it up"))?;
    Ok(HostLink { tap, index })
}

/// Makes good what somebody else has changed: the link is up, its MTU fits, and its addresses are there. The IPv6 one
/// goes when a link is down for a moment only.
pub(super) async fn mend(netlink: &Netlink, facts: &Facts, index: u32, mtu: u32) {
    let Some(link) = facts.links.get(&index) else { return };
    let has = |net: IpNet| facts.addresses.iter().any(|address| address.link == index && address.ip == net.addr());
    if !link.up || link.mtu != mtu {
        let change = LinkMessageBuilder::<LinkUnspec>::new().index(index).mtu(mtu).up();
        if let Err(error) = netlink.set(change).await {
            tracing::warn!(link = link.name, mtu, %error, "cannot set up the host's link");
        }
    }
    let mut added = Vec::new();
    if !has(V4.into()) {
        added.push(add_v4(netlink, index).await);
    }
    if !has(V6.into()) {
        added.push(add_v6(netlink, index).await);
    }
    for error in added.into_iter().filter_map(Result::err).filter(|error| !is_off(error)) {
        tracing::warn!(link = link.name, %error, "cannot give the host's link its address again");
    }
}

/// Of link scope, so that the kernel never takes it for a source elsewhere.
async fn add_v4(netlink: &Netlink, index: u32) -> io::Result<()> {
    netlink.add_address(index, V4.into(), AddressScope::Link).await
}

async fn add_v6(netlink: &Netlink, index: u32) -> io::Result<()> {
    netlink.add_address(index, V6.into(), AddressScope::Universe).await
}

/// A link of this name can be a predecessor's that is just being removed: closing a TAP takes the kernel a while.
async fn create(netlink: &Netlink, name: &str) -> Result<Tap, Error> {
    let start = Instant::now();
    loop {
        let failed = |source| Error::Step { name: name.into(), step: "look for it", source };
        match netlink.find(name).await.map_err(failed)? {
            None => match Tap::create(name, &TapOptions::default()) {
                Err(error) if !is_taken(&error) || start.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => {}
                Ok(tap) => return Ok(tap),
            },
            Some((_, is_tap)) if !is_tap || start.elapsed() > PATIENCE => {
                return Err(Error::Foreign { name: name.into() });
            }
            Some(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_taken(error: &port::Error) -> bool {
    matches!(error, port::Error::Tap { source, .. }
        if matches!(source.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)))
}

fn is_off(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EOPNOTSUPP | libc::EAFNOSUPPORT))
}

/// What the link needs: forwarding, or the kernel tells nobody a route from here; loose source checks, because hosts
/// and containers of any network send through it; nothing of IPv6's own announcements.
fn set_sysctls(name: &str) {
    let settings = [
        ("ipv4", "forwarding", "1"),
        ("ipv4", "rp_filter", "2"),
        ("ipv4", "send_redirects", "0"),
        ("ipv4", "accept_redirects", "0"),
        ("ipv6", "forwarding", "1"),
        ("ipv6", "accept_ra", "0"),
        ("ipv6", "accept_redirects", "0"),
        ("ipv6", "addr_gen_mode", "1"),
    ];
    for (family, key, value) in settings {
        let path = format!("/proc/sys/net/{family}/conf/{name}/{key}");
        match fs::write(&path, value) {
            // No IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path, value, %error, "cannot set a sysctl of the host's link"),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mtu_fits_the_largest_nic() {
        assert_eq!(fitting_mtu([].into_iter()), 1500);
        assert_eq!(fitting_mtu([1400, 9000].into_iter()), 9000);
        assert_eq!(fitting_mtu([1_000].into_iter()), 1500);
        assert_eq!(fitting_mtu([65_536].into_iter()), 65_521);
    }
}
